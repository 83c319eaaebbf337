"""Loads and stores that are ordered against others, for memory shared with the kernel.

A perf ring's head is to be read before the records that it covers, and its tail written
after they were read (the comment at data_head in include/uapi/linux/perf_event.h).  Acquire
and release say so to the compiler and, where it needs telling, to the processor.

Interpreted, these are plain reads and writes, which no processor is told to keep in order:
good for tests, whose rings nobody else writes.  So `run` and `record`, which read the
kernel's, refuse to run interpreted (pghot.compiled.require).
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u64
else:
    from pghot.engine.arrays import u64

    def acquire(words: Any, index: int) -> int:
        """Read a word."""
        return words[index]

    def release(words: Any, index: int, value: int) -> None:
        """Write a word."""
        words[index] = value


def load_acquire(words: npt.NDArray[np.uint64], index: cython.long) -> int:
    """Read a word; what is read after it is at least as new."""
    items: cython.p_ulong = u64(words)
    return acquire(items, index)


def store_release(words: npt.NDArray[np.uint64], index: cython.long, value: cython.ulong) -> None:
    """Write a word after all that was read and written before it."""
    items: cython.p_ulong = u64(words)
    release(items, index, value)
