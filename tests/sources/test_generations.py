"""What each processor's rings bring, from the events that its files make us open."""

from __future__ import annotations

import pytest

from pghot.driving.run_state import SourceCounts
from pghot.linux.perf.attr import EventAttr
from pghot.linux.perf.mem_events import find_mem_events
from pghot.sources import hardware
from tests.linux.perf_rig import PerfHost, sample
from tests.linux.pmu_trees import TREES, pmu_tree

LOAD, STORE, HIT, MISS = 0x02, 0x04, 0x02, 0x04


def source_of(op: int, number: int = 0xF, level: int = 0) -> int:
    """A perf_mem_data_src: the operation, the level as a number, and as bits."""
    return op | level << 5 | number << 33


SERVED = {
    "a load from RAM, by number": (source_of(LOAD, 0xD, HIT), True),
    "a load from CXL, by number": (source_of(LOAD, 0x9, HIT), True),
    "a load from persistent memory, by number": (source_of(LOAD, 0xE, HIT), True),
    "a load from local RAM, by its bit": (source_of(LOAD, level=HIT | 0x80), True),
    "a load that missed the last cache": (source_of(LOAD, 0x3, MISS | 0x40), True),
    "a store that nobody tells more of": (source_of(STORE), True),
    "a load from L1, by number": (source_of(LOAD, 0x1, HIT), False),
    "a load from L3, by its bit": (source_of(LOAD, level=HIT | 0x40), False),
    "a load from the line-fill buffer": (source_of(LOAD, 0xC, HIT | 0x10), False),
    "an op that is neither": (source_of(0x01, 0xD, HIT), False),
}

SAMPLING = [name for name in TREES if "SPE" not in name and name not in {"Silvermont", "Neoverse"}]


def sampling_ring(host: PerfHost, cpu: int, groups: tuple[tuple[EventAttr, ...], ...]):
    """The ring that all of a CPU's samples go to: that of the first event that takes any."""
    events = [event for group in groups for event in group]
    first = next(at for at, event in enumerate(events) if event.sample_period)
    return host.rings[cpu][first]


@pytest.mark.parametrize("name", SAMPLING)
def test_what_memory_served_comes_from_every_kind_of_core(tmp_path, name) -> None:
    host = PerfHost(pmu_tree(tmp_path, name))
    source = hardware.open_source(host)
    kinds = find_mem_events(host)
    expected = []
    for at, kind in enumerate(kinds):
        cpu = kind.cpus[0] if kind.cpus else 5
        ring = sampling_ring(host, cpu, kind.groups)
        for number, (data_src, memory) in enumerate(SERVED.values(), 1):
            pfn = 100 * (at + 1) + number
            ring.write(sample(time=pfn, pid=7, cpu=cpu, phys=pfn << 12, data_src=data_src))
            expected += [(pfn, cpu)] if memory else []
    samples = source.drain()
    assert list(zip(samples.pfn.tolist(), samples.cpu.tolist(), strict=True)) == expected
    served = sum(memory for _source, memory in SERVED.values())
    assert source.counts == SourceCounts(
        seen=len(kinds) * len(SERVED), not_memory=len(kinds) * (len(SERVED) - served)
    )
    source.close()


@pytest.mark.parametrize("name", SAMPLING)
def test_every_cpu_of_ours_has_its_kind_of_cores_events(tmp_path, name) -> None:
    host = PerfHost(pmu_tree(tmp_path, name))
    hardware.open_source(host).close()
    opened: dict[int, set[int]] = {}
    for attr, _pid, cpu, _group, _descriptor in host.opened:
        opened.setdefault(cpu, set()).add(int.from_bytes(attr[:4], "little"))
    for kind in find_mem_events(host):
        number = kind.groups[0][0].type
        cpus = set(kind.cpus or range(8))
        assert {cpu for cpu, types in opened.items() if types == {number}} == cpus
