"""Heat maps count every access once, whatever they are binned to, and find the hot part."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.binning import address_heat, pfn_heat
from pghot.binning.address_heat import AddressHeat
from pghot.binning.heat_maps import ROWS, hottest
from pghot.binning.pfn_heat import PfnHeat, count
from pghot.engine.memory import Node

SECTION = 32768
NODES = [
    Node(id=0, start_pfn=0, pages=SECTION, toptier=True),
    Node(id=1, start_pfn=4 * SECTION, pages=2 * SECTION, toptier=False),
]
PFNS = st.lists(st.integers(0, 7 * SECTION), max_size=50)


def on_a_node(pfn: int) -> bool:
    return any(node.start_pfn <= pfn < node.start_pfn + node.pages for node in NODES)


@given(st.lists(PFNS, max_size=6))
@settings(deadline=None)
def test_every_access_to_a_node_is_in_its_whole_map_once(wakes: list[list[int]]) -> None:
    heat = PfnHeat(NODES, 100)
    for number, pfns in enumerate(wakes, 1):
        heat.add(number * 100, np.array(pfns, np.uint64))
    wholes = [found for found in heat.maps() if found.part == "whole"]
    for node in NODES:
        own = [
            p for pfns in wakes for p in pfns if node.start_pfn <= p < node.start_pfn + node.pages
        ]
        counts = [sum(found.counts) for found in wholes if found.place == f"node {node.id}"]
        assert counts == ([len(own)] if own else [])


@given(PFNS, st.integers(0, 6))
@settings(deadline=None)
def test_a_grain_has_the_accesses_to_its_pages_and_no_others(pfns: list[int], shift: int) -> None:
    spans = np.array(
        [[0, SECTION, 0, 0], [4 * SECTION, 6 * SECTION, 4 * SECTION, SECTION >> shift]], np.uint64
    )
    size = (3 * SECTION >> shift) + 1
    counts = np.zeros(size, np.uint32)
    count(counts, np.array(pfns, np.uint64), spans, shift)
    grains = [
        first + (pfn - start >> shift)
        for pfn in pfns
        for start, end, _base, first in spans.tolist()
        if start <= pfn < end
    ]
    assert np.array_equal(counts, np.bincount(grains, minlength=size))


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_ranges_of_nodes_among_each_other_keep_their_accesses_apart(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, 1000), min_size=4, max_size=12)))
    ranges = list(pairwise(cuts))
    owners = data.draw(st.lists(st.integers(0, 2), min_size=len(ranges), max_size=len(ranges)))
    nodes = [  # owner 2 is nobody: a hole
        Node.of_ranges(
            nid, [one for one, to in zip(ranges, owners, strict=True) if to == nid], toptier=False
        )
        for nid in (0, 1)
    ]
    pfns = data.draw(st.lists(st.integers(0, 1001), max_size=40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pfn_heat, "GRAINS", data.draw(st.sampled_from((4, 30, 1 << 17))))
        heat = PfnHeat(nodes, 100)
        heat.add(100, np.array(pfns, np.uint64))
        maps = {found.place: found for found in heat.maps() if found.part == "whole"}
    for node in nodes:
        own = [pfn for pfn in pfns if any(start <= pfn < end for start, end in node.ranges)]
        found = maps.get(f"node {node.id}")
        assert (found is None) is (not own)
        if found is not None:
            rows = [(pfn - found.first) // found.pages_a_row for pfn in own]
            assert found.counts == np.bincount(rows, minlength=found.rows).tolist()


def test_holes_of_terabytes_between_ranges_have_no_counts() -> None:
    far = 1 << 34  # 64 TiB
    ranges = [(0, SECTION), (far, far + SECTION)]
    heat = PfnHeat([Node.of_ranges(0, ranges, toptier=False)], 100)
    assert heat._counts.shape[1] == 2 * SECTION  # one grain a page


def test_a_small_hot_set_in_a_large_memory_is_the_hottest_part() -> None:
    node = Node(id=3, start_pfn=0, pages=1 << 28, toptier=False)  # 1 TiB
    heat = PfnHeat([node], 100)
    rng = np.random.default_rng(1)
    cold = rng.integers(0, 1 << 28, 20_000).astype(np.uint64)
    hot = rng.integers(1 << 27, (1 << 27) + (1 << 15), 30_000).astype(np.uint64)  # 128 MiB
    heat.add(100, np.concatenate([cold, hot]))
    part, whole = heat.maps()
    end = part.first + part.rows * part.pages_a_row
    assert part.first <= 1 << 27 < (1 << 27) + (1 << 15) <= end
    assert part.share > 0.6
    assert whole.rows <= ROWS


@given(st.dictionaries(st.integers(0, 5000), st.integers(1, 100), min_size=1, max_size=40))
@settings(deadline=None)
def test_no_smaller_window_has_half_of_the_heat(grains: dict[int, int]) -> None:
    positions = np.array(sorted(grains))
    heat = np.array([grains[at] for at in sorted(grains)], np.float64)
    start, width = hottest(positions, heat)

    def inside(first: int, size: int) -> float:
        return sum(n for at, n in grains.items() if first <= at < first + size)

    assert inside(start, width) * 2 >= heat.sum()
    if width > ROWS:
        assert all(inside(at, width // 2) * 2 < heat.sum() for at in grains)


@given(st.lists(st.tuples(st.integers(1, 1 << 21), st.integers(0, (1 << 47) - 1)), max_size=60))
@settings(deadline=None)
def test_every_access_of_a_process_is_counted_however_coarse(
    accesses: list[tuple[int, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(address_heat, "GRAINS", 8)
        patch.setattr(address_heat, "PLACES", 1000)
        heat = AddressHeat(100)
        pids, vaddrs = (np.array([row[at] for row in accesses]) for at in (0, 1))
        pids %= 8  # a grain has one process
        for at in range(len(accesses)):
            heat.add(100 * (at + 1), pids[at : at + 1], vaddrs[at : at + 1].astype(np.uint64))
        total = sum(sum(found.counts) for found in heat.maps() if found.part == "whole")
    assert total == len(accesses)


def test_processes_beyond_the_last_grain_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_heat, "GRAINS", 4)
    heat = AddressHeat(100)
    heat.add(100, np.arange(4), np.zeros(4, np.uint64))
    heat.add(200, np.arange(9), np.zeros(9, np.uint64))
    assert {m.place: sum(m.counts) for m in heat.maps()} == {f"pid {n}": 2 for n in range(4)}


def test_ranges_of_a_process_that_are_far_apart_are_maps_of_their_own() -> None:
    heat = AddressHeat(100)
    heap, stack = 0x5555_0000_0000, 0x7FFF_0000_0000
    vaddrs = np.array([heap, heap + 4096, stack], np.uint64)
    heat.add(100, np.full(3, 40), vaddrs)
    assert [(m.place, m.first << 12, sum(m.counts)) for m in heat.maps()] == [
        ("pid 40", heap, 2),
        ("pid 40", stack, 1),
    ]


def test_counts_of_a_machine_of_any_size_take_at_most_64_mib() -> None:
    heat = PfnHeat([Node(id=0, start_pfn=0, pages=1 << 32, toptier=False)], 100)
    assert heat._counts.nbytes <= 64 << 20
    assert pfn_heat.GRAINS >> 1 < heat._counts.shape[1] <= pfn_heat.GRAINS
