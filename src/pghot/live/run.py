"""`pghot run` without its command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from errno import EBUSY
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pghot.driving.answer_log import AnswerLog
from pghot.driving.observer import Observer
from pghot.driving.run_state import RunState
from pghot.engine.errors import TunableError
from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.processes.capabilities import read_rights
from pghot.live import loop
from pghot.live.attending import Followup, Looks, pacer
from pghot.live.beside import Losses
from pghot.live.clock import Clock
from pghot.live.hot_processes import HotProcesses
from pghot.live.mailbox import Mailbox
from pghot.live.options import EngineOptions, LiveOptions
from pghot.live.publisher import Publisher
from pghot.live.recording import end_beside, introduce, recording, tell_recovered
from pghot.live.reorder_buffer import ReorderBuffer, logged
from pghot.live.result import LiveResult
from pghot.live.running import RunningEngine, run_metadata
from pghot.live.session import Session, open_session
from pghot.live.sinks import EngineSink, LogSink, PartWriter
from pghot.live.state import States

if TYPE_CHECKING:
    from pghot.live.trial_plan import TrialPlan
    from pghot.log.events import Events

Tell = Callable[[str], None]
Opened = Callable[[Host, LiveOptions], AbstractContextManager[Session]]


def run_engine(
    host: Host,
    options: LiveOptions,
    engine_options: EngineOptions,
    *,
    tell: Tell,
    status: Callable[[RunState], None],
    record: Path | None = None,
    force: bool = False,
    observer: Observer | None = None,
    events: Events | None = None,
    opened: Opened = open_session,
    clock: Clock | None = None,
    mailbox: Mailbox[RunState] | None = None,
    losses: Losses | None = None,
    trial: TrialPlan | None = None,
) -> tuple[LiveResult, int]:
    """Run the engine on the host until `options` say so; give what came of it.

    And the exit status: the launched command's own, else 0.  `tell` takes lines for a
    person, `status` the state of things once a second, `record` is a log to write as well,
    `events` takes what becomes of every page, `observer` is told of rows, batches and wake-ups.
    `opened` and `clock` are other than the host's own in virtual time.  `mailbox` is where other
    threads meet the run; it is closed at the end, however that comes.  `losses` takes what of
    `record`, `events` and `observer` was lost on the way: none of that ends a run.
    With `trial` promotion goes on and off by its plan, whose duration `options` have.
    """
    _check_rights(host, engine_options)
    clock = clock or Clock()
    losses = losses if losses is not None else Losses()
    with ExitStack() as stack:
        if mailbox is not None:
            stack.callback(mailbox.close)
        session = stack.enter_context(opened(host, options))
        tell_recovered(session, tell)
        answers = AnswerLog(running=record is not None)
        tally = HotProcesses() if mailbox is not None else None
        running = RunningEngine(session, engine_options, answers, clock, tally)
        running.take(losses, observer, tell)
        stack.callback(running.close)
        under_way = stack.enter_context(ExitStack())
        recorded = losses.beside(f"the recording {record}", tell)
        log = None
        if record is not None:
            writer = under_way.enter_context(_writer(running, record, force=force))
            log = LogSink(writer, running.machine, answers, running.mappings, recorded)
        _take_settings(stack, session, tell)
        running.begin()
        buffer = _buffer(running, clock)
        sink = running.sink(log, events, buffer.take_marked)
        publisher = Publisher(States(running, buffer, sink.driver), status)
        running.pacer = pacer(session, buffer, tell)
        begun = running.begin_trial(trial, sink)
        if begun is not None:
            stack.callback(begun.close)
        if mailbox is not None:
            write = sink.write if begun is None else held_still
            publisher.to(mailbox, write, clock.now_us)
        why = _run(running, buffer, clock, sink, publisher, tell)
        session.guard.restore()
        state = publisher.end(clock.now_us(), why)
        if log is not None:
            log.end(sink.driver.instant)
            end_beside(under_way, recorded)
    launched = session.launched
    return LiveResult(running, state), 0 if launched is None else launched.wait()


def _check_rights(host: Host, options: EngineOptions) -> None:
    if options.shared and not read_rights(host).has("CAP_SYS_NICE"):
        raise PghotError(
            "--move-shared: moving pages that others map wants CAP_SYS_NICE: run as root"
        )


def _writer(
    running: RunningEngine, path: Path, *, force: bool
) -> AbstractContextManager[PartWriter]:
    """The log of the run, under way."""
    sources = running.session.sources
    metadata = run_metadata(running)
    return recording(path, running.machine, metadata, force=force, optional=logged(sources))


def _take_settings(stack: ExitStack, session: Session, tell: Tell) -> None:
    """Say what is watched and set what the sources need; `stack` puts it back."""
    introduce(session, tell)
    if session.launched is not None:
        session.launched.hear(tell)
    # Settings come back first, however it ends: before parts are merged or threads joined.
    stack.callback(session.guard.restore)
    for line in session.take_settings():
        tell(line)


def _buffer(running: RunningEngine, clock: Clock) -> ReorderBuffer:
    """The samples of the run's sources in order of time, which its marks count as well."""
    session, marks = running.session, running.evidence
    buffer = ReorderBuffer(
        session.sources,
        session.targets,
        running.machine,
        clock.start_ns,
        session.scans,
        marks.served,
    )
    marks.slow_faults = lambda: buffer.hint_faults
    return buffer


def _run(
    running: RunningEngine,
    buffer: ReorderBuffer,
    clock: Clock,
    sink: EngineSink,
    publisher: Publisher,
    tell: Tell,
) -> str:
    """Wake up until the run ends; why it did."""
    trial = running.trial
    followup = Followup(clock, sink, running.staying, tell)
    looks = Looks(clock, publisher, followup, running.evidence, running.pacer, trial)
    attend = partial(looks.attend, running.engine.fault_latency)
    taker = sink if trial is None else trial.switch
    return loop.run(running.session, buffer, clock, taker, tell, looks.second, attend)


def held_still(name: str, _text: str) -> None:
    """Refuse to write a tunable while a trial goes on; TunableError."""
    raise TunableError(EBUSY, f"{name}: cannot change while a trial goes on")
