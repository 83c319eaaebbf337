"""Ranges of PFNs: a node's memory is any number of them, with holes and other nodes between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pghot.engine.units import PAGES_PER_SECTION


class PfnRange(NamedTuple):
    """PFNs `start` up to `end`."""

    start: int
    end: int

    @property
    def pages(self) -> int:
        """How many they are."""
        return self.end - self.start

    def __str__(self) -> str:
        """As mathematics writes it, the end left out."""
        return f"[{self.start}, {self.end})"


def merge(ranges: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """The same PFNs in as few ranges as can be, ascending; empty ones are left out."""
    merged: list[PfnRange] = []
    for one in sorted(one for one in ranges if one.start < one.end):
        if merged and one.start <= merged[-1].end:
            merged[-1] = PfnRange(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(PfnRange(*one))
    return tuple(merged)


def ascending(ranges: Iterable[tuple[int, int]]) -> tuple[PfnRange, ...]:
    """The same PFNs in as few ranges as can be.

    ValueError, naming the range, where one is empty or does not come after the one before it.
    """
    given = [PfnRange(*one) for one in ranges]
    end = 0
    for one in given:
        if one.start >= one.end:
            raise ValueError(
                f"range {one} is empty: wants its first PFN and the one after its last"
            )
        if one.start < end:
            raise ValueError(
                f"range {one} starts below PFN {end}, where the one before it ends: give ranges "
                "in ascending order, no PFN twice"
            )
        end = one.end
    return merge(given)


def intersect(left: Iterable[PfnRange], right: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """The PFNs that are in both."""
    ones, others = merge(left), merge(right)
    common = []
    i = j = 0
    while i < len(ones) and j < len(others):
        common.append(
            PfnRange(max(ones[i].start, others[j].start), min(ones[i].end, others[j].end))
        )
        if ones[i].end < others[j].end:
            i += 1
        else:
            j += 1
    return merge(common)


def subtract(left: Iterable[PfnRange], right: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """The PFNs that are in `left` and not in `right`."""
    wanted = merge(left)
    if not wanted:
        return ()
    taken = merge(right)
    starts = [wanted[0].start, *(one.end for one in taken)]
    ends = [*(one.start for one in taken), wanted[-1].end]
    gaps = [PfnRange(*gap) for gap in zip(starts, ends, strict=True)]
    return intersect(wanted, gaps)


def whole_sections(ranges: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """The ranges of the sections that have a page of these."""
    return merge(
        PfnRange(
            one.start // PAGES_PER_SECTION * PAGES_PER_SECTION,
            -(-one.end // PAGES_PER_SECTION) * PAGES_PER_SECTION,
        )
        for one in merge(ranges)
    )
