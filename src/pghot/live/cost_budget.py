"""What watching may cost, as a user says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostBudget:
    """What watching may cost: shares of the targets' CPU time and of one CPU."""

    faults: float = 0.01
    samples: float = 0.03
