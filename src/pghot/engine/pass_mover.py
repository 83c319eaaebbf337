"""Moving folios on a machine that is nothing but arrays: whole passes of kmigrated in one loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.units import NID_MAX

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64
else:
    from pghot.engine.arrays import i64


class Frames(NamedTuple):
    """Pages by node id (i64), a node having one zone.

    `free` now; `present`; `promo_wmark`, the promotion watermark; `kept`: free pages that no
    folio is isolated to take.
    """

    free: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    promo_wmark: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]


def no_frames() -> Frames:
    """The frames of a machine without nodes."""
    return Frames(*(np.zeros(NID_MAX + 1, np.int64) for _ in Frames._fields))


@cython.cclass
class PassMover:
    """Moves folios to one node after another; subclasses say how.

    A machine makes one for each pass (`memory.Memory`); pointers into its arrays hold that long.
    """

    def __init__(self, frames: Any) -> None:
        """Take pointers from the `Frames`, which are kept."""
        self.frames = frames
        self.free = i64(frames.free)
        self.present = i64(frames.present)
        self.promo_wmark = i64(frames.promo_wmark)
        self.kept = i64(frames.kept)
        self.nid = 0

    def go_to(self, nid: cython.long) -> None:
        """Move what comes next to this node."""
        self.nid = nid

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def expect(self, pfn: cython.ulong) -> cython.void:
        """Have what is known of a folio in the caches soon: it moves a few folios later."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def move(self, pfn: cython.ulong) -> cython.long:  # noqa: ARG002 - of what subclasses move
        """Move the folio that starts at `pfn`: its pages, 0 where it found no room."""
        return 0

    def ended(self) -> None:
        """Take note that the pass has ended."""
