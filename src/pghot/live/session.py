"""Everything of a host that a live command holds while it runs, opened and given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pghot.errors import PghotError
from pghot.linux.guard import SettingsGuard
from pghot.linux.host import Host
from pghot.linux.launch import Launched
from pghot.linux.processes import Cgroup, Everything, Pids, Targets
from pghot.linux.topology import Topology, read_topology
from pghot.live.options import Options
from pghot.sources import hardware, hint_faults
from pghot.sources.choose import Choice, choose
from pghot.sources.live_source import LiveSource


@dataclass(frozen=True, slots=True)
class Session:
    """A host whose sources are open and stopped, whose settings are as they need them."""

    host: Host
    options: Options
    topology: Topology
    choice: Choice
    sources: Sequence[LiveSource]
    targets: Targets
    guard: SettingsGuard
    launched: Launched | None

    @property
    def notes(self) -> list[str]:
        """What the sources have to say, a line each."""
        return [note for source in self.sources for note in source.notes]


@contextmanager
def open_session(host: Host, options: Options) -> Iterator[Session]:
    """Find out what is there, take the settings, fork the command, open the sources.

    At the end all of it is given back, in reverse.  PghotError or InputError, one line,
    where something is missing; then nothing is left changed.
    """
    topology = read_topology(host, options.tiers)
    _need_two_tiers(topology)
    choice = choose(host, options.sources)
    with ExitStack() as stack:
        launched = None
        if options.command:
            launched = stack.enter_context(Launched(options.command))
        targets = _targets(options, launched)
        targets.resolve(host)
        guard = stack.enter_context(SettingsGuard(host))
        sources = [stack.enter_context(_opened(name, host)) for name in choice.names]
        if hint_faults.NAME in choice.names:
            for path, value in hint_faults.settings(options.pace):
                guard.set(path, value)
        yield Session(host, options, topology, choice, sources, targets, guard, launched)


def _need_two_tiers(topology: Topology) -> None:
    if not topology.slow or not topology.fast:
        kind = "slow node (one below the top tier)" if topology.fast else "top-tier node"
        hint = topology.suggested_tiers
        advice = f"try --tiers {hint}" if hint else "see pghot topology; pghot demo needs none"
        raise PghotError(f"this host has no {kind}: {advice}")


def _targets(options: Options, launched: Launched | None) -> Targets:
    if launched is not None:
        return Pids([launched.pid])
    if options.cgroup is not None:
        return Cgroup(options.cgroup)
    return Everything() if options.everything else Pids(options.pids)


@contextmanager
def _opened(name: str, host: Host) -> Iterator[LiveSource]:
    module = {hint_faults.NAME: hint_faults, hardware.NAME: hardware}[name]
    source: LiveSource = module.open_source(host, follow=True)
    try:
        yield source
    finally:
        source.close()
