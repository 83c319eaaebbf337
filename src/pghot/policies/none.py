"""No promotion: pages stay where they were allocated (NUMAB0 of the published figures)."""

from __future__ import annotations

from pghot.policies.policy import Figures
from pghot.simulated.world import World


class NoPromotion:
    """Does nothing."""

    def prepare(self, world: World) -> None:
        """Leave the world as it is."""

    def figures(self) -> Figures:
        """Give zeros."""
        return Figures()
