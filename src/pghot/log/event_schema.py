"""The columns of an event log's two tables, and what each part says of itself (docs/why.md)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pghot.engine.reasons import ACCESS, CANDIDATE
from pghot.log.schema import SOURCES

ACCESSES, CANDIDATES = "accesses", "candidates"
KEY = b"pghot-events"
VERSION = 1

NAMED = {
    "source": (*SOURCES, "unknown"),
    "fate": tuple(reason.name for reason in ACCESS),
    "outcome": tuple(reason.name for reason in CANDIDATE),
}
"""Columns of names: dictionaries in the files, their places in the arrays that fill them.

`status` is one too; its names are the host's (`Said.statuses`), the first one empty.
"""

COLUMNS: dict[str, dict[str, npt.DTypeLike]] = {
    ACCESSES: {
        "seq": np.uint64,
        "now": np.uint64,
        "pfn": np.uint64,
        "tail": np.uint32,
        "pages": np.uint32,
        "nid": np.int16,
        "source": np.uint8,
        "fate": np.uint8,
        "record": np.uint32,
        "pid": np.int32,
        "vaddr": np.uint64,
    },
    CANDIDATES: {
        "seq": np.uint64,
        "now": np.uint64,
        "pfn": np.uint64,
        "pages": np.uint32,
        "from_nid": np.int16,
        "to_nid": np.int16,
        "memcg": np.uint32,
        "record": np.uint32,
        "latency": np.uint32,
        "threshold_ms": np.uint32,
        "movable": np.bool_,
        "outcome": np.uint8,
        "batch": np.int32,
        "status": np.uint8,
        "pid": np.int32,
        "vaddr": np.uint64,
    },
}
"""Columns by table.  `seq` counts the engine's calls, through both tables; `now` and
`latency` are jiffies.  docs/why.md says what each is."""

ROWS_A_PART = 1 << 18
"""Rows of either table that a part has at the most."""

REGIONS = 1 << 12
"""Mappings that a part has at the most."""

BYTES_A_ROW = 64
"""At least what a row of either table takes uncompressed."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a part says of itself.

    `start` and `end` are jiffies: the part has all that happened after `start` up to `end`.
    `tunables` are those at its end.  `statuses`: what of a folio a host may say when asked
    to move it, in words by name; empty where no host was asked.  `regions`: what processes
    had mapped where (`regions.Region`), the first `REGIONS` of it.
    """

    hz: int
    mode: str
    fidelity: str
    tunables: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    regions: list[list[Any]] = field(default_factory=list)
    start: int = 0
    end: int = 0
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that a part's files hold under `KEY`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Said:
        """Read it back; ValueError or TypeError where it is none."""
        data: dict[str, Any] = json.loads(text)
        data.setdefault("regions", [])  # logs of before had none
        said = cls(**{item.name: data[item.name] for item in fields(cls)})
        numbers = (said.hz, said.start, said.end, said.version)
        if not all(isinstance(number, int) for number in numbers) or said.version > VERSION:
            raise ValueError
        return said


def arrow_table(name: str, columns: dict[str, npt.NDArray[Any]], said: Said) -> pa.Table:
    """A table of a part, names in the place of their numbers."""
    named = NAMED | {"status": ("", *said.statuses)}
    arrays = [
        pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int8)), list(named[column]))
        if column in named
        else pa.array(values)
        for column, values in columns.items()
    ]
    table = pa.table(dict(zip(columns, arrays, strict=True)))
    return table.replace_schema_metadata({KEY: said.to_json(), b"table": name.encode()})
