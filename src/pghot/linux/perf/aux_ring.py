"""A perf event's AUX buffer beside its ring: what the hardware itself writes, taken in pieces.

perf_event_open(2), "aux_head, aux_tail, aux_offset, aux_size"; PERF_RECORD_AUX of
include/uapi/linux/perf_event.h.  The kernel tells each piece by a record in the ring.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.errors import PghotError
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.barriers import load_acquire, store_release
from pghot.linux.perf.ring import Ring
from pghot.linux.perf.sample_layout import SampleLayout

_HEAD, _TAIL, _AUX_HEAD, _AUX_TAIL, _AUX_OFFSET, _AUX_SIZE = (
    byte // 8 for byte in (1024, 1032, 1056, 1064, 1072, 1080)
)
_CAPABILITIES, _TIME_SHIFT, _TIME_MULT = 40 // 8, 50 // 2, 52 // 4
"""Where struct perf_event_mmap_page has what is used of it, in items of each one's size."""

_CAP_USER_TIME = 1 << 3
_RECORD_AUX = 11
_TRUNCATED, _PARTIAL, _COLLISION = 1, 4, 8


class Scale(NamedTuple):
    """Nanoseconds of a hardware counter's ticks: ticks * mult >> shift; mult 0 is not known."""

    shift: int
    mult: int


class Piece(NamedTuple):
    """What the hardware wrote up to `time_ns`, on the event's clock, on one CPU."""

    content: npt.NDArray[np.uint8]
    time_ns: int
    cpu: int


class AuxRing(Ring):
    """A ring whose event has an AUX buffer of `aux_pages` pages."""

    def __init__(
        self, descriptor: int, layout: SampleLayout, pages: int, aux_pages: int, cpu: int
    ) -> None:
        """Map both; PghotError, one line, where the kernel refuses either."""
        super().__init__(descriptor, layout, pages)
        self._cpu = cpu
        self._pieces: list[Piece] = []
        self.truncated = 0
        """Pieces after which the hardware had no room, and dropped samples."""
        offset, size = (pages * mmap.PAGESIZE for pages in (1 + self.pages, aux_pages))
        if self._control is not None:
            self._control[_AUX_OFFSET], self._control[_AUX_SIZE] = offset, size
        try:
            self._aux_map = mmap.mmap(descriptor, size, offset=offset)
        except OSError as error:
            self.close()
            raise PghotError(
                f"no AUX buffer: {os.strerror(error.errno or errno.EIO)}: run as root, or raise "
                "kernel.perf_event_mlock_kb"
            ) from None
        self._aux: npt.NDArray[np.uint8] | None = np.frombuffer(self._aux_map, np.uint8)

    @property
    def scale(self) -> Scale:
        """How the kernel makes nanoseconds of the counter that the hardware stamps with."""
        control = self._control
        if control is None or not int(control[_CAPABILITIES]) & _CAP_USER_TIME:
            return Scale(0, 0)
        shift = int(control.view(np.uint16)[_TIME_SHIFT])
        return Scale(shift, int(control.view(np.uint32)[_TIME_MULT]))

    def drain(self, into: Drained) -> None:
        """Take the pieces that the ring tells of, then its records, and give both rooms back."""
        control, aux = self._control, self._aux
        if control is None or aux is None:
            return
        head = int(load_acquire(control, _AUX_HEAD))
        tail = int(control[_AUX_TAIL])
        at = tail
        for end, flags, time_ns in self._told():
            self.truncated += bool(flags & (_TRUNCATED | _PARTIAL | _COLLISION))
            if at < end <= head:
                self._take(aux, at, end, time_ns)
                at = end
        if at > tail:
            store_release(control, _AUX_TAIL, at)
        super().drain(into)

    def take(self) -> list[Piece]:
        """The pieces of the drains since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def close(self) -> None:
        """Unmap both."""
        self._aux = None
        if hasattr(self, "_aux_map"):
            with suppress(BufferError):
                self._aux_map.close()
        super().close()

    def _take(self, aux: npt.NDArray[np.uint8], start: int, end: int, time_ns: int) -> None:
        """Copy the bytes from `start` to `end`, both counted from the first ever written."""
        places = np.arange(max(start, end - len(aux)), end) % len(aux)
        self._pieces.append(Piece(aux[places], time_ns, self._cpu))

    def _told(self) -> list[tuple[int, int, int]]:
        """Of each piece that the ring tells of, in order: where it ends, its flags, when."""
        control, views = self._control, self._views
        if control is None or views is None:
            return []
        words = views.words
        found = []
        at, head = int(control[_TAIL]) // 8, int(load_acquire(control, _HEAD)) // 8
        while at < head:
            kind, size = _header(int(words[at % len(words)]))
            if not size or size % 8:
                break  # the decoder says that it is corrupt
            if kind == _RECORD_AUX:
                offset, length, flags = (int(words[(at + n) % len(words)]) for n in (1, 2, 3))
                when = at + size // 8 - self.layout.trailer_time
                found.append((offset + length, flags, int(words[when % len(words)])))
            at += size // 8
        return found


def _header(word: int) -> tuple[int, int]:
    """Type and length of a record by its first word (u32 type, u16 misc, u16 size)."""
    if sys.byteorder == "little":
        return word & 0xFFFF_FFFF, word >> 48
    return word >> 32, word & 0xFFFF
