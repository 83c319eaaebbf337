"""What an access and a move cost where a log is replayed, and where the figures come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pghot.simulated.machine.costs import Costs

if TYPE_CHECKING:
    from pghot.log.machine import Machine

FAST_NS, SLOW_NS = 89.2, 250.0
"""Read latency, idle, of DDR4 on Ice Lake and of a CXL x8 Gen5 card (docs/model.md)."""

ASSUMED = f"assumed: DRAM {FAST_NS:g} ns, CXL {SLOW_NS:g} ns"
MOVES = "assumed: one thread on Zen 3, docs/model.md"


@dataclass(frozen=True, slots=True)
class Prices:
    """Nanoseconds an access to each tier, microseconds a page moved and a batch of them.

    `latency_source`, `move_source`: where they come from.
    """

    fast_ns: float = FAST_NS
    slow_ns: float = SLOW_NS
    page_us: float = Costs().move_us(0)
    batch_us: float = Costs().kmigrated_batch_us
    latency_source: str = ASSUMED
    move_source: str = MOVES

    def moves_s(self, pages: int, batches: int) -> float:
        """The seconds that moving so many pages in so many batches takes."""
        return (pages * self.page_us + batches * self.batch_us) * 1e-6

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def prices_on(machine: Machine | None) -> Prices:
    """The prices on a machine: its own latencies where every node has one.

    The mean of a tier's nodes stands for it.
    """
    nodes = [node for node in machine.nodes if node.pages] if machine else []
    known = machine.latency_ns if machine else {}
    fast = [known.get(node.id) for node in nodes if node.toptier]
    slow = [known.get(node.id) for node in nodes if not node.toptier]
    if not fast or not slow or None in fast or None in slow:
        return Prices()
    return Prices(
        fmean(ns for ns in fast if ns), fmean(ns for ns in slow if ns),
        latency_source="the machine's own",
    )  # fmt: skip
