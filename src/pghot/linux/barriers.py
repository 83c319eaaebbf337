"""Loads and stores that are ordered against others, for memory shared with the kernel.

A perf ring's head is to be read before the records that it covers, and its tail written
after they were read (the comment at data_head in include/uapi/linux/perf_event.h).  Acquire
and release say so to the compiler and, where it needs telling, to the processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from pghot.engine.jit import Loop, compiled

_WORD_BYTES = 8


def _load_acquire(_typing: Any, array: Any, _index: Any) -> Any:

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", _WORD_BYTES)

    return types.uint64(array, types.intp), codegen


def _store_release(_typing: Any, array: Any, _index: Any, _value: Any) -> Any:

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]])
        builder.store_atomic(arguments[2], place, "release", _WORD_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint64), codegen


_load: Loop = intrinsic(_load_acquire)
_store: Loop = intrinsic(_store_release)


@compiled
def load_acquire(words: npt.NDArray[np.uint64], index: int) -> int:
    """Read a word; what is read after it is at least as new."""
    value: int = _load(words, index)
    return value


@compiled
def store_release(words: npt.NDArray[np.uint64], index: int, value: int) -> None:
    """Write a word after all that was read and written before it."""
    _store(words, index, np.uint64(value))
