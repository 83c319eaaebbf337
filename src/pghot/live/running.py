"""What a run of the engine on a host is made of, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pghot.driving.answer_log import AnswerLog
from pghot.driving.driver import Driver
from pghot.driving.observer import Begun, Observer
from pghot.driving.recording_memory import RecordingMemory
from pghot.engine import reasons
from pghot.engine.engine import Engine
from pghot.engine.memory import U64Array
from pghot.engine.tunables import ALL_SOURCES
from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages.batch_size import LatencyBudget
from pghot.linux.pages.kpage import KPages
from pghot.linux.processes.cgroups import cgroup_inodes
from pghot.linux.processes.pressure import pressure_file
from pghot.live.aiming import Aiming, one_up, to_the_top
from pghot.live.beside import GuardedObserver, Losses
from pghot.live.clock import Clock
from pghot.live.demoted_again import DemotedAgain
from pghot.live.evidence import RunMarks
from pghot.live.hot_processes import HotProcesses
from pghot.live.kernel_counts import kernel_promoted, reclaim_demoted
from pghot.live.machine import HostMachine
from pghot.live.mappings import Mappings
from pghot.live.move_budget import MoveBudget
from pghot.live.mover import HostMover, Promoted
from pghot.live.moving_back import MovingBack
from pghot.live.options import EngineOptions
from pghot.live.page_metadata import PageMetadata
from pghot.live.placement import AllowedPlaces, OneByOne
from pghot.live.rmap import Owner, Rmap
from pghot.live.scan_pace import ScanPacer
from pghot.live.session import Session
from pghot.live.sinks import EngineSink, LogSink
from pghot.log.schema import SOURCES, Metadata
from pghot.sources import hardware, hint_faults

if TYPE_CHECKING:
    from pghot.live.trial import Trial
    from pghot.live.trial_plan import TrialPlan
    from pghot.log.events import Events

RESULTS = "the results"
"""What an observer writes, to people."""

Tell = Callable[[str], None]


class RunningEngine:
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
        self.tally = tally
        self._cpu_before = 0.0
        self._kernel_before = 0
        self._kpages = KPages(host)
        self.rmap = Rmap(0)
        self.mover = HostMover(
            host,
            session.targets,
            self._kpages,
            self.rmap,
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
        self.rmap.grow(self.machine.lower_tier_pages)
        self.metadata = PageMetadata(self.machine, self._kpages, self.rmap, tally)
        self.engine = self._engine()
        if self.engine.fidelity.fault_latency:
            self.metadata.wanted = self.engine.fault_latency.possible

    def take(self, losses: Losses, observer: Observer | None, tell: Tell) -> None:
        """Let `observer` know of the run, and `losses` of what fails beside it."""
        self.losses, self._tell = losses, tell
        self._events = losses.beside("the event log", tell)
        self._observes = observer is not None
        self._observer = GuardedObserver(observer or Observer(), losses.beside(RESULTS, tell))
        self._names = losses.beside("the names of control groups", tell)

    def begin(self) -> None:
        """Count time, CPU time and the kernel's promotions from now on."""
        self._kernel_before = kernel_promoted(self.session.host)
        self._cpu_before = time.process_time()
        self.evidence.begin()
        self.placement.notice(self.session.options.pids)  # their first faults ask where to go
        self._clock.start()

    def sink(
        self, log: LogSink | None, events: Events | None, marked: Callable[[], int]
    ) -> EngineSink:
        """The sink that the loop hands rows to; `marked` gives the pages made prot_none since."""
        driver = Driver(self.engine, self._observer, self._answers)
        nids = [node.id for node in self.machine.topology.nodes]
        driver.begin(Begun(self.engine, self.machine, nids, driver.step_us, by_host=True))
        kept = self.mappings if log or events or self._observes else None
        sink = EngineSink(driver, self.machine, self.metadata, self.mover, log, kept)
        sink.marked = marked
        sink.placement = self.placement
        if events is not None:
            from pghot.live.event_details import observe  # noqa: PLC0415 - only with --events

            sink.events = observe(
                events, self.engine, self.machine, self.mover, self.rmap, self._events,
                self.mappings.regions,
            )  # fmt: skip
        return sink

    def cpu_s(self) -> float:
        """CPU seconds that the run itself has taken."""
        return time.process_time() - self._cpu_before

    def kernel_promoted(self) -> int:
        """Host pages that the kernel itself has promoted meanwhile (its pgpromote_success)."""
        return kernel_promoted(self.session.host) - self._kernel_before

    def refused(self) -> dict[str, int]:
        """How many times a hot folio did not move, by reason; only those that there were."""
        counts = self.engine.refused
        return {name: counts[name] for name in reasons.LIVE if counts[name]} | self.mover.refused()

    def memcg_names(self, memcgs: Iterable[str]) -> dict[str, str]:
        """The control groups of memcgs, where they can be known."""
        wanted = set(memcgs)
        if not wanted:
            return {}
        names: dict[int, str] = self._names.value(
            partial(_memcg_names, self.session.host, self._tell), {}
        )
        return {str(memcg): name for memcg, name in names.items() if str(memcg) in wanted}

    def begin_trial(self, plan: TrialPlan | None, sink: EngineSink) -> Trial | None:
        """Lay a trial out; InputError or TunableError where its settings cannot be."""
        if plan is None:
            return None
        from pghot.live.trial import Counts, Trial, measures_nothing  # noqa: PLC0415 - few
        from pghot.live.trial_switch import Switch  # noqa: PLC0415 - few runs are trials

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

    def _owners_of(self, pfns: U64Array) -> Owner:
        return self.rmap.of(self.machine.mem_map.indices(pfns))

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


def run_metadata(live: RunningEngine) -> Metadata:
    """What the log of a run says of it."""
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


def _at_once(job: Callable[[], None]) -> None:
    job()


def _memcg_names(host: Host, tell: Tell) -> dict[int, str]:
    """The control groups by their memcg's number; none where none are mounted."""
    try:
        return cgroup_inodes(host, tell)
    except InputError:
        return {}
