"""What a live machine answered the engine, written down so that a replay can answer the same.

The engine is deterministic; a live run is not, for the kernel's free pages, its page facts
and its refusals come from outside.  The tape holds these answers in the order in which they
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

from pghot.errors import InputError

Values = npt.NDArray[np.int64]


class Kind(IntEnum):
    """What an entry holds.

    ZONES: (free, promo watermark) of each zone of node `about`.  ROOM, PRESENT: pages, of
    node `about`.  MOVED: 1 for each folio of a batch for node `about` that moved, else 0.
    FOLIOS: (first PFN, pages, memcg) of folios that turned out to be so before the rows of
    the wake-up at `about` (microseconds) were recorded.  ONLINE: (start PFN, pages, node)
    of memory that came before them.
    """

    ZONES = 1
    ROOM = 2
    PRESENT = 3
    MOVED = 4
    FOLIOS = 5
    ONLINE = 6


class Tape:
    """Takes entries; `take` gives those since the last call as text."""

    def __init__(self) -> None:
        self._pieces: list[Values] = []

    def note(self, kind: Kind, about: int, values: npt.ArrayLike) -> None:
        """Add an entry."""
        flat = np.asarray(values).astype(np.int64).ravel()
        self._pieces += [np.array([kind, about, len(flat)], np.int64), flat]

    def take(self) -> str:
        """Give the new entries as text, empty where there are none."""
        if not self._pieces:
            return ""
        raw = np.concatenate(self._pieces).astype("<i8").tobytes()
        self._pieces = []
        return base64.b64encode(zlib.compress(raw)).decode()


class TapeReader:
    """Gives the entries of a tape back, in order.

    `pieces` are texts of `Tape.take`; InputError where they are something else.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        try:
            raw = b"".join(
                zlib.decompress(base64.b64decode(text, validate=True)) for text in pieces
            )
            self._values = np.frombuffer(raw, "<i8").astype(np.int64)
        except (ValueError, TypeError, binascii.Error, zlib.error) as error:
            raise InputError(f"the log's tape of a live run is damaged: {error}") from error
        self._at = 0

    def next_about(self, kind: Kind) -> int | None:
        """Give what the next entry is about where it is of this kind, else None."""
        head = self._values[self._at : self._at + 2]
        return int(head[1]) if len(head) == 2 and head[0] == kind else None

    def take(self, kind: Kind, about: int, count: int | None = None) -> Values:
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
        values = self._values[start : start + length]
        if len(values) < length or (count is not None and length != count):
            raise InputError(f"the log's tape of a live run is damaged at {kind.name} of {about}")
        self._at = start + length
        return values

    @property
    def ended(self) -> bool:
        """Whether all entries have been taken."""
        return self._at >= len(self._values)


def texts(pieces: object) -> Sequence[str]:
    """Give the tape that a log's metadata holds; none where it holds none."""
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        return ()
    return pieces
