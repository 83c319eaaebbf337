"""Writing an event log: what an engine tells its observer, in a directory of bounded size.

Of every access what became of it, of every candidate what was found (docs/why.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.engine import Engine
from pghot.engine.memory import U64Array
from pghot.engine.migrated import Batch
from pghot.engine.outcome_observer import Judged, RecordedAccesses
from pghot.log.event_parts import DEFAULT_LIMIT, EventParts, event_parts
from pghot.log.event_schema import (
    ACCESSES,
    BYTES_A_ROW,
    CANDIDATES,
    COLUMNS,
    NAMED,
    REGIONS,
    ROWS_A_PART,
    Said,
    arrow_table,
)
from pghot.log.regions import MappedRegion
from pghot.log.schema import SOURCES

PART_SECONDS = 10
"""Seconds of the engine's time that a crash may cost at the most."""

_U32_MAX = 0xFFFF_FFFF

Columns = Mapping[str, Any]
Owners = Callable[[U64Array], tuple[npt.NDArray[np.int32], U64Array]]


class EventDetails(NamedTuple):
    """What a host adds to what an engine tells.

    `owners` gives pid and address of folios by their first PFNs; `statuses` what can become
    of a folio, in words by name; `last_statuses` the names for the last batch, in its order;
    `regions` what is mapped where.
    """

    owners: Owners
    statuses: Mapping[str, str]
    last_statuses: Callable[[], npt.NDArray[np.str_]]
    regions: Sequence[MappedRegion] = ()


class EventLog:
    """An engine's observer that writes what it is told.  Made by `Events.log`."""

    def __init__(
        self, parts: EventParts, engine: Engine, told: EventDetails | None = None
    ) -> None:
        self._parts = parts
        self._engine = engine
        self._told = told
        self._status_code = {
            name: code for code, name in enumerate(told.statuses if told else (), start=1)
        }
        rows = min(ROWS_A_PART, parts.limit // (8 * BYTES_A_ROW))
        self._tables = {name: _PartRows(columns, rows) for name, columns in COLUMNS.items()}
        self._seq = self._start = self._end = self._batches = 0
        self._tried: list[U64Array] = []
        self._codes: list[int] = []
        self._pid, self._vaddr = np.zeros(0, np.int32), np.zeros(0, np.uint64)
        self.regions: Sequence[MappedRegion] = told.regions if told else ()
        """What is mapped where, by now."""

    def accessed_by(self, pid: npt.NDArray[np.int32], vaddr: U64Array) -> None:
        """Whose the accesses are that are recorded next, in their order."""
        self._pid, self._vaddr = pid, vaddr

    def chosen(self, rows: npt.NDArray[np.intp]) -> None:
        """Take which of them are recorded, and how often each."""
        if len(self._pid):
            self._pid, self._vaddr = self._pid[rows], self._vaddr[rows]

    def recorded(self, recorded: RecordedAccesses) -> None:
        """Take accesses."""
        accesses = recorded.accesses
        count = len(accesses.pfn)
        pid, self._pid = self._pid[:count], self._pid[count:]
        vaddr, self._vaddr = self._vaddr[:count], self._vaddr[count:]
        source = accesses.source.astype(np.int64)
        known = (source >= 0) & (source < len(SOURCES))
        self._add(
            ACCESSES,
            count,
            {
                "now": accesses.now,
                "pfn": accesses.pfn,
                "tail": accesses.pfn - recorded.folios,
                "pages": recorded.pages,
                "nid": accesses.nid,
                "source": np.where(known, source, NAMED["source"].index("unknown")),
                "fate": recorded.outcomes,
                "record": recorded.records,
                "pid": pid if len(pid) else 0,
                "vaddr": vaddr if len(vaddr) else 0,
            },
            int(accesses.now[-1]),
        )

    def moved(self, batch: Batch, now: int) -> None:  # noqa: ARG002 - the candidates say when
        """Take a batch; its folios are written with their candidates."""
        self._tried.append(batch.pfns)
        if self._told is not None:
            names = self._told.last_statuses().tolist()
            self._codes += [self._status_code.get(name, 0) for name in names]
        self._batches += 1

    def judged(self, judged: Judged) -> None:
        """Take candidates."""
        candidates = judged.candidates
        pfns = candidates["pfn"].astype(np.uint64)
        batch, status = self._batches_of(pfns)
        pid, vaddr = self._told.owners(pfns) if self._told is not None else (0, 0)
        names = ("pages", "memcg", "record", "latency", "movable", "outcome")
        self._add(
            CANDIDATES,
            len(pfns),
            {name: candidates[name] for name in names}
            | {
                "now": judged.now,
                "pfn": pfns,
                "from_nid": judged.nid,
                "to_nid": candidates["nid"],
                "threshold_ms": np.clip(judged.threshold_ms, 0, _U32_MAX),
                "batch": batch,
                "status": status,
                "pid": pid,
                "vaddr": vaddr,
            },
            judged.now,
        )

    def abandon(self) -> None:
        """Forget what is left: it cannot be written."""
        for rows in self._tables.values():
            rows.filled = 0
        self._tried, self._codes = [], []

    def close(self) -> None:
        """Write what is left."""
        if any(rows.filled for rows in self._tables.values()):
            self._end_part()

    def _batches_of(self, pfns: U64Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """The batch that each folio was in, -1 for none, and what the host said of it."""
        batch, status = np.full(len(pfns), -1, np.int32), np.zeros(len(pfns), np.uint8)
        tried, self._tried = self._tried, []
        codes, self._codes = self._codes, []
        if tried:
            order = np.argsort(pfns)
            at = order[np.searchsorted(pfns, np.concatenate(tried), sorter=order)]
            numbers = np.arange(self._batches - len(tried), self._batches)
            batch[at] = np.repeat(numbers, [len(folios) for folios in tried])
            status[at] = codes or 0
        return batch, status

    def _add(self, table: str, count: int, columns: Columns, now: int) -> None:
        """Put rows down, and end parts as they fill or as time passes."""
        self._seq += 1
        rows = self._tables[table]
        columns = {"seq": self._seq, **columns}
        done = 0
        while done < count:
            done += rows.put(columns, done, count)
            if rows.full:
                self._end = max(self._end, _at(columns["now"], done - 1))
                self._end_part()
        self._end = max(self._end, now)
        if self._end - self._start >= PART_SECONDS * self._engine.hz:
            self.close()

    def _end_part(self) -> None:
        engine = self._engine
        said = Said(
            hz=engine.hz,
            mode=engine.layout.name,
            fidelity=engine.fidelity.name,
            tunables=engine.tunables.as_dict(),
            statuses=dict(self._told.statuses) if self._told else {},
            regions=list(map(list, self.regions[:REGIONS])),
            start=self._start,
            end=self._end,
        )
        tables = [arrow_table(name, rows.taken(), said) for name, rows in self._tables.items()]
        self._parts.add(*tables)
        for rows in self._tables.values():
            rows.filled = 0
        self._start = self._end


class _PartRows:
    """Rows of one table that wait for their part to end."""

    def __init__(self, columns: Mapping[str, npt.DTypeLike], rows: int) -> None:
        self._columns = {name: np.zeros(rows, dtype) for name, dtype in columns.items()}
        self._rows = rows
        self.filled = 0

    @property
    def full(self) -> bool:
        return self.filled == self._rows

    def put(self, columns: Columns, first: int, end: int) -> int:
        """Take rows from `first` on, as many as there is room for; how many."""
        count = min(end - first, self._rows - self.filled)
        for name, waiting in self._columns.items():
            values = columns[name]
            rows = values if np.ndim(values) == 0 else values[first : first + count]
            waiting[self.filled : self.filled + count] = rows
        self.filled += count
        return count

    def taken(self) -> dict[str, npt.NDArray[Any]]:
        return {name: values[: self.filled] for name, values in self._columns.items()}


def _at(values: Any, row: int) -> int:
    return int(values if np.ndim(values) == 0 else values[row])


class Events:
    """A directory that takes the events of one engine.  Made by `create_events`."""

    def __init__(self, parts: EventParts) -> None:
        self._parts = parts
        self._log: EventLog | None = None

    def log(self, engine: Engine, told: EventDetails | None = None) -> EventLog:
        """Observe an engine from now on."""
        self._log = EventLog(self._parts, engine, told)
        engine.observer = self._log
        return self._log

    def close(self) -> None:
        """Write what is left."""
        if self._log is not None:
            self._log.close()


@contextmanager
def create_events(
    path: Path | str, limit: int = DEFAULT_LIMIT, *, force: bool = False
) -> Iterator[Events]:
    """Create an event log of at most `limit` bytes; what was told is kept, however it ends.

    Errors as `event_parts` has them; PghotError where the disk is full.
    """
    with event_parts(Path(path), limit, force=force) as parts:
        events = Events(parts)
        try:
            yield events
        finally:
            events.close()
