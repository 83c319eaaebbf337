"""What `pghot.sweep` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pghot.exploring.sweep_table import table_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """The rows of a sweep: `rows` have `point`, the axes, `settings`, `figures`, `error`.

    `ran`: points that ran now, the others were there already.
    """

    rows: Sequence[Row]
    ran: int = 0

    @cached_property
    def _table(self) -> pa.Table:
        return table_of(self.rows)

    def to_arrow(self) -> pa.Table:
        """An Arrow table: a row a point, axes, error, duration and every figure."""
        return self._table

    @property
    def failed(self) -> Sequence[Row]:
        """Points that could not run; `error` says why."""
        return [row for row in self.rows if row["error"] is not None]

    def __repr__(self) -> str:
        return f"<sweep of {len(self.rows)} points, {len(self.failed)} failed>"
