"""The loop of a live run: rows up to each instant to whoever takes them, then the wake-up.

It keeps to the instants of a replay (R9.3): the rows up to an instant, then a look at
that instant, in order.  Instants that went by while it was busy are slept through, as a kernel
thread sleeps after its work and not by the clock: who falls behind would else stay behind.
What of the host changes is looked for beside it (`follower`) and taken in between two wake-ups.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from pghot.errors import PghotError
from pghot.linux.nodes.topology import Topology
from pghot.live.clock import SETTLE_US, Clock
from pghot.live.reorder_buffer import ReorderBuffer
from pghot.live.session import Session
from pghot.live.stopping import Stop, stopping
from pghot.live.watch import SessionWatch
from pghot.log.schema import Columns

STATUS_US = 1_000_000
"""Microseconds between two calls of `status`."""

LOOK_US = 250_000
"""Microseconds that a signal, the targets' end or the end of the time waits at the most."""


class Sink(Protocol):
    """Who takes the rows: a log, the engine, or both."""

    @property
    def step_us(self) -> int:
        """Microseconds between two wake-ups."""

    def wake(self, instant: int, rows: Columns) -> None:
        """Take the rows up to `instant` and do what is to be done then."""

    def renewed(self, pid: int) -> None:
        """Take in that a process executes another program: its memory is new."""

    def host_is(self, instant: int, topology: Topology) -> None:
        """Take in how the host looks now."""


def run(
    session: Session,
    buffer: ReorderBuffer,
    clock: Clock,
    sink: Sink,
    tell: Callable[[str], None],
    status: Callable[[int], None],
    attend: Callable[[], None] = lambda: None,
) -> str:
    """Run until the time is up, nothing is left to watch, or a signal; say which it was.

    `tell` takes lines that a person should know, `status` the microseconds gone so far.
    `attend` is called several times a second, never within a wake-up.
    """
    watch = SessionWatch(session, tell, clock)
    watch.notes()
    instant = 0
    status_due = STATUS_US
    why = ""
    with stopping(session.launched, hangup=session.options.hangup_stops) as stop:
        if session.scans is not None:
            session.scans.enable()
        for source in session.sources:
            source.enable()
        session.launch()
        with clock.beside(watch.follower, session):  # only now: no thread is forked with it
            while not why:
                # A wake-up may be minutes away: there is something else to look after.
                until = min(instant + sink.step_us + SETTLE_US, clock.now_us() + LOOK_US)
                now_us = _drain_until(session, buffer, clock, sink, until)
                watch.attend(now_us)
                attend()
                if now_us >= instant + sink.step_us + SETTLE_US:
                    instant = _latest(instant, sink.step_us, now_us)
                    _see_host(watch, sink, instant)
                    sink.wake(instant, buffer.until(instant))
                if now_us >= status_due:
                    status(now_us)
                    status_due = now_us + STATUS_US
                why = _reason_to_end(session, watch, stop, now_us)
        for source in session.sources:
            source.disable()
    return why


def _latest(instant: int, step_us: int, now_us: int) -> int:
    """The last instant whose rows are in by now."""
    return instant + (now_us - SETTLE_US - instant) // step_us * step_us


def _see_host(watch: SessionWatch, sink: Sink, instant: int) -> None:
    topology = watch.host_changed()
    if topology is None:
        return
    try:
        sink.host_is(instant, topology)
    except PghotError as error:  # memory came where a log cannot say it
        watch.say(str(error))


def _reason_to_end(session: Session, watch: SessionWatch, stop: Stop, now_us: int) -> str:
    """Why the run ends now; empty where it goes on."""
    duration = session.options.duration
    gone = watch.targets_gone()
    if stop.signal is not None:
        return f"stopped by {signal.Signals(stop.signal).name}"
    if duration is not None and now_us >= duration * 1_000_000:
        return "the time was up"
    if session.launched is not None:
        return "the command ended" if session.launched.poll() is not None else ""
    return "the targets ended" if gone else ""


def _drain_until(
    session: Session, buffer: ReorderBuffer, clock: Clock, sink: Sink, us: int
) -> int:
    """Wait until then and take in what the sources have, more than once if a ring fills.

    Gives the time by the clock.
    """
    due = False
    while not due:
        descriptors = [fd for source in session.sources for fd in source.descriptors]
        rests = [source.rest_us for source in session.sources if source.rest_us is not None]
        soon = min([us, *(clock.now_us() + rest for rest in rests)])
        due = clock.wait_until(soon, descriptors) and soon == us
        for pid in buffer.drain():
            sink.renewed(pid)
    return clock.now_us()
