"""The life of a page, step by step, condensed where the same happens again and again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.reasons import MOVED
from pghot.engine.units import MSEC_PER_SEC, jiffies_to_msecs
from pghot.errors import InputError, PghotError
from pghot.log.event_read import EventReader
from pghot.log.event_schema import Said
from pghot.why.page import Page
from pghot.why.region import region_name

RECORDED, IGNORED, REFUSED = "recorded", "ignored", "refused"
"""What a step can be, beside `MOVED`."""

_KEPT_BY = ("already_there",)
"""Refusals after which even the improved engine forgets the record."""


@dataclass(slots=True)
class LifeStep:
    """What happened `len(times)` times with the same outcome; `times` in seconds.

    `folio` is the first PFN, `heat` the record's frequency and `ready` its bit: after the
    access, or when it was judged.  `why`: the fate of an ignored access, the outcome of a
    refusal.  `became_ready` counts accesses that made it ready, `wrapped` those that
    found a record older than the window, whose time field had wrapped (docs/defects.md, 2), and
    took it for a recent one.  Of candidates: nodes,
    `batch` and `status`; `latency_ms`, `threshold_ms` and `movable` of the last one.
    """

    what: str
    folio: int
    pages: int
    heat: int
    ready: bool
    why: str = ""
    status: str = ""
    from_nid: int = -1
    to_nid: int = -1
    batch: int = -1
    times: list[float] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    became_ready: int = 0
    wrapped: int = 0
    latency_ms: int = 0
    threshold_ms: int = 0
    movable: bool = True

    @property
    def kind(self) -> tuple[object, ...]:
        """What two steps have in common that are one."""
        return (self.what, self.folio, self.pages, self.heat, self.ready, self.why, self.status,
                self.from_nid, self.to_nid, self.batch)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        data: dict[str, Any] = {
            "what": self.what,
            "first_s": self.times[0],
            "last_s": self.times[-1],
            "count": len(self.times),
            "pfn": self.folio,
            "pages": self.pages,
            "heat": self.heat,
            "ready": self.ready,
        }
        if self.what in {RECORDED, IGNORED}:
            data |= {"sources": sorted(self.sources), "became_ready": self.became_ready}
            data["wrapped"] = self.wrapped
        else:
            names = ("from_nid", "to_nid", "latency_ms", "threshold_ms", "movable")
            data |= {name: getattr(self, name) for name in names}
            data |= {"batch": self.batch if self.batch >= 0 else None, "times_s": self.times}
            data["status"] = self.status or None
        return data | ({"reason": self.why} if self.why else {})


@dataclass(frozen=True, slots=True)
class Life:
    """The steps of a page, and of which log: what it says, from when on it is complete.

    `region` is what its process has mapped there; empty where that is not known.
    """

    page: Page
    steps: list[LifeStep]
    said: Said
    complete_from_s: float
    damaged: list[int]
    region: str = ""

    def of(self, *kinds: str) -> list[LifeStep]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.what in kinds]


def life_of(path: Path | str, page: Page) -> Life:
    """Read the life of a page off an event log.

    PghotError where the log has nothing of the page; InputError where it cannot be read, or
    has no processes and an address was asked for.
    """
    reader = EventReader(path)
    rows = page.rows(reader)
    said = reader.said
    if said is None or not (page.pid is None or said.statuses):
        raise InputError(f"{path}: holds no processes (only pghot run's has them); give a PFN")
    complete_from_s = reader.complete_from / said.hz
    if not rows:
        since = f" from {complete_from_s:,.1f} s on" if complete_from_s else ""
        raise PghotError(f"{page}: nothing of it in {path}{since}")
    steps = condensed(_steps(rows, said))
    region = _region(page, rows, said)
    return Life(page, steps, said, complete_from_s, reader.damaged, region)


def _region(page: Page, rows: list[dict[str, Any]], said: Said) -> str:
    """The name of what is mapped where the page is, or was seen last."""
    if page.pid is not None:
        return region_name(said, page.pid, page.at)
    for row in reversed(rows):
        if row["pid"] > 0:
            return region_name(said, row["pid"], row["vaddr"])
    return ""


def condensed(steps: Iterable[LifeStep]) -> list[LifeStep]:
    """Join steps of one kind, also past steps of the other role that come and go with them.

    Accesses that are refused at every look are one step of accesses and one of refusals;
    another kind of either begins anew.
    """
    joined: list[LifeStep] = []
    last: dict[bool, LifeStep] = {}
    for step in steps:
        role = step.what in {RECORDED, IGNORED}
        before = last.get(role)
        if step.what == MOVED:
            last.clear()
        elif before is not None and before.kind == step.kind:
            before.times += step.times
            before.sources |= step.sources
            before.became_ready += step.became_ready
            before.wrapped += step.wrapped
            before.latency_ms, before.threshold_ms = step.latency_ms, step.threshold_ms
            continue
        else:
            last[role] = step
            if before is not None:
                last.pop(not role, None)
        joined.append(step)
    return joined


def _steps(rows: list[dict[str, Any]], said: Said) -> Iterator[LifeStep]:
    """Make a step of each row, in order."""
    layout = LAYOUTS[said.mode]
    keep = FIDELITIES[said.fidelity].keep_refused
    window_s = said.tunables["pghot_promote_freq_window_ms"] / MSEC_PER_SEC
    ready, touched = False, math.inf
    for row in rows:
        step = _candidate(row, said, layout) if "outcome" in row else _access(row, said, layout)
        if step.what == RECORDED:
            step.became_ready = int(step.ready and not ready)
            # The default record rounds its time down by up to a bucket.
            bucket_s = (1 << layout.time_bucket_shift) / said.hz
            stale = step.times[0] - touched > window_s + bucket_s
            step.wrapped = int(stale and step.heat > 1)
            ready, touched = step.ready, step.times[0]
        elif step.what != IGNORED:
            ready = keep and step.what == REFUSED and step.why not in _KEPT_BY
        yield step


def _access(row: dict[str, Any], said: Said, layout: Layout) -> LifeStep:
    fields = layout.fields(row["record"])
    fate = row["fate"]
    return LifeStep(
        what=RECORDED if fate == RECORDED else IGNORED,
        folio=row["pfn"] - row["tail"],
        pages=row["pages"],
        heat=fields.freq,
        ready=fields.ready,
        why="" if fate == RECORDED else fate,
        times=[row["now"] / said.hz],
        sources={row["source"]},
    )


def _candidate(row: dict[str, Any], said: Said, layout: Layout) -> LifeStep:
    moved = row["outcome"] == MOVED
    return LifeStep(
        what=MOVED if moved else REFUSED,
        folio=row["pfn"],
        pages=row["pages"],
        heat=layout.fields(row["record"]).freq,
        ready=True,
        why="" if moved else row["outcome"],
        status="" if moved and row["status"] == MOVED else row["status"],
        from_nid=row["from_nid"],
        to_nid=row["to_nid"],
        batch=row["batch"],
        times=[row["now"] / said.hz],
        latency_ms=jiffies_to_msecs(row["latency"], said.hz),
        threshold_ms=row["threshold_ms"],
        movable=row["movable"],
    )
