"""A curve: shares by size of fast memory, of a log and of the processes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pghot.baselines.folios import I64Array
from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.exploring.knee import knee
from pghot.exploring.price import Price
from pghot.exploring.tally import BOUND, WHOLE, Line


@dataclass(frozen=True, slots=True)
class Scope:
    """The curves of a log, or of a process in it (`name`).

    `accesses` to `pages` different pages (estimated where `rate`, the share of the pages
    that were counted, is below 1).  `sizes` of fast memory, in pages, are those of every
    line.  `lru_rate`: share of the pages whose reuse distances were followed.
    """

    name: str
    accesses: int
    pages: int
    sizes: I64Array
    lines: tuple[Line, ...]
    rate: float
    lru_rate: float

    def line(self, name: str, part: str = WHOLE) -> Line:
        """A line: `bound`, `bound_held_out`, `lru`, `first_touch` or `interleave`.

        Of hint faults whose latencies the log has, `bound_by_latency` too (`fault_rates`).
        KeyError where there is none of that name, or of that part.
        """
        found = [line for line in self.lines if (line.name, line.part) == (name, part)]
        if not found:
            raise KeyError(f"no line {name} of the {part} log")
        return found[0]

    def share(self, name: str, pages: int, part: str = WHOLE) -> float:
        """A line's share at a size in pages; between two sizes of it a straight line."""
        return float(np.interp(pages, self.sizes, self.line(name, part).share))

    def error(self, name: str, pages: int, part: str = WHOLE) -> float:
        """The error of `share`: half of its interval of 95 %."""
        return float(np.interp(pages, self.sizes, self.line(name, part).error))

    def needed(self, name: str, target: float, part: str = WHOLE) -> int | None:
        """The least of the sizes, in pages, that serves so much; None where none does."""
        enough = np.flatnonzero(self.line(name, part).share >= target)
        return int(self.sizes[enough[0]]) if len(enough) else None

    def knee(self, name: str = BOUND, part: str = WHOLE) -> int | None:
        """The size, in pages, beyond which a line rises slower than on its average."""
        return knee(self.sizes, self.line(name, part).share)

    def __repr__(self) -> str:
        what = self.name or "the whole log"
        return f"<curves of {what}: {self.accesses:,} accesses to {self.pages:,} pages>"


@dataclass(frozen=True, slots=True)
class Curve:
    """What `pghot.curve` gives: of the `whole` log, and of each of its `scopes`.

    `notes` are what the log cannot know, in words.  `skipped`: rows left out as bad;
    `faults`: rows that are hint faults; `span_us`: from the first row to the last.
    """

    log: str
    taken_by: str
    skipped: int
    faults: int
    span_us: int
    whole: Scope
    scopes: tuple[Scope, ...]
    price: Price | None
    notes: tuple[str, ...]

    def to_arrow(self) -> pa.Table:
        """A row for each size of each line of each scope, as an Arrow table.

        Columns: scope, line, part, fast_pages, fast_bytes, share, error, cost (null without
        a price).
        """
        tables = [
            self._table(scope, line)
            for scope in (self.whole, *self.scopes)
            for line in scope.lines
        ]
        return pa.concat_tables(tables)

    def to_dict(self) -> dict[str, Any]:
        """What `pghot curve --json` prints."""
        return {
            "log": self.log,
            "taken_by": self.taken_by,
            "skipped": self.skipped,
            "span_s": self.span_us / USEC_PER_SEC,
            "price": self.price._asdict() if self.price else None,
            "notes": list(self.notes),
            "whole": self._scope_dict(self.whole),
            "scopes": [self._scope_dict(scope) for scope in self.scopes],
        }

    def __repr__(self) -> str:
        return f"<curve of {self.log}: {self.whole!r}, {len(self.scopes)} parts of it>"

    def _table(self, scope: Scope, line: Line) -> pa.Table:
        count = len(scope.sizes)
        cost = self.price.cost(scope.sizes, scope.pages) if self.price else [None] * count
        return pa.table(
            {
                "scope": pa.array([scope.name] * count, pa.string()),
                "line": pa.array([line.name] * count, pa.string()),
                "part": pa.array([line.part] * count, pa.string()),
                "fast_pages": pa.array(scope.sizes, pa.int64()),
                "fast_bytes": pa.array(scope.sizes << PAGE_SHIFT, pa.int64()),
                "share": pa.array(line.share, pa.float64()),
                "error": pa.array(line.error, pa.float64()),
                "cost": pa.array(cost, pa.float64()),
            }
        )

    def _scope_dict(self, scope: Scope) -> dict[str, Any]:
        return {
            "name": scope.name,
            "accesses": scope.accesses,
            "pages": scope.pages,
            "counted": scope.rate,
            "lru_followed": scope.lru_rate,
            "knee_pages": scope.knee(),
            "fast_pages": scope.sizes.tolist(),
            "cost": self.price.cost(scope.sizes, scope.pages).tolist() if self.price else None,
            "lines": [
                {
                    "name": line.name,
                    "part": line.part,
                    "share": line.share.tolist(),
                    "error": line.error.tolist(),
                }
                for line in scope.lines
            ],
        }
