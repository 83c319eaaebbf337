"""Shares of accesses that placements serve fast, over a whole log and its second half."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from pghot.baselines.folios import BoolArray, FirstTouches, Headroom, I64Array
from pghot.baselines.placements import first_touch, hottest, interleaved


class Share(NamedTuple):
    """Share of accesses served by the top tier: of all, and of those of the second half.

    None where there are no such accesses, or the log's half was not known.
    """

    whole: float | None
    steady: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As plain data."""
        return {"fast_share": self.whole, "steady_fast_share": self.steady}


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a log's accesses would have been served by without promotion.

    `as_placed`: every page where the machine has it.  `first_touch`, `interleave`: placed
    anew within the same headroom.  `bound`: the hottest pages that fit, which no policy exceeds
    that keeps to the headroom; for the second half, the hottest of that.
    """

    as_placed: Share
    first_touch: Share
    interleave: Share
    bound: Share

    def to_dict(self) -> dict[str, Any]:
        """As plain data, by name."""
        return {field.name: getattr(self, field.name).to_dict() for field in fields(self)}


def baselines(touched: FirstTouches, headroom: Headroom, on_fast: BoolArray) -> Baselines:
    """The baselines of folios, of which those of `on_fast` are placed on the top tier."""
    return Baselines(
        served(touched, on_fast),
        served(touched, first_touch(touched, headroom)),
        served(touched, interleaved(touched, headroom)),
        bound(touched, headroom.fast),
    )


def served(touched: FirstTouches, on_fast: BoolArray) -> Share:
    """The share that a placement serves fast."""
    early, late = touched.early, touched.late
    fast, accesses = int(early[on_fast].sum()), int(early.sum())
    if late is None:
        return Share(_part(fast, accesses), None)
    late_fast, late_accesses = int(late[on_fast].sum()), int(late.sum())
    return Share(
        _part(fast + late_fast, accesses + late_accesses), _part(late_fast, late_accesses)
    )


def bound(touched: FirstTouches, headroom: int) -> Share:
    """The share that no placement within `headroom` pages of the top tier exceeds."""
    return Share(
        *(_most(half, touched.pages, headroom) for half in (touched.accesses, touched.late))
    )


def _most(accesses: I64Array | None, pages: I64Array, headroom: int) -> float | None:
    if accesses is None:
        return None
    return _part(hottest(accesses, pages, headroom), int(accesses.sum()))


def _part(fast: float, accesses: int) -> float | None:
    return fast / accesses if accesses else None
