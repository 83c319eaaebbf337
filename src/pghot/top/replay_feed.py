"""A replay as a feed (`pghot top --replay`)."""

from __future__ import annotations

from pathlib import Path

from pghot.driving.observer import Begun, Observer
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.migrated import Migrated
from pghot.engine.units import USEC_PER_SEC, usecs_to_jiffies
from pghot.errors import PghotError
from pghot.log.schema import SOURCES, Columns
from pghot.replaying.replay import replay
from pghot.replaying.settings import Settings
from pghot.top.figures import printable
from pghot.top.heat import Heat
from pghot.top.state import NodeState, SourceState, TopState
from pghot.top.virtual_feed import VirtualFeed

_COUNTERS = {name: f"pghot_recorded_{name}s" for name in SOURCES}


class ReplayFeed(VirtualFeed, Observer):
    """Follows a replay, and holds it up."""

    columns: tuple[str, ...] = ("pid", "vaddr")

    def __init__(
        self,
        log: Path,
        machine: Path | None = None,
        settings: Settings | None = None,
        *,
        speed: float = 1.0,
        period_s: float = 1.0,
        until_s: float | None = None,
    ) -> None:
        super().__init__(speed, period_s, until_s)
        self._log = log
        self._machine = machine
        self._settings = settings or Settings()
        self._heat = Heat()
        self._rows = 0
        self._batches = 0
        self._instant = 0

    def begin(self, run: Begun) -> None:
        """Take the engine and its machine."""
        assert isinstance(run.memory, ArrayMemory)  # noqa: S101 - it is, of a replay
        self._engine = run.engine
        self._memory = run.memory
        self._by_host = run.by_host

    def coming(self, rows: Columns) -> None:
        """Take rows, to count them when their time has come."""
        self._heat.takes(rows)

    def reached(self, instant: int, rows: int, batches: int) -> None:
        """Wait until this instant has come."""
        self._rows, self._batches = rows, batches
        self.pacer.reach(instant / USEC_PER_SEC, self._state, self._write)
        self._instant = instant

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:  # noqa: ARG002
        """Count whose folios were asked for."""
        self._heat.count_until(instant)
        for batch in migrated:
            self._heat.asked(batch)

    def _work(self) -> TopState:
        result = replay(self._log, self._machine, self._settings, observer=self)
        self._rows, self._batches, self._instant = (
            result.accesses,
            result.batches,
            result.elapsed_us,
        )
        return self._state(result.elapsed_us / USEC_PER_SEC, ended="the log is at its end")

    def _state(self, now_s: float, ended: str = "") -> TopState:
        engine, memory, vmstat = self._engine, self._memory, self._engine.vmstat
        # Rows of the instant itself were recorded if anything of it was.
        self._heat.count_until(max(self._instant, int(now_s * USEC_PER_SEC)))
        return TopState(
            kind="replay",
            name=printable(str(self._log)),
            time_s=now_s,
            mode=engine.layout.name,
            fidelity=engine.fidelity.name,
            accesses=self._rows,
            fast_share=self._fast_share(),
            found=engine.found,
            promoted=vmstat["pgpromote_success"],
            refused=dict(sorted(engine.refused.items())),
            batches=self._batches,
            nodes=[
                NodeState(
                    nid, memory.node_is_toptier(nid), memory.laid_out(nid), memory.free_pages(nid)
                )
                for nid in memory.node_ids()
            ],
            sources=[SourceState(name, vmstat[counter]) for name, counter in _COUNTERS.items()],
            processes=self._heat.processes(),
            regions=self._heat.regions(),
            tunables=engine.tunables.as_dict(),
            ended=ended,
        )

    def _write(self, name: str, text: str) -> None:
        if self._by_host:
            raise PghotError("the log is replayed as its run went: nothing can be written")
        if name == "kmigrated_sleep_ms":
            raise PghotError(f"{name} is fixed in a replay: give it with --set {name}={text}")
        now = usecs_to_jiffies(int(self.pacer.now_s * USEC_PER_SEC), self._engine.hz)
        self._engine.write(name, text, now)

    def _fast_share(self) -> float | None:
        """The share of the rows so far that the top tier served, where pages move here."""
        if self._by_host or not self._rows:
            return None
        return min(self._engine.accesses_on_toptier / self._rows, 1.0)
