"""What was refused over a run: reasons, and the pages and processes refused most often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pghot.engine.reasons import MOVED, refusal
from pghot.log.event_read import EventReader
from pghot.log.event_schema import ACCESSES, CANDIDATES, Said
from pghot.why.region import region_name

MOST = 10
"""Pages and processes that are named."""

_FOLIO = ["pfn", "pages", "pid", "vaddr"]
_WHY = ["outcome", "status", "movable"]
_SOUGHT = {ACCESSES: ("fate",), CANDIDATES: (*_FOLIO, *_WHY)}


class RefusalReason(NamedTuple):
    """A reason: its name, the host's status, how often, of how many folios, and in words."""

    reason: str
    status: str
    times: int
    folios: int
    words: str


class Refusal(NamedTuple):
    """A folio that was refused: first PFN, pages, how often, the reasons, whether it moved.

    `region` is what is mapped at its address, empty where that is not known.
    """

    pfn: int
    pages: int
    pid: int
    vaddr: int
    times: int
    reasons: dict[str, int]
    moved: bool
    region: str = ""


@dataclass(frozen=True, slots=True)
class Refusals:
    """Refusals of a run: `judged` candidates, `moved` of them; `outcomes` counts accesses."""

    judged: int
    moved: int
    reasons: list[RefusalReason]
    folios: list[Refusal]
    processes: list[tuple[int, int]]
    outcomes: dict[str, int]
    complete_from_s: float
    damaged: list[int]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "judged": self.judged,
            "moved": self.moved,
            "refused": [reason._asdict() for reason in self.reasons],
            "folios": [folio._asdict() for folio in self.folios],
            "processes": [{"pid": pid, "times": times} for pid, times in self.processes],
            "accesses": self.outcomes,
            "complete_from_s": self.complete_from_s,
            "damaged_parts": self.damaged,
        }


def refusals_of(path: Path | str) -> Refusals:
    """Add up what an event log says; InputError where it cannot be read."""
    reader = EventReader(path)
    outcomes: Counter[str] = Counter()
    refused: list[pa.Table] = []
    moved_pfns: list[pa.Array] = []
    judged = 0
    for part in reader.parts(_SOUGHT):
        for row in pc.value_counts(_text(part.accesses["fate"])).to_pylist():
            outcomes[row["values"]] += row["counts"]
        judged += len(part.candidates)
        outcome = _text(part.candidates["outcome"])
        table = part.candidates.set_column(
            part.candidates.column_names.index("outcome"), "outcome", outcome
        )
        moved = pc.equal(outcome, MOVED)
        moved_pfns += table.filter(moved)["pfn"].chunks
        refused.append(_counted(table.filter(pc.invert(moved))))
    said = reader.said
    table = pa.concat_tables(refused)
    hz = said.hz if said is not None else 1
    return Refusals(
        judged=judged,
        moved=sum(map(len, moved_pfns)),
        reasons=_reasons(table),
        folios=_folios(table, pa.chunked_array(moved_pfns, pa.uint64()), said),
        processes=_processes(table),
        outcomes=dict(sorted(outcomes.items(), key=lambda item: -item[1])),
        complete_from_s=reader.complete_from / hz,
        damaged=reader.damaged,
    )


def _counted(refused: pa.Table) -> pa.Table:
    """Count refusals by folio and reason."""
    status = _text(refused["status"])
    refused = refused.set_column(refused.column_names.index("status"), "status", status)
    return refused.group_by(_FOLIO + _WHY).aggregate([([], "count_all")])


def _reasons(table: pa.Table) -> list[RefusalReason]:
    groups = table.group_by(_WHY).aggregate([("count_all", "sum"), ("pfn", "count_distinct")])
    found = [
        RefusalReason(
            row["outcome"],
            row["status"],
            row["count_all_sum"],
            row["pfn_count_distinct"],
            refusal(row["outcome"], row["status"], movable=row["movable"]),
        )
        for row in groups.to_pylist()
    ]
    return sorted(found, key=lambda reason: (-reason.times, reason.words))


def _folios(table: pa.Table, moved: pa.ChunkedArray, said: Said | None) -> list[Refusal]:
    sums = table.group_by(_FOLIO).aggregate([("count_all", "sum")])
    order = [("count_all_sum", "descending"), ("pfn", "ascending")]
    most = sums.sort_by(order).slice(0, MOST)
    found = []
    for row in most.to_pylist():
        same = pc.and_(
            pc.equal(table["pfn"], pa.scalar(row["pfn"], pa.uint64())),
            pc.equal(table["pid"], pa.scalar(row["pid"], pa.int32())),
        )
        reasons: Counter[str] = Counter()
        for one in table.filter(same).to_pylist():
            words = refusal(one["outcome"], one["status"], movable=one["movable"])
            reasons[words] += one["count_all"]
        pfn = pa.scalar(row["pfn"], pa.uint64())
        has_moved = bool(pc.any(pc.equal(moved, pfn)).as_py())
        found.append(
            Refusal(
                **{name: row[name] for name in _FOLIO},
                times=row["count_all_sum"],
                reasons=dict(reasons),
                moved=has_moved,
                region=region_name(said, row["pid"], row["vaddr"]) if said else "",
            )
        )
    return found


def _processes(table: pa.Table) -> list[tuple[int, int]]:
    sums = table.group_by(["pid"]).aggregate([("count_all", "sum")])
    order = [("count_all_sum", "descending"), ("pid", "ascending")]
    known = sums.filter(pc.not_equal(sums["pid"], 0)).sort_by(order)
    return [(row["pid"], row["count_all_sum"]) for row in known.slice(0, MOST).to_pylist()]


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())
