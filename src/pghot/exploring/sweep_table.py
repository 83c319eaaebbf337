"""The result of a sweep as one table: a row a point, a column a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

FIRST = (
    "point", "key", "kind", "input", "policy", "fast", "fast_pages", "footprint_pages", "seed",
    "error", "duration_s",
)  # fmt: skip
"""Columns that every table has, in this order; `set.NAME` and the figures follow."""

_TYPES: dict[str, pa.DataType] = {
    "point": pa.int64(), "key": pa.string(), "kind": pa.string(), "input": pa.string(),
    "policy": pa.string(), "fast": pa.string(), "fast_pages": pa.int64(),
    "footprint_pages": pa.int64(), "seed": pa.int64(), "error": pa.string(),
    "duration_s": pa.float64(),
}  # fmt: skip


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Rows, in the order of their points, as an Arrow table.

    A figure is a column of int64 where all points have whole numbers, of double where one has
    not, else of text; null where a point has it not.
    """
    rows = sorted(rows, key=lambda row: row["point"])
    names = {name for row in rows for name in row["settings"]}
    figures = dict.fromkeys(name for row in rows for name in row["figures"])
    columns = {name: pa.array([row.get(name) for row in rows], _TYPES[name]) for name in FIRST}
    for name in sorted(names):
        values = [row["settings"].get(name) for row in rows]
        columns[f"set.{name}"] = pa.array(values, pa.string())
    for name in figures:
        columns[name] = _figure([row["figures"].get(name) for row in rows])
    return pa.table(columns)


def _figure(values: Sequence[Any]) -> pa.Array[Any]:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int) for value in known):
        return pa.array(values, pa.int64())
    if all(isinstance(value, int | float) for value in known):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())
