"""A perf event's ring, mapped into our memory: drained in bulk, never waited for.

perf_event_open(2), "MMAP layout"; struct perf_event_mmap_page.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from pghot.errors import PghotError
from pghot.linux.closing import Closing
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.barriers import load_acquire, store_release
from pghot.linux.perf.ring_decode import SAMPLES_FULL, TASKS_FULL, RingViews, decode
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.linux.perf.sample_layout import SampleLayout

_HEAD, _TAIL, _DATA_OFFSET, _DATA_SIZE = (byte // 8 for byte in (1024, 1032, 1040, 1048))
"""Words of struct perf_event_mmap_page: data_head, data_tail, data_offset, data_size."""


class RingMemoryError(PghotError):
    """The limit on locked memory leaves no room for a ring of one page."""


class Ring(Closing):
    """The ring of one event: its control page and `pages` pages of records.

    The events whose samples go here share one `layout`.  The kernel writes records and
    moves data_head; `drain` reads up to there and moves data_tail.
    """

    def __init__(self, descriptor: int, layout: SampleLayout, pages: int = RING_PAGES) -> None:
        """Map the ring of an open event.

        `pages` is a power of two.  Where the limit on locked memory refuses it, half is
        tried, down to one; RingMemoryError where none can be had.
        """
        if pages < 1 or pages & pages - 1:
            raise ValueError(f"{pages} pages: wants a power of two")
        self.descriptor = descriptor
        self.layout = layout
        self._map, self.pages = _map_shrinking(descriptor, pages)
        control = np.frombuffer(self._map, np.uint64, mmap.PAGESIZE // 8)
        offset = int(control[_DATA_OFFSET]) or mmap.PAGESIZE  # 0 before Linux 4.1
        size = int(control[_DATA_SIZE]) or self.pages * mmap.PAGESIZE
        words = np.frombuffer(self._map, np.uint64, size // 8, offset)
        self._control: npt.NDArray[np.uint64] | None = control
        self._views: RingViews | None = RingViews(
            words, words.view(np.int32), words.view(np.uint16)
        )

    def drain(self, into: Drained) -> None:
        """Take all records that were there when it started, and give their room back.

        Where they do not add up, what is left up to the head is thrown away and counted
        as `corrupt`; the next drain starts clean.
        """
        control, views = self._control, self._views
        if control is None or views is None:
            return
        head = int(load_acquire(control, _HEAD))  # before any record is read
        at = int(control[_TAIL])  # nobody but us writes it
        if at == head:
            return
        size = 8 * len(views.words)
        start = at % size
        end = start + min(head - at, size + 8) if head > at else -8  # what cannot be is corrupt
        why = SAMPLES_FULL
        while why in (SAMPLES_FULL, TASKS_FULL):
            start, why = decode(
                views, start, end, self.layout, into.sample_room, into.task_room, into.tally
            )
            if why == SAMPLES_FULL:
                into.grow_samples()
            elif why == TASKS_FULL:
                into.grow_tasks()
        store_release(control, _TAIL, head)  # after the last record was read

    def close(self) -> None:
        """Unmap it; the event's descriptor is its opener's to close."""
        self._control = self._views = None  # the map cannot close under its views
        with suppress(BufferError):  # the frames of an exception hold some: it goes with them
            self._map.close()


def _map_shrinking(descriptor: int, pages: int) -> tuple[mmap.mmap, int]:
    """Map 1 + pages pages, or the largest power of two that the kernel lets us lock."""
    while True:
        try:
            return mmap.mmap(descriptor, (1 + pages) * mmap.PAGESIZE), pages
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOMEM} or pages == 1:
                raise _refused(error) from None
            pages //= 2


def _refused(error: OSError) -> PghotError:
    why = os.strerror(error.errno or errno.EIO)
    if error.errno in {errno.EPERM, errno.ENOMEM}:
        return RingMemoryError(f"no memory for a perf ring ({why})")
    return PghotError(f"a perf ring cannot be mapped: {why}")
