"""How a trial is laid out: pairs of blocks, what differs between them, how they are measured."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pghot.engine.units import USEC_PER_SEC

ON, OFF = "promotion on", "promotion off"


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """`pairs` of blocks of `block_s` seconds, of each the first `warm_up_s` left out.

    One block of a pair is as the run's options say (arm 0); in the other (arm 1) the tunables
    of `against` hold, or, where it is empty, nothing is promoted and the host has its own
    settings.  `seed` draws which comes first.  `metric_command` prints numbers, of which
    `better` ones are `lower` or `higher`; both None where there is none.
    """

    pairs: int
    block_s: float
    warm_up_s: float
    seed: int
    against: Mapping[str, str] = field(default_factory=dict)
    metric_command: str | None = None
    better: str | None = None

    @property
    def arms(self) -> tuple[str, str]:
        """What the two kinds of blocks are called."""
        if not self.against:
            return ON, OFF
        return "as given", " ".join(f"{name}={value}" for name, value in self.against.items())

    @property
    def duration_s(self) -> float:
        """Seconds of all blocks."""
        return 2 * self.pairs * self.block_s

    def start_us(self, block: int) -> int:
        """When a block starts, in microseconds; the one after the last would at the end."""
        return round(block * self.block_s * USEC_PER_SEC)

    def order(self) -> Sequence[int]:
        """The arm of each block: each pair has both, which is first is drawn."""
        draw = random.Random(self.seed)  # noqa: S311 - no secret
        firsts = [draw.getrandbits(1) for _ in range(self.pairs)]
        return [arm for first in firsts for arm in (first, 1 - first)]

    def lines(self) -> list[str]:
        """What a person should know before it begins."""
        order = ", ".join(f"{first + 1}{second + 1}" for first, second in self._pairs())
        layout = (
            f"trial: {self.pairs} pairs of blocks of {self.block_s:g} s, the first "
            f"{self.warm_up_s:g} s of each left out; 1 {self.arms[0]}, 2 {self.arms[1]}"
        )
        return [layout, f"trial: order {order} (--trial-seed {self.seed})"]

    def _pairs(self) -> list[tuple[int, int]]:
        order = self.order()
        return list(zip(order[::2], order[1::2], strict=True))
