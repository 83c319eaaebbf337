"""The columns and the metadata of an access log (R7)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT_VERSION = 1
PAGE_SIZE = 4096
"""Bytes in the pages that the log's PFNs count."""

_ANSWERS = "tape"
_ACCESSES_A_ROW = "accesses_a_row"

SOURCES = {"hintfault": 0, "hwhint": 1}
"""Names of the `source` column's values; the numbers are the series' enum pghot_src."""

REQUIRED: dict[str, npt.DTypeLike] = {
    "time_us": np.uint64,
    "pfn": np.uint64,
    "nid": np.int16,
    "source": np.int8,
}
OPTIONAL: dict[str, npt.DTypeLike] = {
    "pid": np.int32,
    "vaddr": np.uint64,
    "cpu": np.int16,
    "write": np.bool_,
    "weight": np.uint32,
    "memcg": np.uint32,
    "latency_us": np.int32,
    "nr": np.uint32,
}
JUDGED = ("latency_us", "nr")
"""Optional columns that the engine goes by where a log has them."""

DTYPES: dict[str, npt.DTypeLike] = REQUIRED | OPTIONAL

Columns = dict[str, npt.NDArray[Any]]
"""Column name to array; every array of one `Columns` has the same length, one item a row."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a log says of itself, under the Parquet metadata key `pghot`.

    `taken` says how the log was taken, in words.  `hz` is the jiffies a second of the
    machine.  `machine` is the machine file's content as plain data (R8), or empty where it is
    not known.  `extra` keeps what this version does not know.
    """

    taken: str = ""
    hz: int = 1000
    machine: dict[str, Any] = field(default_factory=dict)
    page_size: int = PAGE_SIZE
    version: int = FORMAT_VERSION
    taken_by: str = ""
    """Tool and event that another tool's trace is of."""
    notes: tuple[str, ...] = ()
    """What a conversion told the user."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def accesses_a_row(self) -> float | None:
        """Accesses that each row stands for; None where nobody knows.

        It is stored under the extra key `accesses_a_row`.
        """
        known = self.extra.get(_ACCESSES_A_ROW)
        if not isinstance(known, int | float) or isinstance(known, bool) or known < 1:
            return None
        return float(known)

    @property
    def answers(self) -> list[str]:
        """What a live recording kept beside its rows, in order; empty where it kept nothing.

        The pieces are opaque here.  They are stored under the extra key `tape`.
        """
        return list(self.extra.get(_ANSWERS, ()))

    def with_answers(self, answers: list[str]) -> Metadata:
        """The same metadata with these pieces of answers and no others."""
        extra = {key: value for key, value in self.extra.items() if key != _ANSWERS}
        return replace(self, extra=extra | {_ANSWERS: answers} if answers else extra)

    def to_json(self) -> str:
        """The JSON text that is stored in the file."""
        known: dict[str, Any] = {
            "version": self.version,
            "taken": self.taken,
            "hz": self.hz,
            "page_size": self.page_size,
            "machine": self.machine,
        }
        if self.taken_by:
            known["taken_by"] = self.taken_by
        if self.notes:
            known["notes"] = list(self.notes)
        return json.dumps({**self.extra, **known}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Metadata:
        """Read it back; ValueError with a short reason where it is not what it should be."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError("is not JSON") from error
        if not isinstance(data, dict):
            raise ValueError("is not a JSON object")  # noqa: TRY004 - one kind for one caller
        known = {
            "taken": str,
            "hz": int,
            "machine": dict,
            "page_size": int,
            "version": int,
            "taken_by": str,
        }
        given = {key: data.pop(key) for key in known if key in data}
        for key, value in given.items():
            if not isinstance(value, known[key]) or isinstance(value, bool):
                what = f"holds {key!r} that is no {known[key].__name__}"
                raise ValueError(what)  # noqa: TRY004 - one kind for one caller
        notes = data.pop("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ValueError("holds 'notes' that is no list of texts")
        answers = data.get(_ANSWERS, [])
        if not isinstance(answers, list) or not all(isinstance(piece, str) for piece in answers):
            raise ValueError(f"holds {_ANSWERS!r} that is no list of texts")
        made = cls(**given, notes=tuple(notes), extra=data)
        if made.version > FORMAT_VERSION:
            raise ValueError(
                f"has format version {made.version}; this pghot reads {FORMAT_VERSION}"
            )
        if made.page_size != PAGE_SIZE:
            raise ValueError(f"counts pages of {made.page_size} bytes; pghot replays {PAGE_SIZE}")
        return made
