"""Everything of a host that a live command holds while it runs, opened and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pghot.errors import Caution, PghotError
from pghot.linux.guard.settings import SCAN
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.linux.host import Host
from pghot.linux.nodes.topology import Topology, read_topology
from pghot.linux.processes.launch import Launched
from pghot.linux.processes.targets import Cgroup, Everything, Pids, Targets
from pghot.live.options import LiveOptions
from pghot.live.scan_pace import SIZE
from pghot.sources import hint_faults
from pghot.sources.choose import Choice, choose
from pghot.sources.live_source import LiveSource
from pghot.sources.prot_none import ProtNone
from pghot.sources.registry import find

OpenSource = Callable[[str, Host], LiveSource]


@dataclass(frozen=True, slots=True)
class Session:
    """A host whose sources are open and stopped, whose settings are still its own."""

    host: Host
    options: LiveOptions
    topology: Topology
    choice: Choice
    sources: Sequence[LiveSource]
    targets: Targets
    guard: SettingsGuard
    launched: Launched | None
    scans: ProtNone | None = None
    lacking: Sequence[str] = ()

    def take_settings(self) -> list[str]:
        """Set what the sources need of the host; give what a person should know, a line each.

        Before anything else may fail for what was asked: nothing is changed for a mistake.
        """
        if hint_faults.NAME not in self.choice.names:
            return []
        missing = []
        for path, value in hint_faults.settings(self.options.pace):
            if path.startswith(SCAN) and not self.host.exists(path):
                missing.append(path.rpartition("/")[2])
            else:
                self.guard.set(path, value)
        if not missing:
            return []
        lacks = f"{SCAN}: no {', '.join(missing)} (is debugfs mounted?)"
        return [Caution(f"{lacks}: the kernel's own pace, so hot pages are known later")]

    @property
    def paced(self) -> bool:
        """Whether the size of the scan's steps can be set here."""
        return self.host.exists(SIZE)

    def launch(self) -> None:
        """Fork the command, watch it, and let it go; nothing where there is none."""
        if self.launched is not None and isinstance(self.targets, Pids):
            self.launched.fork()
            self.targets.add(self.launched.pid)
            self.launched.start()

    @property
    def notes(self) -> list[str]:
        """What the sources and the targets have to say, a line each."""
        of_sources = [note for source in self.sources for note in source.notes]
        return [*self.lacking, *of_sources, *self.targets.notes]


@contextmanager
def open_session(
    host: Host, options: LiveOptions, open_source: OpenSource | None = None
) -> Iterator[Session]:
    """Find out what is there, find the command, let no other instance in, open the sources.

    At the end all of it is given back, in reverse, and every setting taken meanwhile.
    PghotError or InputError, one line, where something is missing.  `open_source` opens a
    source by its name.
    """
    topology = read_topology(host, options.tiers)
    _need_two_tiers(topology)
    choice = choose(host, options.sources)
    with ExitStack() as stack:
        launched = None
        if options.command:
            launched = stack.enter_context(
                Launched(options.command, new_privileges=options.new_privileges)
            )
        targets = _targets(options)
        targets.resolve(host)
        guard = stack.enter_context(SettingsGuard(host))
        sources = []
        for name in choice.names:
            sources.append((open_source or _open)(name, host))
            stack.callback(sources[-1].close)
        scans, notes = _open_scans(host, choice)
        if scans is not None:
            stack.callback(scans.close)
        yield Session(
            host, options, topology, choice, sources, targets, guard, launched, scans, notes
        )


def _need_two_tiers(topology: Topology) -> None:
    if not topology.slow or not topology.fast:
        kind = "slow node (one below the top tier)" if topology.fast else "top-tier node"
        hint = topology.suggested_tiers
        advice = f"try --tiers {hint}" if hint else "see pghot topology; pghot demo needs none"
        raise PghotError(f"this host has no {kind}: {advice}")


def _targets(options: LiveOptions) -> Targets:
    if options.cgroup is not None:
        return Cgroup(options.cgroup)
    return Everything() if options.everything else Pids(options.pids)


def _open_scans(host: Host, choice: Choice) -> tuple[ProtNone | None, list[str]]:
    """Open the probe that tells hint faults' latencies; None, and why, where there is none."""
    if hint_faults.NAME not in choice.names:
        return None, []
    try:
        return ProtNone(host), []
    except PghotError as error:
        return None, [f"{error}: hint faults are judged by how often they come, not how soon"]


def _open(name: str, host: Host) -> LiveSource:
    return find(name).open_source(host, follow=True)
