"""How a log is replayed, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pghot.engine.fidelity import V7, Fidelity
from pghot.engine.layout import DEFAULT, Layout


@dataclass(frozen=True, slots=True)
class Settings:
    """How to replay: the record layout, the fidelity, tunables as text or number, sources.

    `sources` None enables those that the log holds.  `start`: where pages are before the
    first access, one of `start.STARTS`.
    """

    layout: Layout = DEFAULT
    fidelity: Fidelity = V7
    tunables: Mapping[str, str | int] = field(default_factory=dict)
    sources: tuple[str, ...] | None = None
    skip_bad: bool = False
    start: str = "logged"
