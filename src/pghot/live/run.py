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
from pghot.live.sinks import LogSink
from pghot.live.state import States
from pghot.live.trial_plan import TrialPlan

if TYPE_CHECKING:
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
    if engine_options.shared and not read_rights(host).has("CAP_SYS_NICE"):
        raise PghotError(
            "--move-shared: moving pages that others map wants CAP_SYS_NICE: run as root"
        )
    clock = clock or Clock()
    losses = losses if losses is not None else Losses()
    with ExitStack() as stack:
        if mailbox is not None:
            stack.callback(mailbox.close)
        session = stack.enter_context(opened(host, options))
        tell_recovered(session, tell)
        answers = AnswerLog(running=record is not None)
        tally = HotProcesses() if mailbox is not None else None
        live = RunningEngine(session, engine_options, answers, clock, tally)
        live.take(losses, observer, tell)
        stack.callback(live.close)
        under_way = stack.enter_context(ExitStack())
        recorded = losses.beside(f"the recording {record}", tell)
        log = None
        if record is not None:
            writer = under_way.enter_context(
                recording(
                    record,
                    live.machine,
                    run_metadata(live),
                    force=force,
                    optional=logged(session.sources),
                )
            )
            log = LogSink(writer, live.machine, answers, live.mappings, recorded)
        introduce(session, tell)
        if session.launched is not None:
            session.launched.hear(tell)
        # Settings come back first, however it ends: before parts are merged or threads joined.
        stack.callback(session.guard.restore)
        for line in session.take_settings():
            tell(line)
        live.begin()
        buffer = ReorderBuffer(
            session.sources,
            session.targets,
            live.machine,
            clock.start_ns,
            session.scans,
            live.evidence.served,
        )
        live.evidence.slow_faults = lambda: buffer.hint_faults
        sink = live.sink(log, events)
        published = Publisher(States(live, buffer, sink.driver), status)
        live.pacer = pacer(session, buffer, tell)
        begun = live.begin_trial(trial, sink)
        if begun is not None:
            stack.callback(begun.close)
        if mailbox is not None:
            write = sink.write if begun is None else held_still
            published.to(mailbox, write, clock.now_us)
        followup = Followup(clock, sink, live.staying, tell)
        looks = Looks(clock, published, followup, live.evidence, live.pacer, begun)
        attend = partial(looks.attend, live.engine.fault_latency)
        taker = sink if begun is None else begun.switch
        why = loop.run(session, buffer, clock, taker, tell, looks.second, attend)
        session.guard.restore()
        state = published.end(clock.now_us(), why)
        if log is not None:
            log.end(sink.driver.instant)
            end_beside(under_way, recorded)
    launched = session.launched
    return LiveResult(live, state), 0 if launched is None else launched.wait()


def held_still(name: str, _text: str) -> None:
    """Refuse to write a tunable while a trial goes on; TunableError."""
    raise TunableError(EBUSY, f"{name}: cannot change while a trial goes on")
