"""An access log's columns as Arrow has them."""

from __future__ import annotations

import pyarrow as pa

from pghot.log.schema import DTYPES, Metadata


def arrow_schema(columns: tuple[str, ...], metadata: Metadata | None = None) -> pa.Schema:
    """The Arrow schema of a log with these columns, in the contract's order."""
    fields = [
        pa.field(name, pa.from_numpy_dtype(dtype), nullable=False)
        for name, dtype in DTYPES.items()
        if name in columns
    ]
    raw = {b"pghot": metadata.to_json().encode()} if metadata else None
    return pa.schema(fields, metadata=raw)
