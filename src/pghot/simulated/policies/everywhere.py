"""What all accesses would take were there room for all: on the top tier, and below it."""

from __future__ import annotations

from pghot.simulated.groups import Group
from pghot.simulated.policies.policy import Policy
from pghot.simulated.world import World


class Everywhere(Policy):
    """Serves every access from the nearest node of one tier, whatever room it has."""

    def __init__(self, *, toptier: bool) -> None:
        self._toptier = toptier

    def start(self, world: World) -> None:
        """Have each group's accesses go to the node that is fastest for its CPUs."""
        nids = [node.id for node in world.memory.all.values() if node.toptier == self._toptier]

        def nearest(group: Group) -> int:
            table = group.table
            return min(
                nids, key=lambda nid: world.traffic.idle_ns(table.node, nid, table.store_share)
            )

        if nids:
            world.served_by = nearest
