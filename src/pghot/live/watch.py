"""What is looked after once in a while during a live run: targets, CPUs, settings, nodes.

The looking is done beside (`follower`); here what was found is taken in, in the thread of the
loop.  Settings are looked at here, for the loop sets them: a few files that are held open.
"""

from __future__ import annotations

from collections.abc import Callable

from pghot.errors import Caution
from pghot.linux.nodes.topology import Topology
from pghot.linux.processes.following import Change
from pghot.live.clock import Clock
from pghot.live.follower import CpusChanged, Follower, Told
from pghot.live.session import Session

SETTINGS_US = 5_000_000
"""Microseconds between two looks at the settings."""


class SessionWatch:
    """Looks after a session; `tell` takes what a person should know, a line each."""

    def __init__(self, session: Session, tell: Callable[[str], None], clock: Clock) -> None:
        self._session = session
        self._tell = tell
        self._told: set[str] = set()
        self._settings_due = SETTINGS_US
        self._topology: Topology | None = None
        self.follower = Follower(session, clock.now_us)

    def targets_gone(self) -> bool:
        """Whether none of the targets is left, as of what was found and told."""
        return not self._session.targets.alive()

    def attend(self, now_us: int) -> None:
        """Take in what was found beside; the topology waits for `host_changed`."""
        for found in self.follower.take():
            match found:
                case Topology():
                    self._topology = found
                case Change(came, gone, cpu_ticks):
                    self._session.targets.changed(came, gone, cpu_ticks)
                case CpusChanged():
                    self._follow_cpus()
                case Told(line):
                    self.say(line)
        if now_us >= self._settings_due:
            self._settings_due = now_us + SETTINGS_US
            self._look_at_settings()

    def host_changed(self) -> Topology | None:
        """The host's topology where it was looked at since the last call."""
        topology, self._topology = self._topology, None
        return topology

    def notes(self) -> None:
        """Report the notes of the sources."""
        for note in self._session.notes:
            self.say(note)

    def say(self, line: str) -> None:
        """Report a caution, once."""
        if line not in self._told:
            self._told.add(line)
            self._tell(Caution(line))

    def _follow_cpus(self) -> None:
        for source in self._session.sources:
            source.follow_cpus()
        if self._session.scans is not None:
            self._session.scans.follow_cpus()

    def _look_at_settings(self) -> None:
        for changed in self._session.guard.changed_by_others():
            now = "gone" if changed.now is None else changed.now
            self.say(f"{changed.path} was set to {now} by somebody else; it was {changed.ours}")
        self.notes()
