"""What a live machine answered the engine, written down so that a replay can answer the same.

The engine is deterministic; a live run is not, for the kernel's free pages, its page facts
and its refusals come from outside.  The answer log holds them in the order in which they
were asked for, and travels in the log's metadata.  An entry is (kind, about, values): all
64-bit integers.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pghot.engine.tunables import TUNABLES
from pghot.errors import InputError

MOST = 512 << 20
"""Bytes of an answer log at the most: some days of a run with many nodes."""

Values = npt.NDArray[np.int64]


class EntryKind(IntEnum):
    """What an entry holds.

    ZONES: (free, promo watermark) of each zone of node `about`.  HEADROOM, PRESENT: pages, of
    node `about`.  MOVED: 1 for each folio of a batch for node `about` that moved, else 0.
    FOLIOS: (first PFN, pages, memcg) of folios that turned out to be so before the rows of
    the wake-up at `about` (microseconds) were recorded.  ONLINE: (start PFN, pages, node,
    1 where that is top tier) of memory that came before them.  WRITE: a tunable was written
    between the wake-up before `about` and the rows of `about` (`as_write`).  END: the last
    wake-up of a run that ended in good order; no values.  LATE: the one wake-up that came after
    that at `about`, where it was not the next one: those between were slept through.
    STAYED: before the rows of the wake-up at `about` so many pages were looked at a minute after
    they had been promoted, and so many of them had been demoted again.
    MARKED: before the rows of the wake-up at `about` so many pages of targets were made prot_none.
    AIMED: the node that each candidate of node `about` was to go to, where that was not where
    it would have gone otherwise.
    """

    ZONES = 1
    HEADROOM = 2
    PRESENT = 3
    MOVED = 4
    FOLIOS = 5
    ONLINE = 6
    END = 7
    LATE = 8
    WRITE = 9
    STAYED = 10
    AIMED = 11
    MARKED = 12


class AnswerLog:
    """Takes entries; `take` gives those since the last call as text.

    One that is not `running` keeps nothing: nobody would ever take it.
    """

    def __init__(self, *, running: bool = True) -> None:
        self._running = running
        self._pieces: list[Values] = []

    def note(self, kind: EntryKind, about: int, values: npt.ArrayLike) -> None:
        """Add an entry."""
        if not self._running:
            return
        flat = np.asarray(values).astype(np.int64).ravel()
        self._pieces += [np.array([kind, about, len(flat)], np.int64), flat]

    def stop(self) -> None:
        """Keep nothing from now on, nor what was not taken."""
        self._running = False
        self._pieces = []

    def take(self) -> str:
        """The new entries as text, empty where there are none."""
        if not self._pieces:
            return ""
        raw = np.concatenate(self._pieces).astype("<i8").tobytes()
        self._pieces = []
        return base64.b64encode(zlib.compress(raw)).decode()


class AnswerReader:
    """Reads the entries of an answer log, in order.

    `pieces` are texts of `AnswerLog.take`; InputError where they are something else.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        try:
            raw = _inflated(base64.b64decode(text, validate=True) for text in pieces)
            self._values = np.frombuffer(raw, "<i8").astype(np.int64)
        except (ValueError, TypeError, binascii.Error, zlib.error) as error:
            raise damaged(str(error)) from error
        self._at = 0
        self.end_us = self._look_through()
        """The last wake-up of the run; None where it did not end in good order."""

    def next_about(self, kind: EntryKind) -> int | None:
        """What the next entry is about where it is of this kind, else None."""
        if self._at >= len(self._values) or self._values[self._at] != kind:
            return None
        return int(self._values[self._at + 1])

    def take(self, kind: EntryKind, about: int, count: int | None = None) -> Values:
        """Take the next entry, which must be this one, of `count` values where that is known.

        InputError where it is another: the replay does not go as the run went.
        """
        if self.next_about(kind) != about:
            raise InputError(
                f"the replay asks for {kind.name} of {about} where the live run did not: "
                "the log is not whole, or was recorded by another version of pghot"
            )
        start = self._at + 3
        length = int(self._values[self._at + 2])
        if count is not None and length != count:
            raise damaged(f"{length} values at {kind.name} of {about}, not {count}")
        self._at = start + length
        return self._values[start : self._at]

    def take_rows(self, kind: EntryKind, about: int, width: int) -> Values:
        """Take the next entry, whose values are rows of `width`."""
        values = self.take(kind, about)
        if len(values) % width:
            raise damaged(f"{len(values)} values at {kind.name} of {about}")
        return values.reshape(-1, width)

    @property
    def ended(self) -> bool:
        """Whether all entries have been taken, but for the END."""
        return self._at >= len(self._values) or self._values[self._at] == EntryKind.END

    def _look_through(self) -> int | None:
        """See that entries follow each other to the end; what the END is about."""
        at, end_us = 0, None
        while at < len(self._values):
            head = self._values[at : at + 3].tolist()
            if len(head) < 3 or head[0] not in set(EntryKind) or head[2] < 0 or end_us is not None:
                raise damaged(f"no entry at {at}")
            if head[0] == EntryKind.END:
                end_us = int(head[1])
            at += 3 + head[2]
        if at > len(self._values):
            raise damaged("its last entry is cut off")
        return end_us


def _inflated(pieces: Iterable[bytes]) -> bytes:
    """Join what the pieces hold; ValueError where that is more than an answer log has."""
    raw = bytearray()
    for piece in pieces:
        inflating = zlib.decompressobj()
        raw += inflating.decompress(piece, MOST - len(raw) + 1)
        if len(raw) > MOST:
            raise ValueError(f"it inflates to over {MOST >> 20} MiB")
        if not inflating.eof:
            raise ValueError("a piece of it is cut short")
    return bytes(raw)


def as_write(name: str, text: str) -> Values:
    """The values of a WRITE: the tunable's place among all, then the bytes of its text."""
    raw = text.encode("utf-8", "surrogatepass")
    return np.array([list(TUNABLES).index(name), *raw], np.int64)


def of_write(values: Values) -> tuple[str, str]:
    """The name and the text of a WRITE; InputError where it is none."""
    try:
        names = dict(enumerate(TUNABLES))
        return names[int(values[0])], bytes(values[1:].tolist()).decode("utf-8", "surrogatepass")
    except (IndexError, KeyError, ValueError) as error:
        raise damaged("a write to no tunable") from error


def damaged(why: str) -> InputError:
    """The error for an answer log that is none."""
    return InputError(f"the log's answers of its live run are damaged: {why}")


def texts(pieces: object) -> Sequence[str]:
    """The answer log that a log's metadata holds; none where it holds none."""
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        return ()
    return pieces
