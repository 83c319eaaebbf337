"""A scenario: the machine, what runs on it, and what happens meanwhile, as plain values.

`scenario_file` reads one from TOML, whose tables and keys have these names.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pghot.engine.units import NID_MAX

Nid = Annotated[int, msgspec.Meta(ge=0, le=NID_MAX)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Pages = Annotated[int, msgspec.Meta(ge=0)]


class _FileTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; what it does not name is refused."""


class NodeTable(_FileTable, frozen=True):
    """A node.  `size` is as `16 GiB`; watermarks, in pages, are the kernel's where None."""

    id: Nid
    size: str
    toptier: bool = False
    cpus: str = ""
    min_wmark: Pages | None = None
    low_wmark: Pages | None = None
    high_wmark: Pages | None = None
    promo_wmark: Pages | None = None


class LinkTable(_FileTable, frozen=True):
    """The way from the CPUs of nodes to the memory of a node (`links`), or a named one.

    `kind` takes the values of a known device; the others override it.
    """

    cpus: Annotated[list[Nid], msgspec.Meta(min_length=1)]
    memory: Nid
    kind: str | None = None
    distance: Annotated[int, msgspec.Meta(ge=10, le=254)] = 10
    read_latency_ns: Positive | None = None
    write_latency_ns: Positive | None = None
    read_GBps: Positive | None = None
    write_GBps: Positive | None = None
    total_GBps: Positive | None = None
    a: NotNegative | None = None
    c: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None


class RegionTable(_FileTable, frozen=True):
    """Memory of a process, allocated when the first threads that use it start.

    `place`: node ids in the order of preference, each filled to its low watermark before
    the next (`[1]`: all on node 1).  `interleave` deals pages out among them instead.
    `order` 0 or 9.  `unmovable` and `unreferenced` are shares of its folios.
    """

    name: str
    size: str
    place: Annotated[list[Nid], msgspec.Meta(min_length=1)]
    interleave: bool = False
    order: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    memcg: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    process: str = "app"
    shared_executable: bool = False
    unmovable: Share = 0.0
    off_lru: Share = 0.0


class ThreadsTable(_FileTable, frozen=True):
    """Threads that do the same, on the CPUs of one node.

    `accesses` of each thread, then it ends; None goes on until `end_s` or the scenario's
    end.  Groups that name the same `stream_of` share its stream (that group's).
    `paced`: the accesses of a log come at its times, or as soon after as the machine can
    make them.  `mlp` is how many accesses are under way at once, `think_ns` the time between
    two that no memory takes.
    """

    name: str
    count: Annotated[int, msgspec.Meta(ge=1)]
    node: Nid
    region: str
    stream: dict[str, Any] = {}
    stream_of: str | None = None
    accesses: Annotated[int, msgspec.Meta(ge=1)] | None = None
    start_s: NotNegative = 0.0
    end_s: Positive | None = None
    store_share: Share = 0.0
    mlp: Positive = 1.0
    think_ns: NotNegative = 0.0
    paced: bool = False


class EventTable(_FileTable, frozen=True):
    """An event at `at_s` seconds.

    `add_node`: node `node`, so far absent, comes online.  `offline_cpu`, `online_cpu`:
    CPU `cpu`.  `write`: `value` goes to tunable `name`.
    """

    at_s: NotNegative
    do: str
    node: Nid | None = None
    cpu: Count | None = None
    name: str | None = None
    value: str | None = None


class ScannerTable(_FileTable, frozen=True):
    """The pace of NUMA balancing's scan (debugfs sched/numa_balancing/).

    `scale` makes a step smaller with the memory, as a slice of a machine wants it.
    """

    scan_delay_ms: Positive = 1000
    scan_period_min_ms: Positive = 1000
    scan_period_max_ms: Positive = 60000
    scan_size_mb: Positive = 256
    scale: Share = 1.0


class SamplerTable(_FileTable, frozen=True):
    """The IBS Memory Profiler.

    `pace_hz`: samples a second and busy CPU, evenly in time; None counts `period` ops, of
    which there are `ops_per_access` to an access.
    """

    available: bool = True
    period: Annotated[int, msgspec.Meta(ge=16)] = 10000
    ops_per_access: Positive = 10.0
    pace_hz: Positive | None = None
    invalid_address_share: Share = 0.0


class PublishedTable(_FileTable, frozen=True):
    """Published figures of one policy: run time in seconds, vmstat counters by name.

    `fitted` names those that a parameter of the scenario was chosen by.
    """

    run_s: Positive | None = None
    counters: dict[str, int] = {}
    fitted: list[str] = []


class Scenario(_FileTable, frozen=True):
    """A scenario file.  `policies` are those that run unless others are named.

    `seconds` ends the run at the latest; needed where no threads have `accesses`.
    `demotion` lets kswapd of a top-tier node demote.  `absent`: nodes that come later.
    `tiering` False is a kernel without CONFIG_NUMA_BALANCING_TIERING, which refuses mode 2.
    """

    title: str
    shows: str
    node: Annotated[list[NodeTable], msgspec.Meta(min_length=1)]
    link: Annotated[list[LinkTable], msgspec.Meta(min_length=1)]
    region: Annotated[list[RegionTable], msgspec.Meta(min_length=1)]
    threads: Annotated[list[ThreadsTable], msgspec.Meta(min_length=1)]
    event: list[EventTable] = []
    policies: tuple[str, ...] = ("none", "numab2", "pghot-hintfault", "pghot-hwhint", "oracle")
    seconds: Positive | None = None
    hz: Annotated[int, msgspec.Meta(ge=12, lt=12288)] = 1000
    seed: Count = 1
    demotion: bool = False
    tiering: bool = True
    absent: list[Nid] = []
    tunables: dict[str, str] = {}
    scanner: ScannerTable = ScannerTable()
    sampler: SamplerTable = SamplerTable()
    costs: dict[str, float] = {}
    published: dict[str, PublishedTable] = {}
    tick_ms: Positive = 10
