"""What memory costs: `fast=8,slow=2`, in whatever money, per GiB."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError

PAGES_A_GIB = 1 << 18


class Price(NamedTuple):
    """Of a GiB of fast and of slow memory."""

    fast: float
    slow: float

    def cost(self, fast_pages: npt.NDArray[np.int64], footprint: int) -> npt.NDArray[np.float64]:
        """The cost of so much fast memory, and slow memory for the rest of `footprint`."""
        slow_pages = np.maximum(footprint - fast_pages, 0)
        cost: npt.NDArray[np.float64] = (
            fast_pages * self.fast + slow_pages * self.slow
        ) / PAGES_A_GIB
        return cost

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read `fast=8,slow=2`; InputError where it is no such thing."""
        wants = f"--price {text}: wants fast=PRICE,slow=PRICE of a GiB, such as fast=8,slow=2"
        given = dict(part.strip().partition("=")[::2] for part in text.split(","))
        try:
            price = cls(**{name: float(value) for name, value in given.items()})
        except (TypeError, ValueError):
            raise InputError(wants) from None
        if not all(isfinite(value) and value >= 0 for value in price):
            raise InputError(wants)
        return price
