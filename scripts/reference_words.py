"""What the keys of machine files and scenarios mean, with their units, and an example of each."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

HEADS = {
    "machine": """# Machine files
A TOML file that says which memory a machine has, for `pghot replay`, `pghot sim --log` and
`pghot convert`.  `pghot topology -o FILE` writes that of a host.  Pages are of 4 KiB; a key that
is not here is an error.  This page is made from the types (scripts/reference.py).
""",
    "scenario": """# Scenario files
A TOML file of what `pghot sim` simulates.  `pghot sim --show PRESET` prints one to start from.
A key that is not here is an error.  This page is made from the types (scripts/reference.py);
[the model](model.md) says what is computed from them.
""",
}

_MACHINE = {
    "node": "nodes, a `[[node]]` each",
    "hz": "jiffies a second (CONFIG_HZ), 12 to 12287",
    "folio": "folios that are not ordinary pages, a `[[folio]]` each",
    "[[node]].id": "node id",
    "[[node]].start_pfn": "first PFN, a multiple of 32768 (a section of 128 MiB)",
    "[[node]].pages": "size in pages, a multiple of 32768; this or `size`",
    "[[node]].size": "size as `4GiB`, a multiple of 128 MiB; this or `pages`",
    "[[node]].ranges": "or, instead of these: ranges in ascending order, each its first PFN and "
    "the PFN after its last; other nodes may lie between",
    "[[node]].toptier": "whether it is top tier; without it and `tier`, nodes with CPUs are",
    "[[node]].tier": "abstract distance (adistance), lower is faster: the slowest with CPUs and "
    "all faster ones are top tier; not beside `toptier`",
    "[[node]].cpus": "CPUs as `0-3,8`",
    "[[node]].free_pages": "pages free before the first access",
    "[[node]].promo_wmark": "promotion watermark of its one zone, pages",
    "[[node]].latency_ns": "latency of a read, ns; a verdict in time goes by it",
    "[[folio]].pfn": "its first PFN",
    "[[folio]].pages": "its pages",
    "[[folio]].memcg": "id of its control group",
    "[[folio]].lru": "whether it is on the LRU: false for what cannot be isolated",
}

_SCENARIO = {
    "title": "what it is, in a line",
    "shows": "what one learns from it",
    "node": "nodes", "link": "ways from CPUs to memory", "region": "memory of processes",
    "threads": "groups of threads", "event": "what happens meanwhile",
    "policies": "policies that run unless `--policy` names others",
    "seconds": "end at the latest, s; needed where no threads have `accesses`",
    "hz": "jiffies a second", "seed": "of all that is drawn",
    "demotion": "whether kswapd of top-tier nodes demotes",
    "tiering": "false: a kernel without CONFIG_NUMA_BALANCING_TIERING",
    "absent": "ids of nodes that come later, by an event",
    "tunables": "by their kernel names",
    "scanner": "pace of NUMA balancing", "sampler": "the IBS Memory Profiler",
    "costs": "CPU time of kernel work by name ([the model](model.md))",
    "published": "published figures by policy", "tick_ms": "longest step, ms",
    "[[node]].id": "node id",
    "[[node]].size": "as `16 GiB`",
    "[[node]].toptier": "whether it is top tier",
    "[[node]].cpus": "CPUs as `0-15`",
    "[[node]].min_wmark": "pages; the kernel's own where none",
    "[[node]].low_wmark": "pages: allocations fall back here",
    "[[node]].high_wmark": "pages: kswapd rests here",
    "[[node]].promo_wmark": "pages: kswapd rests here for promotion",
    "[[link]].cpus": "nodes whose CPUs use it",
    "[[link]].memory": "node that it leads to",
    "[[link]].kind": "a known device: `ddr`, `remote-socket`, `cxl-x8-ocp` and others",
    "[[link]].distance": "as of the SLIT",
    "[[link]].read_latency_ns": "idle, ns", "[[link]].write_latency_ns": "idle, ns",
    "[[link]].read_GBps": "GB/s", "[[link]].write_GBps": "GB/s",
    "[[link]].total_GBps": "GB/s, both ways",
    "[[link]].a": "of the latency under load: L0 (1 + a sqrt(u) / (1 - c u))",
    "[[link]].c": "of the same",
    "[[region]].name": "its name",
    "[[region]].size": "as `2 GiB`",
    "[[region]].place": "node ids in the order of preference, each filled to its low watermark "
    "before the next: `[0, 1]` is first touch",
    "[[region]].interleave": "deal pages out among `place` instead",
    "[[region]].order": "of its folios: 0 or 9",
    "[[region]].memcg": "id of its control group",
    "[[region]].process": "name of its process",
    "[[region]].shared_executable": "mapped by many, and executable: the scanner leaves it out",
    "[[region]].unmovable": "share of its folios that cannot move",
    "[[region]].off_lru": "share of its folios that are not on the LRU",
    "[[threads]].name": "their name", "[[threads]].count": "threads, each on a CPU of its own",
    "[[threads]].node": "node of their CPUs", "[[threads]].region": "region that they access",
    "[[threads]].stream": "accesses: `kind` and its options (src/pghot/workloads/stream_kinds.py)",
    "[[threads]].stream_of": "name of threads whose stream they share",
    "[[threads]].accesses": "of each thread, then it ends",
    "[[threads]].start_s": "s", "[[threads]].end_s": "s",
    "[[threads]].store_share": "share of stores",
    "[[threads]].mlp": "accesses under way at once",
    "[[threads]].think_ns": "ns between two accesses that no memory takes",
    "[[threads]].paced": "the accesses of a log come at its times",
    "[[event]].at_s": "s",
    "[[event]].do": "`add_node`, `offline_cpu`, `online_cpu` or `write`",
    "[[event]].node": "of `add_node`", "[[event]].cpu": "of `offline_cpu` and `online_cpu`",
    "[[event]].name": "of `write`: a tunable", "[[event]].value": "of `write`",
    "[scanner].scan_delay_ms": "ms", "[scanner].scan_period_min_ms": "ms",
    "[scanner].scan_period_max_ms": "ms", "[scanner].scan_size_mb": "MiB a step",
    "[scanner].scale": "makes a step smaller with the memory, for a slice",
    "[sampler].available": "whether there is a profiler",
    "[sampler].period": "ops between samples", "[sampler].ops_per_access": "ops to an access",
    "[sampler].pace_hz": "samples a second and busy CPU, instead of `period`",
    "[sampler].invalid_address_share": "share of samples without an address",
    "[published.POLICY].run_s": "run time, s",
    "[published.POLICY].counters": "vmstat counters by name",
    "[published.POLICY].fitted": "figures that a parameter was chosen by",
}  # fmt: skip

WORDS = {"machine": _MACHINE, "scenario": _SCENARIO}
EXAMPLES = {
    "machine": (_ROOT / "examples" / "two-tier.toml").read_text(),
    "scenario": (_ROOT / "src" / "pghot" / "presets" / "zipf.toml").read_text(),
}
