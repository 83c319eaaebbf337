"""What the top tier served in a replay, and what it would have served without promotion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pghot.baselines.folios import headroom_for, placed_fast
from pghot.baselines.shares import Baselines, Share, baselines
from pghot.baselines.touches import Touches
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.memory import Node
from pghot.log.schema import Columns
from pghot.replaying.start import LOGGED, started


def touches_of(chunks: Iterable[Columns], last_us: int | None) -> Touches:
    """Count a log's accesses by page, each half on its own."""
    served = ServedByTier(last_us)
    for _ in served.counted(chunks):
        pass
    return served.touches


class ServedByTier:
    """Looks on as rows go to the engine; `last_us` is the time of the last one, where known.

    `touches`: the accesses by page, where a pass before has counted them.
    """

    def __init__(self, last_us: int | None, touches: Touches | None = None) -> None:
        self._last_us = last_us
        self._was_counted = touches is not None
        self.touches = touches or Touches()
        self._rows = 0
        self._early_rows = 0
        self._early_fast = 0

    def counted(self, chunks: Iterable[Columns]) -> Iterator[Columns]:
        """Rows as they come, their accesses counted, where no pass before has done it.

        May go on in another thread than `halves`, ahead of it: what that reads of the counts
        does not change once the first rows are here.
        """
        begun = False
        for columns in chunks:
            time_us = columns["time_us"]
            if not begun and len(time_us):
                begun = True
                self._begin(int(time_us[0]))
            if not self._was_counted:
                self.touches.add(time_us, columns["pfn"])
            yield columns

    def halves(self, chunks: Iterable[Columns], engine: Engine) -> Iterator[Columns]:
        """Rows from `counted`, cut between the first half of the log's time and the second.

        Rows have been recorded by `engine` when the next are asked for.
        """
        for columns in chunks:
            time_us = columns["time_us"]
            split = self.touches.split(time_us)
            if split:
                yield _part(columns, slice(split))
                self._rows += split
                self._early_rows = self._rows
                self._early_fast = engine.accesses_on_toptier
            if split < len(time_us):
                yield _part(columns, slice(split, None))
                self._rows += len(time_us) - split

    def share(self, engine: Engine) -> Share:
        """The share that the top tier served, with what was promoted."""
        fast = engine.accesses_on_toptier
        late = self._rows - self._early_rows
        steady = None
        if self.touches.half_us is not None and late:
            steady = (fast - self._early_fast) / late
        return Share(fast / self._rows if self._rows else None, steady)

    def baselines(self, memory: ArrayMemory, nodes: tuple[Node, ...], start: str) -> Baselines:
        """What it would have served without promotion, from where the replay began."""
        touched = self.touches.touched(memory.mem_map)
        on_fast = placed_fast(touched, memory.mem_map, nodes)
        headroom = headroom_for(touched, on_fast, nodes)
        if start != LOGGED:
            on_fast = started(touched, headroom, nodes, start)
        return baselines(touched, headroom, on_fast)

    def _begin(self, first_us: int) -> None:
        if not self._was_counted and self._last_us is not None and self._last_us >= first_us:
            self.touches.half_us = (first_us + self._last_us) // 2


def _part(columns: Columns, rows: slice) -> Columns:
    if rows == slice(len(columns["time_us"])):
        return columns
    return {name: values[rows] for name, values in columns.items()}
