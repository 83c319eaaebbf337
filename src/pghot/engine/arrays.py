"""What loops need of C, for those that run interpreted.

Loops are ordinary Python in Cython's pure-Python mode: compiled when the package is built,
they take these names from arrays.pxd; interpreted, from here.  An array's items are then
Python's own integers, as in C they are C's: what would not fit an item raises where C wraps.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def u8(array: Any) -> Any:
    """Items of a contiguous array of bytes or booleans: in C, a pointer to them."""
    return memoryview(array.view(np.uint8) if array.dtype == np.bool_ else array)


i8 = u16 = i16 = u32 = i32 = u64 = i64 = f32 = f64 = u8


class Structs:
    """Items of a structured array, each with its fields as attributes."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, index: int) -> _Struct:
        return _Struct(self._array[index])


class _Struct:
    """An item of a structured array."""

    __slots__ = ("_item",)

    def __init__(self, item: Any) -> None:
        object.__setattr__(self, "_item", item)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._item[name].item()
        except ValueError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._item[name] = value


def prefetch(items: Any, index: int, size: int) -> None:
    """Ask the processor for the cache line of an item, of `size` bytes, soon to be written."""


def trailing_zeros(word: int) -> int:
    """Zero bits below the lowest one that is set; `word` is not 0."""
    return (word & -word).bit_length() - 1
