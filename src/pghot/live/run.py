"""`pghot run` and `pghot record` without their command lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from errno import EBUSY
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pghot.driving.answer_log import AnswerLog
from pghot.driving.driver import Driver
from pghot.driving.observer import Begun, Observer
from pghot.driving.recording_memory import RecordingMemory
from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.memory import U64Array
from pghot.engine.tunables import ALL_SOURCES
from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.linux.pages.budget import LatencyBudget
from pghot.linux.pages.kpage import KPages
from pghot.linux.processes.capabilities import read_rights
from pghot.linux.processes.cgroups import cgroup_inodes
from pghot.linux.processes.pressure import pressure_file
from pghot.live import loop
from pghot.live.aiming import Aiming, one_up, to_the_top
from pghot.live.attending import Followup, Looks, pacer
from pghot.live.beside import FAILURES, Beside, GuardedObserver, Losses
from pghot.live.cautions import cautions
from pghot.live.clock import Clock
from pghot.live.demoted_again import DemotedAgain
from pghot.live.evidence import RunMarks
from pghot.live.hot_processes import HotProcesses
from pghot.live.machine import HostMachine
from pghot.live.mailbox import Mailbox
from pghot.live.mappings import Mappings
from pghot.live.move_budget import MoveBudget
from pghot.live.mover import HostMover, Promoted
from pghot.live.moving_back import MovingBack
from pghot.live.options import EngineOptions, LiveOptions
from pghot.live.page_metadata import PageMetadata
from pghot.live.placement import AllowedPlaces, OneByOne
from pghot.live.publisher import Publisher
from pghot.live.reorder_buffer import ReorderBuffer, logged
from pghot.live.result import LiveResult
from pghot.live.rmap import Owner, Rmap
from pghot.live.scan_pace import ScanPacer
from pghot.live.session import Session, open_session
from pghot.live.sinks import EngineSink, LogSink
from pghot.live.state import States
from pghot.live.trial import Counts, Trial, measures_nothing
from pghot.live.trial_plan import TrialPlan
from pghot.live.trial_switch import Switch
from pghot.log.schema import SOURCES, Metadata
from pghot.sources import hardware, hint_faults

if TYPE_CHECKING:
    from pghot.log.events import Events

RESULTS = "the results"
"""What an observer writes, to people."""

Tell = Callable[[str], None]
Opened = Callable[[Host, LiveOptions], AbstractContextManager[Session]]


def run_engine(
    host: Host,
    options: LiveOptions,
    engine_options: EngineOptions,
    *,
    tell: Tell,
    status: Callable[[LiveResult], None],
    record: Path | None = None,
    force: bool = False,
    observer: Observer | None = None,
    events: Events | None = None,
    opened: Opened = open_session,
    clock: Clock | None = None,
    mailbox: Mailbox | None = None,
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
        _tell_recovered(session, tell)
        answers = AnswerLog(running=record is not None)
        tally = HotProcesses() if mailbox is not None else None
        live = _Live(session, engine_options, answers, clock, tally)
        live.take(losses, observer, tell)
        stack.callback(live.close)
        recording = stack.enter_context(ExitStack())
        recorded = losses.beside(f"the recording {record}", tell)
        log = None
        if record is not None:
            writer = recording.enter_context(
                _recording(
                    record,
                    live.machine,
                    _run_metadata(live),
                    force=force,
                    optional=logged(session.sources),
                )
            )
            log = LogSink(writer, live.machine, answers, live.mappings, recorded)
        _introduce(session, tell)
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
        told = Publisher(partial(live.result, buffer, sink), status)
        live.pacer = pacer(session, buffer, tell)
        begun = live.begin_trial(trial, sink)
        if begun is not None:
            stack.callback(begun.close)
        if mailbox is not None and tally is not None:
            write = sink.write if begun is None else held_still
            told.to(mailbox, States(session, tally), write, clock.now_us)
        followup = Followup(clock, sink, live.staying, tell)
        looks = Looks(clock, told, followup, live.evidence, live.pacer, begun)
        attend = partial(looks.attend, live.engine.fault_latency)
        taker = sink if begun is None else begun.switch
        why = loop.run(session, buffer, clock, taker, tell, looks.second, attend)
        session.guard.restore()
        result = live.result(buffer, sink, clock.now_us(), why)
        told.publish(result)
        if log is not None:
            log.end(sink.driver.instant)
            _end(recording, recorded)
    launched = session.launched
    return result, 0 if launched is None else launched.wait()


def record_accesses(
    host: Host,
    options: LiveOptions,
    path: Path,
    *,
    tell: Tell,
    force: bool = False,
    opened: Opened = open_session,
    clock: Clock | None = None,
) -> tuple[int, str, int]:
    """Record the accesses of a host to a log: give rows, what ended it, the exit status."""
    clock = clock or Clock()
    with opened(host, options) as session:
        _tell_recovered(session, tell)
        answers = AnswerLog()
        machine = HostMachine(host, session.topology, _Nobody())
        metadata = Metadata(
            taken=f"pghot record: {session.choice.reason}",
            hz=machine.form.content["hz"],
            machine=machine.form.content,
            extra={"topology": session.topology.to_dict()},
        )
        with (
            _recording(
                path, machine, metadata, force=force, optional=logged(session.sources)
            ) as writer,
            ExitStack() as guarded,
        ):
            log = LogSink(writer, machine, answers, Mappings(host))
            _introduce(session, tell)
            guarded.callback(session.guard.restore)
            for line in session.take_settings():
                tell(line)
            clock.start()
            buffer = ReorderBuffer(
                session.sources, session.targets, machine, clock.start_ns, session.scans
            )
            paced = pacer(session, buffer, tell)
            attend = partial(paced.attend, clock) if paced is not None else lambda: None
            why = loop.run(session, buffer, clock, log, tell, lambda _us: None, attend)
            session.guard.restore()
            buffer.drain()
            now_us = clock.now_us()
            log.last(now_us, buffer.until(now_us))
            rows: int = writer.rows
    launched = session.launched
    return rows, why, 0 if launched is None else launched.wait()


class _Live:
    """What a run of the engine is made of."""

    def __init__(
        self,
        session: Session,
        options: EngineOptions,
        answers: AnswerLog,
        clock: Clock,
        tally: HotProcesses | None,
    ) -> None:
        host = session.host
        self.session = session
        self.options = options
        self._answers = answers
        self._clock = clock
        self._cpu_before = 0.0
        self._kernel_before = 0
        self._kpages = KPages(host)
        rmap = self._rmap = Rmap(0)
        self.mover = HostMover(
            host,
            session.targets,
            self._kpages,
            rmap,
            LatencyBudget(options.budget_ms),
            dry_run=options.dry_run,
            shared=options.shared,
            spending=MoveBudget(options.move_share),
            clock=clock.now_ns,
            tally=tally,
            promoted=self._note_promoted,
        )
        self.machine = HostMachine(host, session.topology, self.mover)
        self.mappings = Mappings(host)
        self.staying = DemotedAgain(self.machine, self.mover.pagemap, session.targets)
        self.moving_back: MovingBack | None = None
        self.trial: Trial | None = None
        names = [source.name for source in session.sources]
        self.evidence = RunMarks(
            host,
            pressure_file(host, session.options.cgroup),
            by_faults=hint_faults.NAME in names,
            by_samples=hardware.NAME in names,
        )
        self.pacer: ScanPacer | None = None
        self.mover.of(self.machine)
        self._worker = OneByOne()
        submit = self._worker.submit if session.options.beside else _at_once
        self.placement = AllowedPlaces(host, clock.now_ns, submit)
        self.machine.aiming = Aiming(
            one_up if options.one_up else to_the_top,
            self._owners_of,
            lambda pfns: self.machine.mem_map.known(pfns).pages.astype(np.int64),
            self.placement,
        )
        rmap.grow(self.machine.lower_tier_pages)
        self.metadata = PageMetadata(self.machine, self._kpages, rmap, tally)
        self.engine = self._engine()
        if self.engine.fidelity.fault_latency:
            self.metadata.wanted = self.engine.fault_latency.possible

    def take(self, losses: Losses, observer: Observer | None, tell: Tell) -> None:
        """Let `observer` know of the run, and `losses` of what fails beside it."""
        self._losses, self._tell = losses, tell
        self._events = losses.beside("the event log", tell)
        self._observes = observer is not None
        self._observer = GuardedObserver(observer or Observer(), losses.beside(RESULTS, tell))
        self._names = losses.beside("the names of control groups", tell)

    def begin(self) -> None:
        """Count time, CPU time and the kernel's promotions from now on."""
        self._kernel_before = kernel_promoted(self.session.host)
        self._cpu_before = time.process_time()
        self.evidence.begin()
        self._clock.start()

    def sink(self, log: LogSink | None, events: Events | None) -> EngineSink:
        """The sink that the loop hands rows to."""
        driver = Driver(self.engine, self._observer, self._answers)
        nids = [node.id for node in self.machine.topology.nodes]
        driver.begin(Begun(self.engine, self.machine, nids, driver.step_us, by_host=True))
        kept = self.mappings if log or events or self._observes else None
        sink = EngineSink(driver, self.machine, self.metadata, self.mover, log, kept)
        sink.placement = self.placement
        if events is not None:
            from pghot.live.event_details import observe  # noqa: PLC0415 - only with --events

            sink.events = observe(
                events, self.engine, self.machine, self.mover, self._rmap, self._events,
                self.mappings.regions,
            )  # fmt: skip
        return sink

    def result(
        self, buffer: ReorderBuffer, sink: EngineSink, us: int, why: str = ""
    ) -> LiveResult:
        """What came of it so far."""
        session = self.session
        if why:
            self.evidence.mark(us)
        return LiveResult(
            engine=self.engine,
            machine=self.machine,
            sources=session.sources,
            buffer=buffer,
            metadata=self.metadata,
            mover=self.mover,
            rmap=self._rmap,
            guard=session.guard,
            reason=session.choice.reason,
            dry_run=self.options.dry_run,
            elapsed_us=us,
            instant=sink.driver.instant,
            rows=sink.driver.rows,
            batches=sink.driver.batches,
            cpu_s=time.process_time() - self._cpu_before,
            kernel_promoted=kernel_promoted(session.host) - self._kernel_before,
            memcg_names=self._memcg_names() if why else {},
            why=why,
            losses=self._losses,
            staying=self.staying,
            pacer=self.pacer,
            evidence=self.evidence,
            trial=self.trial,
            mappings=self.mappings,
        )

    def begin_trial(self, plan: TrialPlan | None, sink: EngineSink) -> Trial | None:
        """Lay a trial out; InputError or TunableError where its settings cannot be."""
        if plan is None:
            return None
        session, clock, engine = self.session, self._clock, self.engine
        switch = Switch(session, sink, plan.against, engine.tunables.as_dict)
        switch.pacer = self.pacer
        self.moving_back = MovingBack(
            session.host, session.targets, self.mover.pagemap, clock.now_ns
        )
        counts = Counts(
            lambda: engine.vmstat["pgpromote_success"],
            partial(kernel_promoted, session.host),
            partial(reclaim_demoted, session.host),
        )
        self.trial = Trial(
            plan, clock, switch, self.evidence, self.moving_back, self.staying, counts, self._tell
        )
        for line in filter(None, [*plan.lines(), measures_nothing(plan, self.evidence)]):
            self._tell(line)
        return self.trial

    def _note_promoted(self, folios: Promoted) -> None:
        now_us = self._clock.now_us()
        self.mappings.promoted(folios.pid, folios.vaddr)
        if self.machine.node_is_toptier(folios.to_nid):
            self.staying.promoted(now_us, folios.pid, folios.vaddr)
        self.evidence.promoted(now_us)
        if self.moving_back is not None:
            self.moving_back.promoted(folios)

    def _memcg_names(self) -> dict[int, str]:
        promoted = {memcg for memcg, pages in self.engine.memcg_promoted.items() if pages}
        if not promoted:
            return {}
        return self._names.value(partial(_memcg_names, self.session.host, self._tell), {})

    def _owners_of(self, pfns: U64Array) -> Owner:
        return self._rmap.of(self.machine.mem_map.indices(pfns))

    def close(self) -> None:
        """Close the files of pages."""
        self._worker.close()
        self._kpages.close()
        self.mover.pagemap.close()

    def _engine(self) -> Engine:
        engine = Engine(
            RecordingMemory(self.machine, self._answers, self.machine),
            self.options.layout,
            hz=self.machine.form.content["hz"],
            fidelity=self.options.fidelity,
        )
        reported = {SOURCES[source.reports_as] for source in self.session.sources}
        enabled = sum(1 << number for number in reported)
        tunables = {
            "enabled_sources": str(enabled & ALL_SOURCES),
            "target_nid": str(self.session.topology.fast[0]),
        }
        for name, text in (tunables | dict(self.options.tunables)).items():
            engine.write(name, text)
        engine.start()
        return engine


def held_still(name: str, _text: str) -> None:
    """Refuse to write a tunable while a trial goes on; TunableError."""
    raise TunableError(EBUSY, f"{name}: cannot change while a trial goes on")


def _at_once(job: Callable[[], None]) -> None:
    job()


class _Nobody:
    def move(self, pfns: Any, nid: int) -> Any:
        """Move nothing: a recording has no engine."""
        raise NotImplementedError


def _end(recording: ExitStack, beside: Beside) -> None:
    """End a recording: merge its parts, or tell where they are."""
    try:
        recording.close()
    except FAILURES as error:
        beside.fail(error)


def _memcg_names(host: Host, tell: Tell) -> dict[int, str]:
    """The control groups by their memcg's number; none where none are mounted."""
    try:
        return cgroup_inodes(host, tell)
    except InputError:
        return {}


def kernel_promoted(host: Host) -> int:
    """The pages that the kernel has promoted itself since boot."""
    return counted(host, "pgpromote_success")


def reclaim_demoted(host: Host) -> int:
    """The pages that reclaim has demoted since boot, whoever made it (pgdemote_kswapd)."""
    return counted(host, "pgdemote_")


def counted(host: Host, prefix: str) -> int:
    """The sum of the counters of /proc/vmstat whose names start so."""
    lines = host.text_or("/proc/vmstat").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(prefix))


def _tell_recovered(session: Session, tell: Tell) -> None:
    """Say what was put back for a killed run."""
    if session.guard.recovered and session.guard.recovered.line():
        tell(f"put back what a killed pghot left: {session.guard.recovered.line()}")


def _introduce(session: Session, tell: Tell) -> None:
    """Say which sources are used and why, once nothing is left to refuse."""
    tell(session.choice.reason)
    for line in cautions(session.host, session.topology, session.choice, session.targets):
        tell(line)


def _run_metadata(live: _Live) -> Metadata:
    engine, form = live.engine, live.machine.form
    run = {
        "mode": engine.layout.name,
        "fidelity": engine.fidelity.name,
        "tunables": engine.tunables.as_dict(),
        "machine": form.content,
        "dry_run": live.options.dry_run,
    }
    return Metadata(
        taken=f"pghot run: {live.session.choice.reason}",
        hz=engine.hz,
        machine=form.content,
        extra={"run": run, "topology": live.session.topology.to_dict()},
    )


@contextmanager
def _recording(
    path: Path,
    machine: HostMachine,
    metadata: Metadata,
    *,
    force: bool,
    optional: tuple[str, ...],
) -> Iterator[Any]:
    """Open a log in parts, and let it know at the end how the machine looks by then."""
    from pghot.log.parts import create_parts  # noqa: PLC0415 - only where a log is written

    with create_parts(path, metadata, optional=optional, force=force) as writer:
        yield writer
        m = writer.metadata
        writer.metadata = Metadata(m.taken, m.hz, machine.form.content, extra=m.extra)
