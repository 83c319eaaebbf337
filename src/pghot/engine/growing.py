"""Arrays by place that grow with the machine, and are not copied whole for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGES_PER_SECTION


def grown(array: npt.NDArray[Any], slots: int, used: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give an array by place as one of so many `slots`, zeros after what it has.

    `used` marks the slots of it that may hold anything but zeros.  Only they are copied, and
    only where the room behind them is at its end: it doubles then.  Room is address space;
    np.zeros takes memory where it is touched, and copying zeros would touch all of it.
    """
    length = slots * PAGES_PER_SECTION
    room = array if array.base is None else array.base
    if len(room) < length:
        copied = np.flatnonzero(used).tolist()
        room = _zeros(max(length, 2 * len(room)) if copied else length, length, array.dtype)
        for slot in copied:
            place = slice(slot * PAGES_PER_SECTION, (slot + 1) * PAGES_PER_SECTION)
            room[place] = array[place]
    return room[:length]


def _zeros(wanted: int, needed: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Give as many zeros as are wanted, or, where the kernel does not commit to that, needed."""
    try:
        return np.zeros(wanted, dtype)
    except MemoryError:
        return np.zeros(needed, dtype)
