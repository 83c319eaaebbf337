"""What a run is judged by: moves, ping-pong, accuracy, coverage, and the timeline."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from pghot.simulated.machine.folios import Folios
from pghot.simulated.machine.memory import SimulatedMemory
from pghot.simulated.result import Timeline

PING_PONG_S = 10.0
"""A page promoted again so soon after its demotion went for nothing."""

ENOUGH = 0.9
"""Share of the hot set that counts as found."""

ROW = ("accesses", "fast_accesses", "promoted", "demoted", "hint_faults", "samples")


class Metrics:
    """Counts as a run goes; sizes in pages, times in seconds."""

    def __init__(self, memory: SimulatedMemory, every_s: float) -> None:
        self._memory = memory
        self.every_s = every_s
        self.total: Counter[str] = Counter()
        self.sums: dict[str, float] = {"accesses": 0.0, "fast_accesses": 0.0}
        self.overhead_s: dict[str, float] = defaultdict(float)
        self.hot_fast_s: float | None = None
        self._hot: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._demoted_at: npt.NDArray[np.float64] = np.zeros(0)
        self._hot_pages = 0
        self._hot_fast = 0
        self._covered = 0.0
        self._since = 0.0
        self._rows: list[tuple[float, ...]] = []
        self._free: list[list[int]] = []
        self._before: dict[str, float] = dict.fromkeys(ROW, 0.0)

    def hot_set(self, hot: npt.NDArray[np.bool_], now: float) -> None:
        """Take another set of folios for the true hot one."""
        self._cover(now)
        self._hot = hot
        folios = self._memory.folios
        fresh = len(hot) - len(self._demoted_at)
        self._demoted_at = np.concatenate([self._demoted_at, np.full(fresh, -np.inf)])
        top = self._on_top(folios.nid)
        self._hot_pages = int(folios.pages[hot].sum())
        self._hot_fast = int(folios.pages[hot & top].sum())
        self._found(now)

    def moved(
        self, folios: Folios, from_nid: npt.NDArray[np.int16], to_nid: int, now: float
    ) -> None:
        """Count folios that have moved."""
        if not len(folios):
            return
        self._cover(now)
        pages = self._memory.folios.pages[folios]
        before, after = self._on_top(from_nid), self._memory.all[to_nid].toptier
        hot = self._hot[folios]
        if after:
            up = ~before
            self.total["promoted"] += int(pages[up].sum())
            self.total["promoted_hot"] += int(pages[up & hot].sum())
            again = up & (now - self._demoted_at[folios] < PING_PONG_S)
            self.total["ping_pong"] += int(pages[again].sum())
            self._hot_fast += int(pages[up & hot].sum())
        else:
            self.total["demoted"] += int(pages[before].sum())
            self._demoted_at[folios[before]] = now
            self._hot_fast -= int(pages[before & hot].sum())
        self._found(now)

    def accesses(self, made: float, fast: float) -> None:
        """Count accesses, and how many of them the top tier served."""
        self.sums["accesses"] += float(made)
        self.sums["fast_accesses"] += float(fast)

    def row(self, now: float) -> None:
        """Write a row of the timeline."""
        self._cover(now)
        present = {name: self.sums.get(name, self.total[name]) for name in ROW}
        since = [present[name] - self._before[name] for name in ROW]
        self._before = present
        self._rows.append((now, *since, self.hot_fast))
        self._free.append([self._memory.free_pages(nid) for nid in self._nids])

    @property
    def hot_fast(self) -> float:
        """Share of the hot set that is fast now."""
        return self._hot_fast / self._hot_pages if self._hot_pages else 1.0

    def coverage(self, now: float) -> float:
        """Share of the hot set that was fast, averaged over the time so far."""
        self._cover(now)
        return self._covered / now if now else self.hot_fast

    @property
    def accuracy(self) -> float | None:
        """Share of the promoted pages that were hot."""
        promoted = self.total["promoted"]
        return self.total["promoted_hot"] / promoted if promoted else None

    def timeline(self) -> Timeline:
        """All rows."""
        columns = np.array(self._rows, np.float64).reshape(-1, len(ROW) + 2).T
        time_s, accesses, fast, *counts, hot_fast = columns
        promoted, demoted, hint_faults, samples = (c.astype(np.int64) for c in counts)
        return Timeline(
            every_s=self.every_s,
            nids=self._nids,
            time_s=time_s,
            accesses=accesses,
            fast_accesses=fast,
            promoted=promoted,
            demoted=demoted,
            hint_faults=hint_faults,
            samples=samples,
            hot_fast=hot_fast,
            free=np.array(self._free, np.int64).reshape(-1, len(self._nids)),
        )

    @property
    def _nids(self) -> tuple[int, ...]:
        return tuple(sorted(self._memory.all))

    def _on_top(self, nids: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
        return self._memory.on_top[nids]

    def _cover(self, now: float) -> None:
        self._covered += self.hot_fast * (now - self._since)
        self._since = now

    def _found(self, now: float) -> None:
        if self.hot_fast_s is None and self._hot_pages and self.hot_fast >= ENOUGH:
            self.hot_fast_s = now
