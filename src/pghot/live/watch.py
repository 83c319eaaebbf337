"""What is looked after once in a while during a live run: targets, CPUs, settings, nodes."""

from __future__ import annotations

from collections.abc import Callable

from pghot.errors import Caution, PghotError
from pghot.linux.nodes.topology import Topology, read_topology
from pghot.live.clock import Clock
from pghot.live.session import Session

TARGETS_US = 1_000_000
HOST_US = 5_000_000
"""Microseconds between two looks at the processes and at the host, at the least."""

SHARE = 20
"""A look that takes long is not repeated before this many times as long has gone by."""


class SessionWatch:
    """Looks after a session; `tell` takes what a person should know, a line each."""

    def __init__(self, session: Session, tell: Callable[[str], None], clock: Clock) -> None:
        self._session = session
        self._tell = tell
        self._clock = clock
        self._told: set[str] = set()
        self._targets_due = TARGETS_US
        self._host_due = HOST_US

    def targets_gone(self, now_us: int) -> bool:
        """Look for new and ended processes where it is time; tell whether none is left."""
        if now_us >= self._targets_due:
            self._session.targets.refresh()
            self._targets_due = self._next(now_us, TARGETS_US)
        return not self._session.targets.alive()

    def host_changed(self, now_us: int) -> Topology | None:
        """Look after settings and CPUs where it is time; give the host's topology if it is new."""
        if now_us < self._host_due:
            return None
        try:
            return self._look_at_host()
        finally:
            self._host_due = self._next(now_us, HOST_US)

    def notes(self) -> None:
        """Report the notes of the sources."""
        for note in self._session.notes:
            self.say(note)

    def say(self, line: str) -> None:
        """Report a caution, once."""
        if line not in self._told:
            self._told.add(line)
            self._tell(Caution(line))

    def _look_at_host(self) -> Topology | None:
        for source in self._session.sources:
            source.follow_cpus()
        if self._session.scans is not None:
            self._session.scans.follow_cpus()
        for changed in self._session.guard.changed_by_others():
            now = "gone" if changed.now is None else changed.now
            self.say(f"{changed.path} was set to {now} by somebody else; it was {changed.ours}")
        self.notes()
        try:
            return read_topology(self._session.host, self._session.options.tiers, grown=True)
        except PghotError as error:
            self.say(str(error))
            return None

    def _next(self, began_us: int, least_us: int) -> int:
        """When to look again after a look that began then and ends now."""
        return began_us + max(least_us, SHARE * (self._clock.now_us() - began_us))
