"""Pages dealt out in turn among all nodes when they are allocated (MPOL_INTERLEAVE)."""

from __future__ import annotations

from pghot.simulated.policies.policy import Policy
from pghot.simulated.world import World


class Interleave(Policy):
    """Places once, and moves nothing."""

    def start(self, world: World) -> None:
        """Keep the machine, whose nodes are known when a region is allocated."""
        self._memory = world.memory

    def place(self, region: str, nodes: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
        """Every region over all nodes that are there, a page each in turn."""
        del region, nodes
        return tuple(self._memory.nodes()), True
