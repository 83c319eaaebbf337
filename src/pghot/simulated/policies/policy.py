"""What every policy may do: verbs that do nothing until a policy says otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pghot.binning.forms import Binned
from pghot.engine.vmstat import ORDER
from pghot.simulated.scenario.scenario import EventTable
from pghot.simulated.world import FaultArrays, World


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


class Policy:
    """Which pages of a simulated machine move, when and where; a new one for each run.

    `start` comes first and `figures` last.  A verb that a policy does not have costs nothing:
    hint faults are found only for a policy with `hint_faults`.
    """

    def start(self, world: World) -> None:
        """Before anything runs: keep the world, start sources, put wake-ups on its agenda."""

    def place(self, region: str, nodes: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
        """Where a region is allocated: nodes in order of preference, and whether in turn.

        `nodes` are those of the scenario; without this verb, the scenario decides alone.
        """
        del region
        return nodes, False

    def hint_faults(self, faults: FaultArrays) -> None:
        """Accesses to prot_none folios, in the order of time."""

    def new_heat(self, now: float) -> None:
        """The heat of pages has changed: threads start or end, or a phase does (seconds)."""

    def event(self, event: EventTable) -> None:
        """An event of the scenario, after the machine has changed."""

    def stepped(self, now: float) -> None:
        """A step has ended, at `now` seconds."""

    def figures(self) -> Figures:
        """What was counted, once the run is over; zeros by default."""
        return Figures()


def attach(policy: Policy, world: World) -> None:
    """Start a policy in a world that has not run yet, and have its verbs called."""
    policy.start(world)
    if _has(policy, "place"):
        world.place_of = policy.place
    if _has(policy, "hint_faults"):
        world.on_faults = policy.hint_faults
    if _has(policy, "new_heat"):
        world.on_new_heat.append(policy.new_heat)
    if _has(policy, "event"):
        world.on_event.append(policy.event)
    if _has(policy, "stepped"):
        world.after_step.append(policy.stepped)


def _has(policy: Policy, verb: str) -> bool:
    return getattr(type(policy), verb) is not getattr(Policy, verb)
