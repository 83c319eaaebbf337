"""The arrays of a `HotMap` as loops take them."""

from __future__ import annotations

from typing import Any

import cython
import numpy as np

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u8, u32, u64
else:
    from pghot.engine.arrays import u8, u32, u64


@cython.cclass
class Maps:
    """Pointers to the arrays of a `HotMap`; they hold until it makes room for sections.

    Records are `bytes` or, where `precise`, `words`; `lines` are the same by 64 bits.
    `marks`, by block, is for the recorder alone and all zero between two calls of it.
    """

    def __init__(self, arrays: Any) -> None:
        """Take pointers from the arrays, which are kept: a `hotmap.MapArrays`."""
        self.arrays = arrays
        self.precise = arrays.records.dtype.itemsize > 1
        if self.precise:
            self.words = u32(arrays.records)
            self.bytes = cython.NULL
        else:
            self.bytes = u8(arrays.records)
            self.words = cython.NULL
        self.lines = u64(arrays.records.view(np.uint64))
        self.has_map = u8(arrays.has_map)
        self.hot = u8(arrays.hot)
        self.touched = u8(arrays.touched)
        self.ready = u8(arrays.ready)
        self.marks = u8(arrays.marks)
        self.slots = len(arrays.has_map)
        self.blocks = len(arrays.ready)
