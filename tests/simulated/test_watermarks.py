"""Watermarks are those that the kernel computes, and allocations heed them."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.simulated.machine.watermarks import min_free_pages, watermarks
from pghot.simulated.policies.simulate import Simulation
from tests.simulated.invariants import check_memory
from tests.simulated.small_machines import FAST, SLOW, machine, node, region

GIB = 1 << 18
"""Pages of a GiB."""


@pytest.mark.parametrize(
    ("gib", "kib"),
    [
        (1 / 1024, 128),  # the least
        (1, 4096),  # sqrt(1 MiKiB * 16) KiB
        (4, 8192),
        (16, 16384),
        (256, 65536),
        (8192, 262_144),  # the most
    ],
)
def test_min_free_kbytes_is_four_times_the_root_of_the_memory_in_kib(gib: float, kib: int) -> None:
    assert min_free_pages(int(gib * GIB)) == kib >> 2


def test_marks_of_a_zone_are_a_quarter_of_its_reserve_apart_or_a_thousandth_of_its_pages() -> None:
    # 16 GiB: min_free_kbytes 16384, so 4096 pages; a thousandth of 4 Mi pages is 4194.
    assert watermarks(16 * GIB, 16 * GIB) == (4096, 8290, 12484, 16678)
    # 1 GiB: 1024 pages of reserve; a quarter is 256, a thousandth 262.
    assert watermarks(GIB, GIB) == (1024, 1286, 1548, 1810)
    # 64 MiB: 256 pages; a quarter is 64, a thousandth 16.
    assert watermarks(GIB // 16, GIB // 16) == (256, 320, 384, 448)


def test_nodes_share_the_reserve_by_their_size() -> None:
    whole = min_free_pages(4 * GIB)
    assert watermarks(GIB, 4 * GIB).min == whole // 4
    assert watermarks(3 * GIB, 4 * GIB).min == whole * 3 // 4


def free(scenario_region: dict[str, object], **more: object) -> tuple[list[int], list[int]]:
    """The pages of the region by node, and the free ones, after it was allocated."""
    world = Simulation(machine(region=[scenario_region], **more), "none").world
    world.start_group(world.groups[0])
    check_memory(world.memory)
    placed = np.bincount(world.memory.folios.nid, minlength=2)
    return placed.tolist(), [world.memory.free_pages(nid) for nid in (FAST, SLOW)]


NODES = [
    node(FAST, "16 MiB", toptier=True, cpus="0-7", min_wmark=40, low_wmark=50,
         high_wmark=60, promo_wmark=70),
    node(SLOW, "16 MiB", min_wmark=10, low_wmark=20, high_wmark=30, promo_wmark=40),
]  # fmt: skip
PAGES = 4096


def test_an_allocation_goes_to_the_next_node_at_the_low_mark() -> None:
    wanted = region(size="20 MiB", place=[FAST, SLOW])
    placed, left = free(wanted, node=NODES)
    assert left[FAST] == 50
    assert placed == [PAGES - 50, 5120 - (PAGES - 50)]


def test_where_every_node_is_at_its_low_mark_allocations_go_down_to_min() -> None:
    size = f"{(2 * PAGES - 65) * 4} KiB"  # both to the low mark leave 70
    placed, left = free(region(size=size, place=[FAST, SLOW]), node=NODES)
    assert left == [45, 20]
    assert sum(placed) == 2 * PAGES - 65


def test_kswapd_is_woken_where_an_allocation_needs_the_reserve_and_not_before() -> None:
    for pages, short in ((2 * PAGES - 70, set()), (2 * PAGES - 69, {FAST, SLOW})):
        wanted = region(size=f"{pages * 4} KiB", place=[FAST, SLOW])
        world = Simulation(machine(region=[wanted], node=NODES), "none").world
        world.start_group(world.groups[0])
        assert world.memory.short == short


def test_what_does_not_fit_above_the_min_marks_is_refused_by_name() -> None:
    size = f"{(2 * PAGES - 49) * 4} KiB"
    with pytest.raises(InputError, match="region memory: its nodes have no room for it"):
        free(region(size=size, place=[FAST, SLOW]), node=NODES)


def test_interleaved_pages_are_dealt_out_in_turn() -> None:
    world = Simulation(machine(region=[region(place=[FAST, SLOW], interleave=True)]), "none").world
    world.start_group(world.groups[0])
    assert world.memory.folios.nid.tolist() == [FAST, SLOW] * 2048


def test_what_finds_no_room_in_turn_goes_where_there_is_some() -> None:
    wanted = region(size="24 MiB", place=[FAST, SLOW], interleave=True)
    nodes = [NODES[0], node(SLOW, "64 MiB")]
    placed, left = free(wanted, node=nodes)
    assert left[FAST] > 50
    assert placed == [3072, 3072]
    placed, left = free(region(size="40 MiB", place=[FAST, SLOW], interleave=True), node=nodes)
    assert left[FAST] == 50
    assert placed == [PAGES - 50, 10240 - (PAGES - 50)]
