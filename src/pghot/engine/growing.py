"""Arrays by index that grow with the machine, and cost the memory that is touched.

Their pages are small ones at first: a huge page for each access that stands alone would
take 2 MiB for a byte.  `thicken` asks for huge pages where accesses lie thick.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGES_PER_SECTION

HUGE = 2 << 20
"""Bytes of a huge page (PMD_SIZE of x86-64 and of arm64 with 4 KiB pages)."""

_MADV_COLLAPSE = 25  # since Linux 6.1 (include/uapi/asm-generic/mman-common.h)
_MAP_NORESERVE = 0x4000  # Python names it from 3.12 on


def zeros(items: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros in memory of its own, which is taken where it is touched.

    MemoryError where the kernel gives no address space for it.
    """
    size = items * np.dtype(dtype).itemsize
    if size < HUGE:
        return np.zeros(items, dtype)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        memory = mmap.mmap(-1, size + HUGE, flags)
    except OSError as error:
        raise MemoryError(f"{size} bytes: {error.strerror}") from None
    _advise(memory, mmap.MADV_NOHUGEPAGE, 0, len(memory))
    return np.frombuffer(memoryview(memory), dtype, items, -_address(memory) % HUGE)


def reaching(array: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    """An array of `zeros` that has an item at `index`: itself, or one twice as long, copied."""
    if index < len(array):
        return array
    larger = zeros(2 * (index + 1), array.dtype)
    larger[: len(array)] = array
    return larger


def thicken(array: npt.NDArray[Any], start: int, end: int) -> None:
    """Ask for huge pages for whole ones among the items [start, end) of a `zeros` array."""
    room = _room_of(array)
    memory = room.base.obj if isinstance(room.base, memoryview) else None
    if not isinstance(memory, mmap.mmap):
        return
    first = -(-start * array.itemsize // HUGE) * HUGE
    last = end * array.itemsize // HUGE * HUGE
    offset = room.ctypes.data - _address(memory)
    if first < last and _advise(memory, mmap.MADV_HUGEPAGE, offset + first, last - first):
        _advise(memory, _MADV_COLLAPSE, offset + first, last - first)


def grown(array: npt.NDArray[Any], slots: int, used: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array by index as one of so many `slots`, zeros after what it has.

    `used`: by slot, up to which of its items any may be other than zero.  Only they are copied,
    and only where the room behind them is at its end: it doubles then.  Room is address space;
    copying zeros would touch all of it.
    """
    length = slots * PAGES_PER_SECTION
    room = _room_of(array)
    if len(room) < length:
        copied = np.flatnonzero(used).tolist()
        room = zeros(max(length, 2 * len(room)) if copied else length, array.dtype)
        for slot in copied:
            start = slot * PAGES_PER_SECTION
            items = slice(start, start + int(used[slot]))
            room[items] = array[items]
    return room[:length]


def _room_of(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The whole of an array of which only the first items are in use."""
    return array.base if isinstance(array.base, np.ndarray) else array


def _address(memory: mmap.mmap) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)


def _advise(memory: mmap.mmap, advice: int, start: int, length: int) -> bool:
    """Advise the kernel, which may have no huge pages, or no such advice: False then."""
    try:
        memory.madvise(advice, start, length)
    except OSError:
        return False
    return True
