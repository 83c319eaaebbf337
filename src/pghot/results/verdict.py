"""Whether promotion paid, in time: an interval, never a point that happens to be above zero."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from pghot.baselines.shares import Baselines, Share

if TYPE_CHECKING:
    from pghot.results.prices import Prices

PAYS, DOES_NOT_PAY, CANNOT_BE_TOLD = "pays", "does not pay", "cannot be told"

TWO_SIGMA = 2.0
"""Standard errors to each side: 95 % of samples."""

ONE_SEED = 0.01
"""How far run times of one scenario lie apart by chance alone, as a share."""

NOT_IN_IT = (
    "demotion (a replay moves pages up only)",
    "bandwidth and overlapping accesses (each waits for its latency alone)",
    "the cost of taking samples",
)
"""What the estimate for a replay leaves out."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Seconds of memory time that promotion saved against a baseline, its moves paid for.

    From `low_s` to `high_s`; None there is no bound: nobody knows how many accesses a row
    of the log stands for, `accesses_a_row`.  `moves_s` is what the moves took.
    """

    verdict: str
    against: str
    low_s: float | None
    high_s: float | None
    moves_s: float
    span_s: float
    accesses_a_row: float | None
    prices: Prices
    not_in_it: tuple[str, ...] = NOT_IN_IT

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "verdict": self.verdict,
            "against": self.against,
            "saved_s": [self.low_s, self.high_s],
            "moves_s": self.moves_s,
            "span_s": self.span_s,
            "accesses_a_row": self.accesses_a_row,
            "prices": self.prices.to_dict(),
            "not_in_it": list(self.not_in_it),
        }


def verdict_of(
    served: Share,
    baselines: Baselines,
    rows: int,
    moves_s: float,
    span_s: float,
    accesses_a_row: float | None,
    prices: Prices,
) -> Verdict:
    """Hold what the top tier served of `rows` against first touch.

    Rows are samples: those that the two serve otherwise are counted with an error of two
    square roots of the most that they can be (McNemar), unless each access has its row.
    """
    ours, theirs = (rows * (share.whole or 0.0) for share in (served, baselines.first_touch))
    error = 0.0
    if accesses_a_row != 1:
        error = TWO_SIGMA * sqrt(min(ours + theirs, 2 * rows - ours - theirs))
    row_s = (prices.slow_ns - prices.fast_ns) * 1e-9
    low = _seconds((ours - theirs - error) * row_s, accesses_a_row, least=True)
    high = _seconds((ours - theirs + error) * row_s, accesses_a_row, least=False)
    low, high = (None if s is None else s - moves_s for s in (low, high))
    return Verdict(
        _said(low, high), "first touch", low, high, moves_s, span_s, accesses_a_row, prices
    )


def run_time_verdict(base_s: float, run_s: float, against: str) -> dict[str, Any]:
    """Hold a simulated run time against another, as plain data.

    One seed tells no more than `ONE_SEED` of the run time.
    """
    saved, error = base_s - run_s, ONE_SEED * base_s
    low, high = saved - error, saved + error
    return {
        "verdict": _said(low, high),
        "against": against,
        "saved_s": [low, high],
        "run_s": [base_s, run_s],
        "error": f"{ONE_SEED:.0%} of the run time: one seed",
    }


def untold(why: str) -> dict[str, Any]:
    """What a result says where time cannot be estimated, as plain data."""
    return {"verdict": CANNOT_BE_TOLD, "against": None, "saved_s": [None, None], "why": why}


def _seconds(if_one: float, accesses_a_row: float | None, *, least: bool) -> float | None:
    """A bound of the seconds saved, from what it is where a row is one access.

    A row of an unknown number of accesses is one at least.
    """
    if accesses_a_row is not None:
        return if_one * accesses_a_row
    unbounded = if_one < 0 if least else if_one > 0
    return None if unbounded else if_one


def _said(low: float | None, high: float | None) -> str:
    if low is not None and low > 0:
        return PAYS
    if high is not None and high < 0:
        return DOES_NOT_PAY
    return CANNOT_BE_TOLD
