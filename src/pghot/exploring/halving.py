"""Successive halving: many candidates on a short run, the best of them on longer ones.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

KEEP = 4
"""One candidate in so many goes on to the next, longer run."""

Item = TypeVar("Item")


def halving(
    candidates: Sequence[Item],
    parts: Sequence[float],
    costs: Callable[[Sequence[Item], float], Sequence[float]],
    *,
    finalists: int = 1,
) -> list[Item]:
    """The best candidates, the one of the least cost first.

    `costs` runs candidates on a part (of 1) of the whole.  After each of `parts` a quarter
    goes on, `finalists` at the least; of equal costs those that come first.
    """
    left = list(candidates)
    for part in parts:
        found = list(costs(left, part))
        order = sorted(range(len(left)), key=found.__getitem__)
        left = kept([left[at] for at in order], finalists)
    return left


def kept(best_first: Sequence[Item], finalists: int) -> list[Item]:
    """Those that go on to a longer run."""
    return list(best_first[: max(len(best_first) // KEEP, finalists)])
