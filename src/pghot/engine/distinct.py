"""The values of an array, each once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def distinct(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """The values, ascending, each once: one dimension, whatever it had.

    np.unique(), asked for counts too: without, it imports numpy.ma at its first call, which may
    be amid a wake-up whose pages wait to move (0.1 s of an emulated CPU).  It hashes then, and is
    slower.
    """
    return np.unique(values, return_counts=True)[0]
