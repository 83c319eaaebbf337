"""Counts of values by powers of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pghot.binning.forms import Histogram


class PowersOfTwo:
    """Counts whole values above 0, each at the power of two that it does not exceed."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, values: Iterable[int]) -> None:
        """Count values."""
        self._counts.update((value - 1).bit_length() for value in values if value > 0)

    def form(self, scale: float = 1) -> Histogram | None:
        """The histogram, its bounds in parts of `scale`; None where nothing was counted."""
        if not self._counts:
            return None
        exponents = range(min(self._counts), max(self._counts) + 1)
        return Histogram(
            upto=[(1 << exponent) * scale for exponent in exponents],
            counts=[self._counts[exponent] for exponent in exponents],
        )
