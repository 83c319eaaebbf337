"""What the kernel's work costs in CPU time, one named parameter each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pghot.errors import InputError

PAGE_BYTES = 4096
HUGE_ORDER = 9

NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU time by what takes it; the unit is the end of the name.

    Sources: "calibration" is a measured or agreed figure of docs/model.md; "assumption" is
    a round figure of the right size that nothing here was fitted to.

    hint_fault_us: one NUMA hint fault, 4 KiB or 2 MiB, borne by the thread that faults; a
        move in it comes on top.  Calibration: 1 us unless a source says better.
    sample_us: one sampling interrupt with its handler, borne by the CPU's thread.
        Calibration: 2 to 3 us.
    move_4k_GBps, move_2m_GBps: pace at which one thread moves folios of order 0, and of
        order 9.  Calibration: measured on Zen 3.  Orders between are interpolated in the
        time a page takes.
    fault_isolate_us: taking a folio off the LRU and finding it a frame, where it is promoted
        in the fault (before patch 5).  Assumption.
    kmigrated_wake_us: one wake of kmigrated, before it walks.  Assumption.
    kmigrated_pfn_ns: one folio looked at in a walk.  Assumption: a cache line of struct page
        and a record, of which the walk's order lets some be prefetched.
    kmigrated_batch_us: one batch before its folios move: draining LRU caches and one TLB
        flush on all CPUs.  Assumption.
    scanner_step_us: one step of the NUMA scanner before any entry.  Assumption.
    scanner_pte_ns: one page-table entry looked at by the scanner.  Assumption.
    scanner_mark_ns: one entry made PROT_NONE, on top, its share of the TLB flush in it.
        Assumption.
    kswapd_page_ns: one page looked at by kswapd (rmap walk, referenced bit).  Assumption.
    drain_delay_us: from the interrupt to the drain of the CPU's samples: irq_work, then the
        system workqueue.  Assumption.
    drain_sample_ns: one sample handed on by the drain.  Assumption.
    """

    hint_fault_us: float = 1.0
    sample_us: float = 2.5
    move_4k_GBps: float = 1.72
    move_2m_GBps: float = 10.7
    fault_isolate_us: float = 0.5
    kmigrated_wake_us: float = 5.0
    kmigrated_pfn_ns: float = 20.0
    kmigrated_batch_us: float = 20.0
    scanner_step_us: float = 5.0
    scanner_pte_ns: float = 10.0
    scanner_mark_ns: float = 30.0
    kswapd_page_ns: float = 200.0
    drain_delay_us: float = 50.0
    drain_sample_ns: float = 100.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            pace = field.name.endswith("GBps")
            if not 0 <= value < float("inf") or (pace and value == 0):
                least = "above zero" if pace else "zero or more"
                raise InputError(f"cost {field.name} must be {least}, not {value}")

    def move_us(self, order: int) -> float:
        """The microseconds that one thread takes to move a folio of this order.

        The folio cannot be touched meanwhile.
        """
        page_4k = PAGE_BYTES / (self.move_4k_GBps * NS_PER_US)
        page_2m = PAGE_BYTES / (self.move_2m_GBps * NS_PER_US)
        part = min(order / HUGE_ORDER, 1.0)
        return float(page_4k * (page_2m / page_4k) ** part * (1 << order))

    @property
    def sampled_us(self) -> float:
        """Microseconds that a sample takes in all: its interrupt, and its part of a drain."""
        return self.sample_us + self.drain_sample_ns / NS_PER_US

    def scan_us(self, looked_at: int, marked: int) -> float:
        """The CPU time of a scanner step, by entries looked at and entries marked."""
        entries_ns = looked_at * self.scanner_pte_ns + marked * self.scanner_mark_ns
        return self.scanner_step_us + entries_ns / NS_PER_US

    def walk_us(self, folios: int, batches: int) -> float:
        """The CPU time of a kmigrated walk, without the moves themselves."""
        return folios * self.kmigrated_pfn_ns / NS_PER_US + batches * self.kmigrated_batch_us


def with_costs(changes: dict[str, float]) -> Costs:
    """The default costs with some changed.

    Raises `InputError` for a name that is no cost, and for a value that none can have.
    """
    known = {field.name for field in dataclasses.fields(Costs)}
    for name in changes:
        if name not in known:
            raise InputError(f"no cost is named {name!r}; known: {', '.join(sorted(known))}")
    return dataclasses.replace(Costs(), **changes)
