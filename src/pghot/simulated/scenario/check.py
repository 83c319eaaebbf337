"""What no single key of a scenario shows: whether its tables fit together.

Each check raises ValueError with one line: the table and key, then what is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from pghot.engine.did_you_mean import perhaps
from pghot.engine.lists import parse_list
from pghot.engine.sizes import format_size, parse_size
from pghot.engine.units import PAGE_SHIFT
from pghot.engine.vmstat import ORDER
from pghot.simulated.machine.link_kinds import KINDS
from pghot.simulated.scenario.check_values import (
    check_costs,
    check_scanner,
    check_stream,
    check_tunables,
)
from pghot.simulated.scenario.scenario import (
    EventTable,
    LinkTable,
    NodeTable,
    RegionTable,
    Scenario,
    ThreadsTable,
)

MEMORY_MAX = 1 << 52
"""Bytes that hardware addresses."""

ORDERS = (0, 9)
"""Folios of 4 KiB and 2 MiB."""

_EVENTS = {
    "add_node": ("node",),
    "offline_cpu": ("cpu",),
    "online_cpu": ("cpu",),
    "write": ("name", "value"),
}
_LINK_VALUES = ("read_latency_ns", "write_latency_ns", "read_GBps", "write_GBps", "total_GBps")
_MARKS = ("min_wmark", "low_wmark", "high_wmark", "promo_wmark")


def check(scenario: Scenario, policies: Collection[str]) -> None:
    """Raise ValueError where the scenario cannot be run."""
    _check_nodes(scenario)
    _check_regions(scenario)
    _check_threads(scenario)
    _check_links(scenario)
    _check_policies(scenario, policies)
    check_tunables(scenario, [("tunables", scenario.tunables)])
    for place, event in enumerate(scenario.event):
        _check_event(scenario, event, f"[[event]] no. {place + 1}")
    check_costs(scenario.costs)
    check_scanner(scenario.scanner)


def _check_nodes(scenario: Scenario) -> None:
    cpus: dict[int, int] = {}
    total = 0
    _check_unique("node", "id", [node.id for node in scenario.node])
    for place, node in enumerate(scenario.node):
        where = f"[[node]] no. {place + 1}"
        total += _check_size(f"{where}.size", node)
        for cpu in _numbers(f"{where}.cpus", node.cpus):
            if cpu in cpus:
                raise ValueError(f"{where}.cpus: CPU {cpu} is on node {cpus[cpu]} already")
            cpus[cpu] = node.id
        _check_marks(where, node)
    if total > MEMORY_MAX:
        raise ValueError(f"node: {format_size(total)} of memory is more than hardware addresses")
    ids = {node.id for node in scenario.node}
    for nid in scenario.absent:
        if nid not in ids:
            raise ValueError(f"absent: there is no node {nid}")
    if not ids - set(scenario.absent):
        raise ValueError("absent: no node is left to start with")


def _check_size(where: str, table: NodeTable | RegionTable) -> int:
    """The bytes of a size that is some whole number of pages."""
    size = _size(where, table.size)
    if not size or size % (1 << PAGE_SHIFT):
        raise ValueError(f"{where}: {table.size!r} is no number of 4 KiB pages")
    return size


def _check_marks(where: str, node: NodeTable) -> None:
    below, pages = 0, parse_size(node.size) >> PAGE_SHIFT
    for name in _MARKS:
        mark = getattr(node, name)
        if mark is None:
            continue
        if not below <= mark <= pages:
            raise ValueError(f"{where}.{name}: {mark} is not within {below}..{pages}")
        below = mark


def _check_regions(scenario: Scenario) -> None:
    sizes = {node.id: parse_size(node.size) for node in scenario.node}
    used = {threads.region for threads in scenario.threads}
    _check_unique("region", "name", [region.name for region in scenario.region])
    total = 0
    for place, region in enumerate(scenario.region):
        where = f"[[region]] no. {place + 1}"
        if region.order not in ORDERS:
            raise ValueError(f"{where}.order: {region.order} is neither 0 nor 9")
        size = _check_size(f"{where}.size", region)
        if size % (1 << PAGE_SHIFT + region.order):
            raise ValueError(f"{where}.size: {region.size!r} is no number of 2 MiB folios")
        _check_known(f"{where}.place", "node", region.place, sizes)
        if len(set(region.place)) < len(region.place):
            raise ValueError(f"{where}.place: a node is named twice")
        room = sum(sizes[nid] for nid in region.place)
        if size > room:
            raise ValueError(f"{where}.size: {region.size} do not fit {format_size(room)}")
        if region.unmovable + region.off_lru > 1:
            raise ValueError(f"{where}.unmovable: with off_lru, more than all of its folios")
        if region.name not in used:
            raise ValueError(f"{where}.name: no threads use region {region.name!r}")
        total += size
    if total > sum(sizes.values()):
        raise ValueError(f"region: {format_size(total)} in all are more than the nodes have")


def _check_threads(scenario: Scenario) -> None:
    by_name = {threads.name: threads for threads in scenario.threads}
    cpus = {node.id: len(_numbers("", node.cpus)) for node in scenario.node}
    regions = {region.name: region for region in scenario.region}
    _check_unique("threads", "name", [threads.name for threads in scenario.threads])
    for place, threads in enumerate(scenario.threads):
        where = f"[[threads]] no. {place + 1}"
        _check_known(f"{where}.node", "node", [threads.node], cpus)
        _check_known(f"{where}.region", "region", [threads.region], regions)
        cpus[threads.node] -= threads.count
        if cpus[threads.node] < 0:
            raise ValueError(
                f"{where}.count: node {threads.node} has too few CPUs for {threads.count}"
            )
        if threads.end_s is not None and threads.end_s <= threads.start_s:
            raise ValueError(f"{where}.end_s: {threads.end_s} is not after start_s")
        if threads.paced and threads.stream.get("kind") != "log":
            raise ValueError(f"{where}.paced: only the accesses of a log have times")
        if threads.stream_of is None:
            check_stream(f"{where}.stream", threads.stream)
        else:
            _check_sharing(where, threads, by_name)
    if scenario.seconds is None and all(t.accesses is None for t in scenario.threads):
        raise ValueError("seconds: missing, and no threads have a number of accesses to end with")


def _check_sharing(where: str, threads: ThreadsTable, by_name: dict[str, ThreadsTable]) -> None:
    if threads.stream:
        raise ValueError(f"{where}.stream: give stream or stream_of, not both")
    other = by_name.get(str(threads.stream_of))
    if other is None or other.stream_of is not None:
        raise ValueError(f"{where}.stream_of: no threads {threads.stream_of!r} have a stream")
    if other.region != threads.region:
        raise ValueError(f"{where}.stream_of: {other.name!r} goes to region {other.region!r}")


def _check_links(scenario: Scenario) -> None:
    ids = {node.id for node in scenario.node}
    ways: set[tuple[int, int]] = set()
    for place, link in enumerate(scenario.link):
        where = f"[[link]] no. {place + 1}"
        _check_known(f"{where}.memory", "node", [link.memory], ids)
        _check_known(f"{where}.cpus", "node", link.cpus, ids)
        for nid in link.cpus:
            if (nid, link.memory) in ways:
                raise ValueError(f"{where}.cpus: node {nid} has a link to {link.memory} already")
            ways.add((nid, link.memory))
        _check_link(where, link)
    # A page may be promoted to any top-tier node, and demoted to or allocated on any other.
    for place, threads in enumerate(scenario.threads):
        for nid in sorted(ids):
            if (threads.node, nid) not in ways:
                raise ValueError(
                    f"[[threads]] no. {place + 1}.node: no link goes from the CPUs of node "
                    f"{threads.node} to the memory of node {nid}"
                )


def _check_link(where: str, link: LinkTable) -> None:
    if link.kind is not None:
        _check_known(f"{where}.kind", "kind of link", [link.kind], KINDS)
        return
    for name in (*_LINK_VALUES, "a", "c"):
        if getattr(link, name) is None:
            raise ValueError(f"{where}.{name}: missing, and no kind gives it")


def _check_policies(scenario: Scenario, policies: Collection[str]) -> None:
    if not scenario.policies:
        raise ValueError("policies: names none")
    _check_known("policies", "policy", scenario.policies, policies)
    if len(set(scenario.policies)) < len(scenario.policies):
        raise ValueError("policies: one is named twice")
    _check_known("published", "policy", scenario.published, policies)
    for policy, published in scenario.published.items():
        where = f"published.{policy}"
        _check_known(f"{where}.counters", "vmstat counter", published.counters, ORDER)
        figures = {*published.counters, *(["run_s"] if published.run_s else [])}
        _check_known(f"{where}.fitted", "figure", published.fitted, sorted(figures))


def _check_event(scenario: Scenario, event: EventTable, where: str) -> None:
    _check_known(f"{where}.do", "event", [event.do], _EVENTS)
    for name in ("node", "cpu", "name", "value"):
        given, wanted = getattr(event, name) is not None, name in _EVENTS[event.do]
        if wanted and not given:
            raise ValueError(f"{where}.{name}: missing; {event.do} wants it")
        if given and not wanted:
            raise ValueError(f"{where}.{name}: {event.do} takes none")
    if event.node is not None and event.node not in scenario.absent:
        raise ValueError(f"{where}.node: node {event.node} is not absent at the start")
    cpus = [cpu for node in scenario.node for cpu in parse_list(node.cpus)]
    if event.cpu is not None and event.cpu not in cpus:
        raise ValueError(f"{where}.cpu: no node has CPU {event.cpu}")
    if event.name is not None and event.value is not None:
        check_tunables(scenario, [(where, {event.name: event.value})])


def _check_unique(table: str, key: str, names: Sequence[Any]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ValueError(f"[[{table}]] no. {place + 1}.{key}: {name!r} is taken already")


def _check_known(where: str, what: str, names: Iterable[Any], known: Collection[Any]) -> None:
    for name in names:
        if name not in known:
            there = ", ".join(map(str, known)) or "none"
            near = perhaps(name, map(str, known)) if isinstance(name, str) else ""
            raise ValueError(f"{where}: no {what} {name!r}; {near}there are {there}")


def _size(where: str, text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _numbers(where: str, text: str) -> tuple[int, ...]:
    try:
        return parse_list(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
