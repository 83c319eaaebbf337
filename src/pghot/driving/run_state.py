"""How a run stands: what it publishes each second, by the names of version 1 (docs/ctl.md).

Whoever shows, serves or reports a run reads these fields.  They are plain dataclasses, which
a run writes with nothing imported; `read_state` checks what came from another process.
`scripts/schemas.py` makes docs/schemas/state.json and run.json of them: the words beside a
field are its description there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

from pghot.errors import PghotError

VERSION: Literal[1] = 1
"""Of the form; it goes up when an older reader would misread a state."""

NATURAL = "from 0 on"
Count = Annotated[int, NATURAL]
Share = Annotated[float, NATURAL]


@dataclass(slots=True, kw_only=True)
class SourceCounts:
    """What a source has seen since it was opened, in samples; a source counts it up itself."""

    seen: Count = 0
    unresolved: Annotated[Count, "no physical address"] = 0
    kernel: Annotated[Count, "the kernel's own addresses, or of no process"] = 0
    not_memory: Annotated[Count, "served by a cache, or no load or store"] = 0
    lost: Annotated[Count, "never came: the ring was full, or the hardware dropped them"] = 0
    throttled: Annotated[Count, "times that the kernel stopped it, or a writer waited"] = 0
    corrupt: Annotated[Count, "made no sense"] = 0
    not_found: Annotated[Count, "of page frames that no target maps"] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerCounts:
    """Pages whose process and address are kept."""

    kept: Count
    let_go: Annotated[Count, "for others, so far"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLatency:
    """How long calls of move_pages took."""

    count: Annotated[Count, "calls of move_pages"]
    p50_ms: float
    p99_ms: float
    max_ms: float
    over_budget: Annotated[Count, "calls that took longer than the latency budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeconds:
    """The same to count by."""

    count: Count
    sum: Annotated[float, "s"]
    within: Annotated[Sequence[tuple[float, Count]], "seconds, calls that took no longer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyThreshold:
    """What the latencies of hint faults said at the end."""

    ready: Annotated[Count, "faults that made their page ready"]
    not_ready: Annotated[Count, "faults that did not"]
    threshold_us: Annotated[Count, "us that a page must stay below, twice where room is short"]
    excess: Annotated[
        float,
        NATURAL,
        "how many times as often a latency is short after one below the usual; 0 not known",
    ]
    flat: Annotated[bool, "nothing is hotter than the rest: nothing is promoted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HintFaultCost:
    """What hint faults cost, by count and price."""

    faults: Count
    share_of_targets_cpu: Share
    scan_size_mb: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCost:
    """What moves cost, by count and price."""

    share_of_a_cpu: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpan:
    """Hardware samples of the targets in a span of time."""

    samples: Count
    fast: Annotated[Count, "of them, those that the top tier served"]
    fast_share: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """Hint faults of the targets on slow memory in a span of time."""

    faults: Count
    per_s: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class StallSpan:
    """Time that tasks stood still for memory in a span of time."""

    some: Annotated[Share, "of the time"]
    full: Annotated[Share, "of the time"]
    some_us: Count
    full_us: Count


BEFORE = "before the first promotion"
SINCE = "since then; null where nothing was promoted"
LAST = "the last ten seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSpans:
    """Hardware samples of the targets, by span and by node."""

    all: SampleSpan
    before: Annotated[SampleSpan, BEFORE]
    since: Annotated[SampleSpan | None, SINCE]
    last: Annotated[SampleSpan, LAST]
    by_node: Annotated[Mapping[str, Count], "samples by node number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpans:
    """Hint faults of the targets on slow memory, first touches among them, by span."""

    all: FaultSpan
    before: Annotated[FaultSpan, BEFORE]
    since: Annotated[FaultSpan | None, SINCE]
    last: Annotated[FaultSpan, LAST]


@dataclass(frozen=True, slots=True, kw_only=True)
class StallSpans:
    """Pressure stall information of memory, by span."""

    all: StallSpan
    before: Annotated[StallSpan, BEFORE]
    since: Annotated[StallSpan | None, SINCE]
    last: Annotated[StallSpan, LAST]
    of: Annotated[str, "the file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Helps:
    """What can be known of whether it helps (docs/trial.md)."""

    served: Annotated[ServedSpans | None, "null without hardware samples"]
    slow_faults: Annotated[FaultSpans | None, "null where hint faults are no source"]
    memory_stall: Annotated[StallSpans | None, "null without PSI"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFigures:
    """What only a run on a host has; pages are of 4 KiB where nothing else is said."""

    fidelity: Annotated[str, "of the engine"]
    sources: Annotated[Mapping[str, SourceCounts], "by name"]
    chosen: Annotated[str, "which sources, and why"]
    found_hot: Annotated[Count, "folios"]
    promoted_pages: Annotated[Count, "by us"]
    refused: Annotated[Mapping[str, Count], "folios by reason, each time they were tried"]
    left_out: Annotated[Mapping[str, Count], "samples that made no access, by reason"]
    late_rows: Annotated[Count, "samples that came after their wake-up"]
    owners: OwnerCounts
    memcg_promoted: Annotated[Mapping[str, Count], "pages by memcg"]
    memcg_names: Annotated[Mapping[str, str], "control group of each; known at the end"]
    batch_latency: CallLatency
    kernel_promoted_pages: Annotated[Count, "host pages that the kernel itself promoted"]
    dry_run: Annotated[bool, "nothing really moves"]
    real_s: Annotated[float, "s since the start"]
    cpu_s: Annotated[float, "CPU seconds of the run itself"]
    ended: Annotated[str, "why; empty while it goes on"]
    lost_outputs: Annotated[Mapping[str, str], "why, by output, of those lost on the way"]
    fault_latency: LatencyThreshold
    hint_fault_cost: Annotated[HintFaultCost | None, "null where no budget was kept"]
    move_cost: MoveCost
    looked_at_after_a_minute: Annotated[Count, "promoted pages that were looked at again"] = 0
    demoted_within_a_minute: Annotated[Count, "of them, those on a lower tier again"] = 0
    helps: Helps | None = None
    trial_progress: Annotated[str, "which block of a trial it is; empty without one"] = ""

    @property
    def samples(self) -> int:
        """Samples that all sources have seen."""
        return sum(counts.seen for counts in self.sources.values())

    @property
    def lost(self) -> int:
        """Samples that all sources have lost."""
        return sum(counts.lost for counts in self.sources.values())

    @property
    def cpu_share(self) -> float:
        """Our own CPU time over real time, 1 for a whole CPU."""
        return self.cpu_s / self.real_s if self.real_s else 0.0

    @property
    def fast_share(self) -> float | None:
        """Share of the sampled accesses that the top tier served; None where nobody knows."""
        served = self.helps.served if self.helps else None
        return served.all.fast_share if served else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """What was counted of a node."""

    pgpromote_success: Count
    pgpromote_candidate: Count
    pgpromote_candidate_nrl: Count
    free_pages: Annotated[int, "of 4 KiB"]
    nbp_threshold: Annotated[Count, "ms; 0: the window holds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNode(NodeFigures):
    """And what the node is."""

    pages: Annotated[Count, "of 4 KiB"]
    toptier: bool
    rank: Annotated[int | None, NATURAL, "of the tier, 0 the fastest"]
    cpus: Sequence[Count]
    found_hot: Annotated[Count, "folios"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTargets:
    """What is watched, as it was given, and who that is now."""

    pids: Sequence[Count]
    everything: bool
    cgroup: str | None
    command: Sequence[str]
    count: Annotated[Count, "processes watched; 0 where all are"]
    members: Annotated[Sequence[Count], "the first 32 of them"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFigures:
    """A process: what it accessed, and what became of that since the start."""

    pid: Count
    name: Annotated[str, "empty: gone"]
    accesses: Annotated[Count, LAST]
    hot: Annotated[Count, "folios"]
    promoted: Annotated[Count, "folios"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFigures:
    """A region of 2 MiB of a process's memory."""

    pid: Count
    start: Annotated[Count, "address"]
    end: Annotated[Count, "address"]
    accesses: Annotated[Count, LAST]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFigures:
    """What an engine came to, of a replay as of a run (`engine.summary`)."""

    mode: Annotated[str, "record layout"]
    hz: Annotated[Count, "jiffies a second"]
    tunables: Annotated[dict[str, int], "by their kernel names; a MB of MBps is 256 pages"]
    vmstat: Annotated[dict[str, Count], "counters of /proc/vmstat"]
    nodes: Annotated[Mapping[str, NodeFigures], "by node number"]
    batches: Annotated[Count, "of folios for promotion"]
    accesses: Annotated[Count, "rows of the log, or samples that became accesses"]
    elapsed_s: Annotated[float, "the engine's seconds up to the last wake-up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures(EngineFigures):
    """What was counted in a run so far: of summary.json what is neither provenance nor verdict."""

    live: HostFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState(RunFigures):
    """How a run stands: its figures, and what is of the moment."""

    nodes: Annotated[Mapping[str, RunNode], "by node number"]
    version: Annotated[Literal[1], "of this form"] = VERSION
    pid: Count
    started: Annotated[float, "seconds since 1970"]
    time: Annotated[float, "seconds since 1970"]
    page_size: Annotated[Count, "bytes, of the host"]
    targets: WatchedTargets
    refused: Annotated[Mapping[str, Count], "folios by every reason"]
    batch_seconds: CallSeconds
    processes: Annotated[Sequence[ProcessFigures], "at most 32, most accesses first"]
    regions: Annotated[Sequence[RegionFigures], "at most 32, most accesses first"]

    def to_dict(self) -> dict[str, Any]:
        """As plain values: what is published."""
        return asdict(self)

    def figures(self) -> dict[str, Any]:
        """Of them, those of `RunFigures`."""
        plain = _part(self.to_dict(), RunFigures)
        return plain | {"nodes": {nid: _part(n, NodeFigures) for nid, n in plain["nodes"].items()}}


def _part(plain: Mapping[str, Any], kind: type[NodeFigures | RunFigures]) -> dict[str, Any]:
    return {field.name: plain[field.name] for field in fields(kind)}


def read_state(plain: Mapping[str, Any]) -> RunState:
    """Read a published state; PghotError where it is none, or of another version."""
    import msgspec  # noqa: PLC0415 - a run does without

    version = plain.get("version", VERSION) if isinstance(plain, Mapping) else None
    if version not in (VERSION, None):
        raise PghotError(f"the run speaks version {version!r:.40}, this pghot {VERSION}")
    try:
        return msgspec.convert(plain, RunState)
    except msgspec.ValidationError as error:
        raise PghotError(f"what came is no state of a run: {error}") from error
