"""A run's state as Prometheus metrics: names, units, one line of help each (docs/metrics.md).

Base units (bytes, seconds), `_total` for what only grows.  A counter of the kernel keeps its
kernel name, without a second `pghot_` in front; one that is kept a node has it as a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

from pghot.driving.run_state import RunNode, RunState, SourceCounts
from pghot.engine.units import MSEC_PER_SEC, PAGE_SHIFT
from pghot.engine.vmstat import EVENTS, NODE_COUNTERS

Sample = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value."""


class Family(NamedTuple):
    """A metric: its name without `_total`, its help, its labels, its samples of a state."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[RunState], Iterable[Sample]]


_PAGE = 1 << PAGE_SHIFT
_MB = 1 << 20
"""Bytes of the MB of a rate limit: mb_to_pages() of the series counts in 2^20."""

_HELP = {
    "pghot_recorded_accesses": "Accesses that a hotness record took in.",
    "pghot_recorded_hintfaults": "Accesses that hint faults reported.",
    "pghot_recorded_hwhints": "Accesses that hardware samples reported.",
    "hwhint_total_events": "Interrupts of the hardware profiler.",
    "hwhint_dram_accesses": "Hardware samples that local or remote DRAM served.",
    "hwhint_extmem_accesses": "Hardware samples that extended memory served.",
    "hwhint_useful_events": "Hardware samples that were handed to the recorder.",
    "numa_pages_migrated": "Pages that were migrated.",
    "numa_hint_faults": "Hint faults that the kernel counted.",
    "numa_pte_updates": "Page table entries that were made to fault.",
    "pgpromote_success": "Pages that were promoted to the node.",
    "pgpromote_candidate": "Pages that asked for room in the node's rate limit.",
    "pgpromote_candidate_nrl": "Pages that needed no rate limit, for the node had free room.",
}


def _one(value: Callable[[RunState], float]) -> Callable[[RunState], Iterable[Sample]]:
    return lambda state: [((), value(state))]


def _nodes(value: Callable[[RunNode], float]) -> Callable[[RunState], Iterable[Sample]]:
    """A figure of each node."""
    return lambda state: [((nid,), value(node)) for nid, node in state.nodes.items()]


def _memory(pages: Callable[[RunNode], int]) -> Callable[[RunState], Iterable[Sample]]:
    """Pages of each node in bytes, by node and tier."""
    return lambda state: [
        ((nid, _tier(node)), pages(node) * _PAGE) for nid, node in state.nodes.items()
    ]


def _tier(node: RunNode | None) -> str:
    return "top" if node and node.toptier else "lower"


def _sources(value: Callable[[SourceCounts], int]) -> Callable[[RunState], Iterable[Sample]]:
    return lambda state: [((name,), value(counts)) for name, counts in state.live.sources.items()]


def _useless(state: RunState) -> Iterable[Sample]:
    return [
        ((name, reason), getattr(counts, reason))
        for name, counts in state.live.sources.items()
        for reason in ("unresolved", "kernel", "not_memory", "corrupt", "not_found")
    ]


def _table(
    table: Callable[[RunState], Mapping[str, float]],
) -> Callable[[RunState], Iterable[Sample]]:
    return lambda state: [((name,), value) for name, value in table(state).items()]


def _tunable(name: str, unit: float = 1) -> Callable[[RunState], Iterable[Sample]]:
    return _one(lambda state: state.tunables[name] * unit)


def _kernel(name: str) -> Callable[[RunState], Iterable[Sample]]:
    return _one(lambda state: state.vmstat[name])


def _served(state: RunState) -> Iterable[Sample]:
    """Hardware samples by the node that served them."""
    served = state.live.helps and state.live.helps.served
    by_node = served.by_node if served else {}
    return [((nid, _tier(state.nodes.get(nid))), count) for nid, count in by_node.items()]


def _shares(state: RunState) -> Iterable[Sample]:
    """The share served fast of each span where it is known."""
    served = state.live.helps and state.live.helps.served
    if not served:
        return []
    spans = {"before": served.before, "since": served.since, "last": served.last}
    return [
        ((name,), span.fast_share)
        for name, span in spans.items()
        if span and span.fast_share is not None
    ]


def _slow_faults(state: RunState) -> Iterable[Sample]:
    faults = state.live.helps and state.live.helps.slow_faults
    return [((), faults.all.faults)] if faults else []


def _stalls(state: RunState) -> Iterable[Sample]:
    stall = state.live.helps and state.live.helps.memory_stall
    if not stall:
        return []
    return [(("some",), stall.all.some_us * 1e-6), (("full",), stall.all.full_us * 1e-6)]


def _run(state: RunState) -> Iterable[Sample]:
    live = state.live
    return [((state.mode, live.fidelity, str(live.dry_run).lower()), 1)]


def kernel_name(counter: str) -> str:
    """The metric's name of a kernel counter, without `_total`."""
    return f"pghot_{counter.removeprefix('pghot_')}"


COUNTERS = (
    *(Family(kernel_name(name), _HELP[name], (), _kernel(name)) for name in EVENTS),
    *(
        Family(kernel_name(name), _HELP[name], ("node",), _nodes(attrgetter(name)))
        for name in NODE_COUNTERS
    ),
    Family(
        "pghot_promoted_bytes",
        "Memory promoted to the node.",
        ("node",),
        _nodes(lambda node: node.pgpromote_success * _PAGE),
    ),
    Family(
        "pghot_kernel_promoted_bytes",
        "Memory that the kernel promoted by itself.",
        (),
        _one(lambda state: state.live.kernel_promoted_pages * state.page_size),
    ),
    Family(
        "pghot_hot_folios",
        "Folios of the node that were found hot.",
        ("node",),
        _nodes(lambda node: node.found_hot),
    ),
    Family(
        "pghot_refused_folios",
        "Hot folios that did not move, each time they were tried, by reason.",
        ("reason",),
        _table(lambda state: state.refused),
    ),
    Family("pghot_batches", "Batches of folios for promotion.", (), _one(lambda s: s.batches)),
    Family(
        "pghot_over_budget_calls",
        "Calls of move_pages that took longer than the latency budget.",
        (),
        _one(lambda state: state.live.batch_latency.over_budget),
    ),
    Family(
        "pghot_accesses",
        "Samples that became accesses of pages that can move.",
        (),
        _one(lambda state: state.accesses),
    ),
    Family(
        "pghot_served_samples",
        "Hardware samples of the targets, by the node whose memory served them.",
        ("node", "tier"),
        _served,
    ),
    Family(
        "pghot_slow_faults",
        "Hint faults of the targets on slow memory, first touches among them.",
        (),
        _slow_faults,
    ),
    Family(
        "pghot_memory_stall_seconds",
        "Time in which some task, or all, stood still for memory (PSI).",
        ("kind",),
        _stalls,
    ),
    Family(
        "pghot_looked_at_pages",
        "Promoted pages that were looked at a minute later.",
        (),
        _one(lambda state: state.live.looked_at_after_a_minute),
    ),
    Family(
        "pghot_demoted_pages",
        "Pages of those that were on a lower tier again.",
        (),
        _one(lambda state: state.live.demoted_within_a_minute),
    ),
    Family(
        "pghot_source_samples",
        "Samples that the source has seen.",
        ("source",),
        _sources(lambda counts: counts.seen),
    ),
    Family(
        "pghot_source_lost_samples",
        "Samples that never came: the ring was full, or the hardware dropped them.",
        ("source",),
        _sources(lambda counts: counts.lost),
    ),
    Family(
        "pghot_source_throttled",
        "Times that the kernel stopped an event until the next tick, or a writer waited.",
        ("source",),
        _sources(lambda counts: counts.throttled),
    ),
    Family(
        "pghot_source_useless_samples",
        "Samples that could tell of no page, by reason.",
        ("source", "reason"),
        _useless,
    ),
    Family(
        "pghot_left_out_samples",
        "Samples of which no access was recorded, by reason.",
        ("reason",),
        _table(lambda state: state.live.left_out),
    ),
    Family(
        "pghot_late_samples",
        "Samples that came after their wake-up and count as of just then.",
        (),
        _one(lambda state: state.live.late_rows),
    ),
    Family(
        "pghot_cpu_seconds",
        "CPU time that the run itself took.",
        (),
        _one(lambda state: state.live.cpu_s),
    ),
)

GAUGES = (
    Family("pghot_run_info", "How the run works.", ("mode", "fidelity", "dry_run"), _run),
    Family(
        "pghot_start_time_seconds",
        "When the run started, in seconds since 1970.",
        (),
        _one(lambda state: state.started),
    ),
    Family(
        "pghot_state_timestamp_seconds",
        "When the run last told how it is, in seconds since 1970.",
        (),
        _one(lambda state: state.time),
    ),
    Family(
        "pghot_targets",
        "Processes that are watched; 0 where all are.",
        (),
        _one(lambda state: state.targets.count),
    ),
    Family(
        "pghot_served_fast_ratio",
        "Share of the sampled accesses that the top tier served: before the first promotion, "
        "since, and in the last ten seconds.",
        ("span",),
        _shares,
    ),
    Family(
        "pghot_node_memory_bytes",
        "Memory of the node.",
        ("node", "tier"),
        _memory(lambda node: node.pages),
    ),
    Family(
        "pghot_node_free_bytes",
        "Free memory of the node.",
        ("node", "tier"),
        _memory(lambda node: node.free_pages),
    ),
    Family(
        "pghot_node_promote_threshold_seconds",
        "Adjusted threshold of promotion to the node; 0 where the window stands.",
        ("node",),
        _nodes(lambda node: node.nbp_threshold / MSEC_PER_SEC),
    ),
    Family(
        "pghot_enabled_sources",
        "Bits of the tunable: 1 hint faults, 2 hardware hints.",
        (),
        _tunable("enabled_sources"),
    ),
    Family("pghot_target_nid", "Node that pages are promoted to.", (), _tunable("target_nid")),
    Family(
        "pghot_freq_threshold",
        "Accesses within the window that make a page hot.",
        (),
        _tunable("freq_threshold"),
    ),
    Family(
        "pghot_kmigrated_sleep_seconds",
        "Time between two wake-ups of kmigrated.",
        (),
        _tunable("kmigrated_sleep_ms", 1 / MSEC_PER_SEC),
    ),
    Family(
        "pghot_kmigrated_batch_folios",
        "Folios of a batch (kmigrated_batch_nr).",
        (),
        _tunable("kmigrated_batch_nr"),
    ),
    Family(
        "pghot_promote_freq_window_seconds",
        "Window that accesses are counted within.",
        (),
        _tunable("pghot_promote_freq_window_ms", 1 / MSEC_PER_SEC),
    ),
    Family(
        "pghot_promote_rate_limit_bytes_per_second",
        "Rate limit of promotion to a node.",
        (),
        _tunable("pghot_promote_rate_limit_MBps", _MB),
    ),
)

LATENCY = ("pghot_move_duration_seconds", "How long calls of move_pages took.")
BUILD = ("pghot_build_info", "The version of pghot that runs.")
