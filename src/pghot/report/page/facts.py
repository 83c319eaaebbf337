"""What a result says of itself (`results.provenance`), read back; any of it may be missing."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1.001)]
Number = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class LogOfResult(msgspec.Struct):
    """The access log."""

    name: str
    sha256: str | None = None
    rows: Count = 0
    span_s: Number = 0.0
    taken_by: str | None = None


class NodeOfResult(msgspec.Struct):
    """A node of the machine."""

    id: int
    toptier: bool
    pages: Count
    free_pages: Count


class MachineOfResult(msgspec.Struct):
    """The machine."""

    name: str | None = None
    nodes: Annotated[list[NodeOfResult], msgspec.Meta(max_length=1024)] = []


class Placed(msgspec.Struct):
    """Shares that a placement serves fast."""

    fast_share: Share | None = None
    steady_fast_share: Share | None = None


class PricesOfResult(msgspec.Struct):
    """What a verdict rests on."""

    fast_ns: Number
    slow_ns: Number
    page_us: Number
    latency_source: str
    move_source: str


class Time(msgspec.Struct):
    """The verdict."""

    verdict: str
    against: str | None = None
    saved_s: tuple[Number | None, Number | None] = (None, None)
    moves_s: Number = 0.0
    span_s: Number = 0.0
    accesses_a_row: Number | None = None
    prices: PricesOfResult | None = None
    not_in_it: list[str] = []
    run_s: tuple[Number, Number] | None = None
    error: str = ""
    why: str = ""


class ResultFacts(msgspec.Struct, kw_only=True):
    """The keys that every kind of result has."""

    version: str | None = None
    command: str | None = None
    fidelity: str | None = None
    log: LogOfResult | None = None
    machine: MachineOfResult = msgspec.field(default_factory=MachineOfResult)
    start: str | None = None
    fast_share: Share | None = None
    steady_fast_share: Share | None = None
    baselines: dict[str, Placed] = {}
    time: Time | None = None

    def told_time(self) -> dict[str, Any] | None:
        """The verdict as plain data; None where an older pghot wrote the result."""
        if self.time is None:
            return None
        plain: dict[str, Any] = msgspec.to_builtins(self.time)
        return plain

    def shares(self) -> dict[str, tuple[float | None, float | None]]:
        """The baselines that are known: of the whole, of the second half."""
        return {
            name: (placed.fast_share, placed.steady_fast_share)
            for name, placed in self.baselines.items()
            if placed.fast_share is not None
        }
