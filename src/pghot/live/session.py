"""Everything of a host that a live command holds while it runs, opened and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from errno import EPERM

from pghot.errors import Caution, PghotError
from pghot.linux.guard.balancing import balancing_mode
from pghot.linux.guard.lockdown import lockdown
from pghot.linux.guard.settings import SCAN
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.linux.host import Host
from pghot.linux.nodes.memory_blocks import MemoryBlocks
from pghot.linux.nodes.topology import Topology, read_topology
from pghot.linux.nodes.two_tiers import lacks_tiers, no_hint_faults
from pghot.linux.processes.launch import Launched
from pghot.linux.processes.namespaces import check_namespaces
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
    refused: list[str] = field(default_factory=list)
    """Settings of the scan's pace that the kernel keeps shut."""
    blocks: MemoryBlocks = field(default_factory=MemoryBlocks)
    """The host's memory blocks as of the last look at its topology."""

    def take_settings(self) -> list[str]:
        """Set what the sources need of the host; give what a person should know, a line each.

        Before anything else may fail for what was asked: nothing is changed for a mistake.
        """
        if hint_faults.NAME not in self.choice.names:
            return []
        missing = []
        mode = balancing_mode(self.host)
        for path, value in hint_faults.settings(self.options.pace, mode):
            if not path.startswith(SCAN):
                self.guard.set(path, value)
            elif not self.host.exists(path):
                missing.append(path.rpartition("/")[2])
            elif not self.refused:
                self._set_pace(path, value)
        later = "the kernel's own pace, so hot pages are known later"
        lacks = [f"{SCAN}: no {', '.join(missing)} (is debugfs mounted?)"] if missing else []
        return [Caution(f"{line}: {later}") for line in (*lacks, *self.refused)]

    def _set_pace(self, path: str, value: str) -> None:
        """Set the pace of the scan; where lockdown refuses it a run does without."""
        try:
            self.guard.set(path, value)
        except PghotError as error:
            locked = lockdown(self.host)
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == EPERM):
                raise
            by = f" (kernel lockdown: {locked})" if locked else ""
            self.refused.append(f"{error}{by}")

    @property
    def paced(self) -> bool:
        """Whether the size of the scan's steps can be set here."""
        return self.host.exists(SIZE) and not self.refused

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
    check_namespaces(host)
    blocks = MemoryBlocks()
    topology = read_topology(host, options.tiers, blocks_of=blocks.of)
    _need_two_tiers(topology)
    choice = choose(host, options.sources, _lacking(topology))
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
            sources[-1].watch(targets)
        scans, notes = _open_scans(host, choice)
        if scans is not None:
            stack.callback(scans.close)
        yield Session(
            host,
            options,
            topology,
            choice,
            sources,
            targets,
            guard,
            launched,
            scans,
            notes,
            blocks=blocks,
        )


def _need_two_tiers(topology: Topology) -> None:
    if lacks := lacks_tiers(topology):
        advice = f"try --tiers {lacks.tiers}" if lacks.tiers else lacks.command
        raise PghotError(f"nothing to promote on this host: {lacks.what}: {advice}")


def _lacking(topology: Topology) -> dict[str, str]:
    """Sources that would show nothing of what is slow here, and why."""
    why = no_hint_faults(topology)
    return {hint_faults.NAME: why} if why else {}


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
