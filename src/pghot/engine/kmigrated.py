"""kmigrated, one per lower-tier node with memory (R3; patches 2, 3 and 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pghot.engine import candidates as found
from pghot.engine import throttle_state
from pghot.engine.batches import Batches, TargetNodes
from pghot.engine.candidates import CANDIDATE, MOVED_BATCH, TargetArrays
from pghot.engine.distinct import distinct
from pghot.engine.fault_latency import FaultLatency
from pghot.engine.fidelity import Fidelity
from pghot.engine.hotmap import HotMap
from pghot.engine.last_nids import LastNids
from pghot.engine.layout import Layout
from pghot.engine.memory import I64Array, Memory
from pghot.engine.migrated import Migrated
from pghot.engine.outcome_observer import EngineObserver, Judged
from pghot.engine.pass_mover import PassMover
from pghot.engine.placing import by_distance, first_with_headroom
from pghot.engine.reasons import CANDIDATE as CANDIDATE_REASONS
from pghot.engine.throttle import Limits
from pghot.engine.tunables import Tunables
from pghot.engine.units import (
    MSEC_PER_SEC,
    NID_MAX,
    PAGES_PER_SECTION,
    jiffies_to_msecs,
    mb_to_pages,
)
from pghot.engine.vmstat import Vmstat
from pghot.engine.walk import Walk

RECENCY_SHIFT = 7
"""Recency is compared in units of 128 jiffies: hottest first, but not in slivers."""


class Shared(Protocol):
    """What every kmigrated of an engine works on; the engine itself."""

    memory: Memory
    layout: Layout
    hz: int
    fidelity: Fidelity
    tunables: Tunables
    hot_map: HotMap
    vmstat: Vmstat
    pgdat: npt.NDArray[np.void]
    activate: npt.NDArray[np.uint8]
    refused: Counter[str]
    memcg_promoted: Counter[int]
    fault_latency: FaultLatency
    last_nids: LastNids
    observer: EngineObserver | None


class _Found(NamedTuple):
    """Candidates (`candidates.CANDIDATE`), and the nodes that they are to go to, ascending."""

    candidates: npt.NDArray[np.void]
    targets: list[int]


class Kmigrated:
    """kmigrated of one node.  It starts no thread: the driver calls `look` at each wake-up."""

    def __init__(self, engine: Shared, nid: int) -> None:
        self._engine = engine
        self.nid = nid
        self._block = np.zeros(found.TAKEN_AT_ONCE, CANDIDATE)
        self._indices = np.zeros(PAGES_PER_SECTION, np.int64)
        self._targets = np.zeros(NID_MAX + 1, np.uint8)
        self._waiting = 0
        self.found = 0
        """Folios that were found ready; one that waits for another pass is counted once."""

    @property
    def work_requested(self) -> bool:
        """Whether the node's activate flag is up."""
        return bool(self._engine.activate[self.nid])

    def look(self, now: int) -> Iterator[Migrated]:
        """Wake at `now` jiffies: work while work is requested, then sleep.

        Gives batches as they have moved; the pass goes on when the next are asked for.
        """
        again = False
        while self.work_requested:
            again = (yield from self._work(now)) or again
        if again:
            self._engine.activate[self.nid] = 1

    def _work(self, now: int) -> Generator[Migrated, None, bool]:
        """Make one pass; True where refused folios wait for the next wake-up."""
        engine = self._engine
        engine.activate[self.nid] = 0
        blocks = self._ready(now)
        if engine.fidelity.hottest_first:
            blocks = self._by_heat(blocks)
        kept = 0
        self.found -= self._waiting
        self._waiting = 0
        for block in blocks:
            self.found += len(block.candidates)
            yield from self._promote(block, now)
            if engine.fidelity.keep_refused:
                kept += self._keep(block.candidates)
        self._waiting = kept
        return kept > 0

    def _ready(self, now: int) -> Iterator[_Found]:
        """Take the ready folios of the hot sections in PFN order, a block at a time."""
        engine = self._engine
        slots = engine.memory.mem_map.slots_of_node(self.nid)
        slots = slots[engine.hot_map.hot[slots] > 0]
        pages, maps = engine.memory.mem_map.pages(), engine.hot_map.maps()
        layout = found.layout_row(engine.layout)
        walk = Walk(slots, self.nid, now, engine.tunables["target_nid"], layout, self._targets)
        at = 0
        while at < len(slots):
            self._targets[:] = 0
            count, at = walk.take(pages, maps, at, self._indices, self._block)
            yield _Found(self._block[:count], np.flatnonzero(self._targets).tolist())

    def _by_heat(self, blocks: Iterator[_Found]) -> Iterator[_Found]:
        """Put all candidates of a pass in one block, hottest first (defect 9).

        By frequency, then recency; then by target and memcg, so that batches stay large,
        and by PFN.
        """
        candidates = _joined([block.candidates.tobytes() for block in blocks])
        layout = self._engine.layout
        freq = candidates["record"] >> layout.freq_shift & layout.freq_max
        age = candidates["latency"] >> RECENCY_SHIFT
        pfn = candidates["pfn"].copy()
        in_order = bool((pfn[1:] > pfn[:-1]).all())
        if self._may_aim():
            self._aim(candidates, np.lexsort((pfn, age, -freq)))
        order = np.lexsort((pfn, candidates["memcg"], candidates["nid"], age, -freq))
        candidates = np.take(candidates, order)
        if not in_order:
            # A folio over two sections may have left a record in each: the hotter one stands.
            _, first = np.unique(candidates["pfn"], return_index=True)
            candidates = np.take(candidates, np.sort(first))
        candidates["walk"] = 0
        yield _Found(candidates, np.flatnonzero(np.bincount(candidates["nid"])).tolist())

    def _may_aim(self) -> bool:
        """Whether candidates may go elsewhere than to the node of `target_nid`."""
        memory = self._engine.memory
        chooses = hasattr(memory, "aim") or len(self._top_tier()) > 1
        return self._engine.fidelity.nearest_target and chooses

    def _top_tier(self) -> list[int]:
        memory = self._engine.memory
        online = filter(memory.node_online, memory.nodes())
        return [nid for nid in online if memory.node_is_toptier(nid)]

    def _aim(self, candidates: npt.NDArray[np.void], order: npt.NDArray[np.intp]) -> None:
        """Choose where candidates go, hottest first in `order`, by who accessed each last.

        A machine that knows which nodes are near, and what a process may use, chooses itself
        (`memory.Aiming`); else a page goes to that CPU's own node where it is top tier.
        """
        engine = self._engine
        if not len(candidates):
            return
        hottest = np.take(candidates, order)
        nids = engine.last_nids.of(hottest["index"])
        aim = getattr(engine.memory, "aim", None)
        if aim is not None:
            pfns = hottest["pfn"].astype(np.uint64)
            candidates["nid"][order] = aim(self.nid, pfns, nids, hottest["nid"])
        else:
            candidates["nid"][order] = self._nearest(hottest, nids)

    def _nearest(self, hottest: npt.NDArray[np.void], nids: I64Array) -> I64Array:
        """The nearest online top-tier node with room, of each whose last CPU is known."""
        memory = self._engine.memory
        default: I64Array = hottest["nid"].copy()
        ups = self._top_tier()
        rows = np.flatnonzero(nids >= 0)
        if not len(rows):
            return default
        distance = getattr(memory, "distance", _all_alike)
        orders = {nid: by_distance(nid, ups, distance) for nid in distinct(nids[rows]).tolist()}
        anywhere = dict.fromkeys(ups, np.ones(len(rows), np.bool_))
        default[rows] = first_with_headroom(
            nids[rows], orders, anywhere, hottest["pages"][rows], memory.headroom
        )
        return default

    def _promote(self, block: _Found, now: int) -> Iterator[Migrated]:
        """Judge candidates in order and move those that pass, batch by batch."""
        candidates = block.candidates
        targets = _Targets(self._engine, block.targets)
        if targets.nids:  # of several, the one with most room: pages go on to it
            roomy = max(targets.nids, key=lambda nid: targets.spare[nid])
            self._engine.fault_latency.target(targets.present[roomy], targets.spare[roomy])
        if self._engine.fault_latency.judging:
            self._excuse_lateness(candidates)
        mover_for = getattr(self._engine.memory, "mover", None)
        mover: PassMover | None = mover_for(len(candidates)) if mover_for else None
        if mover is None:
            yield from self._promote_each(candidates, targets, now)
        else:
            yield from self._promote_all(candidates, targets, mover, now)
        gone = candidates["outcome"] == found.MOVED_OR_IN_BATCH
        self._engine.fault_latency.forget(candidates["index"][gone])
        self._engine.last_nids.forget(candidates["index"][gone])
        self._count_refusals(candidates)
        self._tell(candidates, now)

    def _excuse_lateness(self, candidates: npt.NDArray[np.void]) -> None:
        """Let no page be too old that a latency has made ready: heat is not the time since.

        A run that is behind would refuse all that it finds, until the threshold is raised at
        the end of a minute and lets through what waited, at one go.
        """
        window_ms = self._engine.tunables["pghot_promote_freq_window_ms"]
        most = max(window_ms - 1, 0) * self._engine.hz // MSEC_PER_SEC
        candidates["latency"] = np.minimum(candidates["latency"], most)

    def _promote_each(
        self, candidates: npt.NDArray[np.void], targets: _Targets, now: int
    ) -> Iterator[Migrated]:
        """Have the machine migrate each batch as it is full."""
        engine = self._engine
        limits = self._limits(now)
        chosen = np.zeros(min(limits.batch_max, len(candidates)), np.int64)
        batches = Batches(candidates, self.nid, engine.pgdat, chosen)
        pfns, sizes = candidates["pfn"].astype(np.uint64), candidates["pages"].copy()
        outcome = candidates["outcome"]
        more = True
        while more:
            more = batches.fill(targets.loops, limits)
            if batches.count:
                order = chosen[: batches.count]
                if not engine.fidelity.hottest_first:
                    order = order[::-1]  # the series' list is a stack
                tried, pages = pfns[order], sizes[order]
                moved = engine.memory.migrate(tried, batches.nid)
                outcome[order[~moved]] = found.NOT_MIGRATED
                batch = (len(order), batches.nid, batches.memcg, int(np.dot(pages, moved)))
                done = np.array([batch], MOVED_BATCH)
                yield self._counted(Migrated(self.nid, done, tried, pages, moved), now)
                targets.refresh()

    def _promote_all(
        self, candidates: npt.NDArray[np.void], targets: _Targets, mover: PassMover, now: int
    ) -> Iterator[Migrated]:
        """Move every batch of the candidates at once, among the arrays of the machine."""
        engine = self._engine
        limits = self._limits(now)
        order = np.empty(len(candidates), np.int64)
        moved = np.empty(len(candidates), np.bool_)
        done = np.empty(len(candidates), MOVED_BATCH)
        chosen = np.empty(min(limits.batch_max, len(candidates)), np.int64)
        batches = Batches(candidates, self.nid, engine.pgdat, chosen)
        as_stack = not engine.fidelity.hottest_first  # as the series' list is
        count, tried = batches.promote(
            targets.loops, limits, mover, as_stack, (order, moved, done)
        )
        mover.ended()
        if count:
            order = order[:tried]
            pfns = candidates["pfn"][order].astype(np.uint64)
            sizes = candidates["pages"][order]
            yield self._counted(Migrated(self.nid, done[:count], pfns, sizes, moved[:tried]), now)

    def _limits(self, now: int) -> Limits:
        tunables, fidelity, hz = self._engine.tunables, self._engine.fidelity, self._engine.hz
        # The series flushes when the count EXCEEDS the tunable (defect 6).
        more = 0 if fidelity.exact_batch else 1
        return Limits(
            batch_max=max(tunables["kmigrated_batch_nr"] + more, 1),
            window_ms=tunables["pghot_promote_freq_window_ms"],
            rate_limit=mb_to_pages(tunables["pghot_promote_rate_limit_MBps"]),
            now_ms=jiffies_to_msecs(now, hz),
            hz=hz,
            count_refused=not fidelity.keep_refused,
        )

    def _counted(self, migrated: Migrated, now: int) -> Migrated:
        """Count batches as promote_misplaced_memcg_folios() does, and give them."""
        engine = self._engine
        pages = migrated.batches["pages_moved"]
        engine.vmstat.add("numa_pages_migrated", int(pages.sum()))
        np.add.at(engine.pgdat["pgpromote_success"], migrated.batches["nid"], pages)
        for memcg, moved in migrated.pages_by_memcg().items():
            engine.memcg_promoted[memcg] += moved
        if engine.observer is not None:
            for batch in migrated:
                engine.observer.moved(batch, now)
        return migrated

    def _keep(self, candidates: npt.NDArray[np.void]) -> int:
        """Restore the records of refused folios (defect 8); how many there are."""
        outcome = candidates["outcome"]
        waits = (outcome != found.MOVED_OR_IN_BATCH) & (outcome != found.ALREADY_THERE)
        kept = np.compress(waits, candidates)
        if not len(kept):
            return 0
        hot_map = self._engine.hot_map
        hot_map.put(kept["index"].copy(), kept["record"].astype(hot_map.layout.dtype))
        return len(kept)

    def _tell(self, candidates: npt.NDArray[np.void], now: int) -> None:
        """Report the outcomes of candidates to the observer, if any."""
        engine = self._engine
        if engine.observer is None or not len(candidates):
            return
        threshold = engine.pgdat["nbp_threshold"][candidates["nid"]]
        window = engine.tunables["pghot_promote_freq_window_ms"]
        thresholds = np.where(threshold > 0, threshold, window)
        engine.observer.judged(Judged(self.nid, now, candidates, thresholds))

    def _count_refusals(self, candidates: npt.NDArray[np.void]) -> None:
        counts = np.bincount(candidates["outcome"], minlength=len(CANDIDATE_REASONS))
        for reason in CANDIDATE_REASONS:
            if counts[reason.code] and reason.code != found.MOVED_OR_IN_BATCH:
                self._engine.refused[reason.name] += int(counts[reason.code])


def _joined(parts: list[bytes]) -> npt.NDArray[np.void]:
    """Candidates that were copied as bytes: NumPy copies rows field by field."""
    return np.frombuffer(bytearray().join(parts), CANDIDATE)


def _all_alike(_nid: int, _to: int) -> int:
    return 0


class _Targets:
    """Targets of a pass, read again after each batch.  `nids`: those of all candidates."""

    def __init__(self, engine: Shared, nids: list[int]) -> None:
        self._memory = engine.memory
        self.nids = nids
        self.present: dict[int, int] = {}
        self.spare: dict[int, int] = {}
        """Pages free above the promotion watermark, in the zone that has most."""
        size = NID_MAX + 1
        self._arrays = TargetArrays(
            np.zeros(size, np.int64), np.zeros(size, np.int64), np.ones(size, np.uint8)
        )
        if engine.fidelity.check_target:
            for nid in self.nids:
                up = getattr(self._memory, "is_target", self._memory.node_is_toptier)(nid)
                self._arrays.promotable[nid] = up and self._memory.node_online(nid)
        self.loops = TargetNodes(self._arrays)
        self.refresh()

    def refresh(self) -> None:
        """Read the zones again."""
        for nid in self.nids:
            present = self.present[nid] = self._memory.present_pages(nid)
            zones = list(self._memory.zones(nid))
            self._arrays.enough[nid] = throttle_state.free_space_enough(zones, present)
            self.spare[nid] = max((free - wmark for free, wmark in zones), default=0)
            self._arrays.headroom[nid] = self._memory.headroom(nid)
