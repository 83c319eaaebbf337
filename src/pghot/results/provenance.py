"""What a result was made of, by the same names for a replay, a run and a simulation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pghot.baselines.shares import Baselines, Share

NAMES = ("as_placed", "first_touch", "interleave", "bound")
"""The baselines of a result, in order."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """An access log: its name, digest, rows that were used, seconds from first to last."""

    name: str
    sha256: str | None
    rows: int
    span_s: float
    taken_by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "rows": self.rows,
            "span_s": self.span_s,
            "taken_by": self.taken_by or None,
        }


@dataclass(frozen=True, slots=True)
class Made:
    """What made a result: a version of pghot, and the command line where there was one."""

    version: str
    command: str | None = None


def provenance(
    made: Made | None,
    kind: str,
    *,
    fidelity: str | None,
    log: LogFacts | None,
    machine: dict[str, Any],
    start: str | None,
) -> dict[str, Any]:
    """Where a result comes from; what a kind of result does not have is None."""
    return {
        "version": made.version if made else None,
        "command": made.command if made else None,
        "kind": kind,
        "fidelity": fidelity,
        "log": log.to_dict() if log else None,
        "machine": machine,
        "start": start,
    }


def outcome(
    served: Share | None,
    baselines: Baselines | Mapping[str, Share] | None,
    *,
    promoted_pages: int,
    demoted_pages: int | None,
    refused: Mapping[str, int],
    time: Mapping[str, Any],
) -> dict[str, Any]:
    """What came of it: shares of accesses that the top tier served, and moves."""
    known = baselines if isinstance(baselines, Mapping) else _by_name(baselines)
    unknown = Share(None, None)
    return {
        **(served or unknown).to_dict(),
        "baselines": {name: known.get(name, unknown).to_dict() for name in NAMES},
        "promoted_pages": promoted_pages,
        "demoted_pages": demoted_pages,
        "refused": dict(sorted(refused.items())),
        "time": dict(time),
    }


def machine_facts(name: str | None, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """What a result says of its machine, whose nodes are from `node_facts`."""
    return {"name": name, "nodes": nodes}


def node_facts(nid: int, pages: int, free_pages: int, *, toptier: bool) -> dict[str, Any]:
    """What a result says of a node."""
    return {"id": nid, "toptier": toptier, "pages": pages, "free_pages": free_pages}


def digest(path: Path) -> str | None:
    """The SHA-256 of a log; None where it is gone.

    Of a recording in parts: that of the text that their own make in order.
    """
    try:
        if path.is_dir():
            parts = [digest(part) or "" for part in sorted(path.glob("*.parquet"))]
            return hashlib.sha256("".join(parts).encode()).hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _by_name(baselines: Baselines | None) -> Mapping[str, Share]:
    if baselines is None:
        return {}
    return {name: getattr(baselines, name) for name in NAMES}
