"""What every policy does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from pghot.binning.forms import Binned
from pghot.engine.vmstat import ORDER
from pghot.simulated.world import World


@dataclass(slots=True)
class Figures:
    """What a policy counted: vmstat counters by name, refusals by reason, pages by memcg.

    `binned`: what an engine has beside it, where there is one.
    """

    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ORDER, 0))
    refused: Counter[str] = field(default_factory=Counter)
    memcg_promoted: Counter[int] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    binned: Binned | None = None


class Policy(Protocol):
    """Decides what is promoted; a new one for each run."""

    def prepare(self, world: World) -> None:
        """Put into the world what this policy needs, before anything runs."""

    def figures(self) -> Figures:
        """Give what was counted, when the run is over."""
