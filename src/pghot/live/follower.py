"""Looks after a host beside a run: its nodes and CPUs, who is a target.

Whoever drives it calls `look`, in a thread beside the loop (`following`) or in virtual time,
and the loop takes what was found where it may (`take`), between two wake-ups.  A look changes
nothing by itself, neither of the run nor of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from pghot.errors import PghotError
from pghot.linux.nodes.cpus import online_cpus
from pghot.linux.nodes.topology import Topology, read_topology
from pghot.linux.processes.following import Change, look_for
from pghot.live.session import Session

TARGETS_US = 1_000_000
HOST_US = 5_000_000
"""Microseconds between two looks at the processes and at the host, where nothing calls for one."""

SOON_US = 100_000
"""Microseconds from a call for a look to the look: changes come in swarms."""

SHARE = 100
"""A look that takes long is not repeated before this many times as long has gone by."""


@dataclass(frozen=True, slots=True)
class CpusChanged:
    """Other CPUs are online than were."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line that a person should know."""

    line: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A mistake of pghot's own, to be raised where the run is."""

    error: Exception


Found = Topology | Change | CpusChanged | Told | Failed


@dataclass(slots=True)
class _Look:
    """Something to look at: how often, when next, and what looks."""

    every_us: int
    due_us: int
    act: Callable[[], None]


class Follower:
    """Looks when it is time, by `now_us`; a look takes no more than one part in SHARE of it.

    `look` and `call_for` belong to one thread, `take` to another.
    """

    def __init__(self, session: Session, now_us: Callable[[], int]) -> None:
        self._session = session
        self._now_us = now_us
        self._found: SimpleQueue[Found] = SimpleQueue()
        self._processes = look_for(session.targets, self._tell)
        self._cpus = online_cpus(session.host)
        self._looks = {
            "processes": _Look(TARGETS_US, TARGETS_US, self._at_processes),
            "host": _Look(HOST_US, HOST_US, self._at_host),
        }

    def look(self) -> int:
        """Look at what is due; the time when there is something to do again."""
        for look in self._looks.values():
            began_us = self._now_us()
            if began_us >= look.due_us:
                self._act(look)
                took_us = self._now_us() - began_us
                look.due_us = began_us + max(look.every_us, SHARE * took_us)
        return min(look.due_us for look in self._looks.values())

    def call_for(self, what: str, blocks: frozenset[str] = frozenset()) -> None:
        """Have something looked at soon (`processes` or `host`), and these memory blocks."""
        self._session.blocks.forget(blocks)
        look = self._looks[what]
        look.due_us = min(look.due_us, self._now_us() + SOON_US)

    def take(self) -> list[Found]:
        """What was found since the last call, in order; raises what failed by a mistake."""
        found: list[Found] = []
        while True:
            try:
                one = self._found.get_nowait()
            except Empty:
                return found
            if isinstance(one, Failed):
                raise one.error
            found.append(one)

    def _act(self, look: _Look) -> None:
        try:
            look.act()
        except PghotError as error:
            self._tell(str(error))
        except OSError as error:  # it changed while it was read: the next look sees how
            self._tell(f"{error.filename or 'the host'}: {error.strerror or error}")
        except ValueError as error:  # a file that was half written, or none that is known
            self._tell(f"the host cannot be read as it is now: {error}")
        except Exception as error:  # noqa: BLE001 - it is raised in the thread of the run
            self._found.put(Failed(error))

    def _at_processes(self) -> None:
        change = self._processes.look()
        if change != Change():
            self._found.put(change)

    def _at_host(self) -> None:
        session = self._session
        cpus = online_cpus(session.host)
        if cpus != self._cpus:
            self._cpus = cpus
            self._found.put(CpusChanged())
        tiers, blocks_of = session.options.tiers, session.blocks.of
        self._found.put(read_topology(session.host, tiers, grown=True, blocks_of=blocks_of))

    def _tell(self, line: str) -> None:
        self._found.put(Told(line))
