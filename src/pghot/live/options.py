"""What a live command is asked to do, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pghot.engine.fidelity import IMPROVED, Fidelity
from pghot.engine.layout import DEFAULT, Layout
from pghot.live.cost_budget import CostBudget
from pghot.sources.scan_settings import Pace

MOVE_SHARE = 0.1
"""What moves may cost of one CPU: 4 KiB folios of some 160 MB a second."""


def default_pace() -> Pace:
    """The pace at which slow pages are looked for unless the user says otherwise.

    The kernel's own (a second before it starts, then a second between two scans of 256 MiB)
    would be the floor of how soon a page can be known to be hot.
    """
    return Pace(scan_delay_ms=100, scan_period_min_ms=400, scan_period_max_ms=1000)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Who is watched, by what, for how long.

    One of `pids`, `everything`, `cgroup` and `command` names the targets.  `sources` empty:
    all that the host has.  `pace` is the kernel's scan for hint faults.  `duration` in
    seconds; None: as long as there is something to watch.  `hangup_stops` False leaves
    SIGHUP to whoever handles it.  `new_privileges`: the command may gain rights by what it
    executes, as sudo does.  `budget` is what hint faults may cost; None: the scan's size
    stays as it is.  `beside` False: nothing is read in a thread of its own.
    """

    pids: tuple[int, ...] = ()
    everything: bool = False
    cgroup: str | None = None
    command: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tiers: str | None = None
    pace: Pace = field(default_factory=default_pace)
    duration: float | None = None
    hangup_stops: bool = True
    new_privileges: bool = False
    budget: CostBudget | None = field(default_factory=CostBudget)
    beside: bool = True


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine runs: its layout, fidelity, tunables as text, the latency budget.

    `dry_run` checks and judges everything and moves nothing.  `one_up`: where there are more
    than two tiers pages go to the next faster one, else to the top tier.  `shared`: pages
    that several processes map move as well (MPOL_MF_MOVE_ALL).  `move_share` is what moves may
    cost of one CPU.
    """

    layout: Layout = DEFAULT
    fidelity: Fidelity = IMPROVED
    tunables: Mapping[str, str] = field(default_factory=dict)
    budget_ms: float = 20
    dry_run: bool = False
    one_up: bool = False
    shared: bool = False
    move_share: float = MOVE_SHARE
