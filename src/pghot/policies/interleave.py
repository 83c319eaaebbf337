"""Pages dealt out in turn among all nodes when they are allocated (MPOL_INTERLEAVE)."""

from __future__ import annotations

from pghot.policies.policy import Figures
from pghot.simulated.world import World


class Interleave:
    """Places once, and moves nothing."""

    def prepare(self, world: World) -> None:
        """Have every region spread over the nodes that are there."""
        world.place_of = lambda _region, _place: (tuple(world.memory.nodes()), True)

    def figures(self) -> Figures:
        """Give zeros."""
        return Figures()
