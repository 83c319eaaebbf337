"""A follower in a thread of its own, woken where the kernel tells of changes.

Where it tells of none (`linux.change_signals`), the follower looks by the clock alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

from pghot.linux.change_signals import ChangeSignals
from pghot.linux.processes.targets import Cgroup
from pghot.live.follower import Follower
from pghot.live.session import Session

LONGEST_S = 2.0
"""Seconds that the end of a run waits for a look under way; it is left alone after that."""


@contextmanager
def in_thread(follower: Follower, session: Session, now_us: Callable[[], int]) -> Iterator[None]:
    """Have the follower look beside what goes on within."""
    stop = Event()
    signals = _signals(session)
    thread = Thread(
        target=_follow, args=(follower, signals, now_us, stop), name="follower", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        signals.interrupt()
        thread.join(LONGEST_S)


def _follow(
    follower: Follower, signals: ChangeSignals, now_us: Callable[[], int], stop: Event
) -> None:
    with closing(signals):
        while not stop.is_set():
            due_us = follower.look()
            for what in signals.wait((due_us - now_us()) / 1e6):
                follower.call_for(what, signals.take_blocks())


def _signals(session: Session) -> ChangeSignals:
    targets, host = session.targets, session.host
    group = str(host.path(targets.directory)) if isinstance(targets, Cgroup) else None
    return ChangeSignals(targets.members, group)
