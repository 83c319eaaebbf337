"""Sizes of fast memory: in bytes, or as a share of what a workload touches."""

from __future__ import annotations

import re
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError

STEPS = 100
"""Sizes of a curve, up to the footprint."""

_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?:([KMGT])(?:i?B)?|B)?\s*")
_PERCENT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%\s*")
_SHIFTS = {"K": 10, "M": 20, "G": 30, "T": 40}


class FastSize(NamedTuple):
    """So many `pages`, or a `share` of the footprint; the other is None."""

    text: str
    pages: int | None = None
    share: float | None = None

    def of(self, footprint: int) -> int:
        """The pages, where a workload touches `footprint` of them; a part counts whole."""
        if self.pages is not None:
            return self.pages
        return ceil((self.share or 0.0) * footprint)


def parse_fast(text: str) -> FastSize:
    """Read `8G`, `512MiB`, `25%` or `0.25`; InputError where it is none.

    A number without a unit is a share of the footprint where it is at most 1, else bytes.
    """
    text = text.strip()
    if percent := _PERCENT.fullmatch(text):
        return FastSize(text, share=float(percent[1]) / 100)
    size = _SIZE.fullmatch(text)
    if size is None:
        raise InputError(f"{text}: no size of fast memory; wants 8G, 512MiB, 25% or 0.25")
    if not re.search("[A-Za-z]", text) and float(size[1]) <= 1:
        return FastSize(text, share=float(size[1]))
    size_bytes = float(size[1]) * (1 << _SHIFTS.get(size[2] or "", 0))
    return FastSize(text, pages=ceil(size_bytes / (1 << PAGE_SHIFT)))


def sizes_up_to(footprint: int, more: tuple[int, ...] = ()) -> npt.NDArray[np.int64]:
    """The sizes of a curve, in pages, ascending: percents of the footprint, and `more`."""
    percents = np.ceil(np.arange(STEPS + 1) * footprint / STEPS).astype(np.int64)
    return distinct(np.concatenate([percents, np.array(more, np.int64)]))
