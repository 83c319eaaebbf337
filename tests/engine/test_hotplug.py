"""Hot maps at boot and in memory hotplug (R1.1, R6.10)."""

from __future__ import annotations

from errno import ENOMEM

import pytest

from pghot.engine.hotmap import HotMap
from tests.rig import SECTION, SLOW, SLOW_PFN, node


def maps_of(rig, start, sections):
    slots = rig.memory.mem_map.slot_of[start // SECTION : start // SECTION + sections] - 1
    return rig.engine.hot_map.has_map[slots].tolist()


def failing(monkeypatch, at):
    """Let the allocation number `at` fail, as if memory had run out."""
    allocate = HotMap._allocate
    calls = iter(range(100))

    def allocate_or_fail(self, slot):
        if next(calls) == at:
            raise MemoryError
        allocate(self, slot)

    monkeypatch.setattr(HotMap, "_allocate", allocate_or_fail)


# R1.1
def test_at_boot_the_lower_tiers_sections_get_hot_maps_and_no_others(rig):
    rig = rig()
    assert maps_of(rig, 0, 8) == [0] * 8
    assert maps_of(rig, SLOW_PFN, 4) == [1] * 4


def test_a_boot_that_runs_out_of_memory_leaves_no_hot_map_and_starts_nothing(rig, monkeypatch):
    rig = rig(start=False)
    failing(monkeypatch, at=2)
    with pytest.raises(MemoryError):
        rig.engine.start()
    assert maps_of(rig, SLOW_PFN, 4) == [0] * 4
    assert rig.engine.kmigrated == {}
    assert rig.engine.record(SLOW_PFN, 0, 1, 0) == 0
    assert rig.stat("pghot_recorded_hwhints") == 0


# R6.10
def test_memory_going_online_gets_hot_maps_for_its_whole_range(rig):
    rig = rig()
    rig.memory.add_node(node(5, 64 * SECTION, 2, top=False))
    assert rig.engine.memory_going_online(64 * SECTION, 2 * SECTION) == 0
    rig.touch(65 * SECTION, now=1)
    assert rig.record_of(65 * SECTION) != 0


def test_before_it_is_announced_new_memory_has_no_records(rig):
    rig = rig()
    rig.memory.add_node(node(5, 64 * SECTION, 1, top=False))
    rig.touch(SLOW_PFN, 64 * SECTION, now=1)
    assert rig.stat("pghot_recorded_accesses") == 1


def test_going_online_is_all_or_nothing_and_rolls_back_earlier_sections_too(rig, monkeypatch):
    rig = rig()
    rig.memory.add_node(node(5, 64 * SECTION, 3, top=False))
    assert rig.engine.memory_going_online(64 * SECTION, SECTION) == 0
    failing(monkeypatch, at=1)
    assert rig.engine.memory_going_online(64 * SECTION, 3 * SECTION) == -ENOMEM
    # The one that was there before is in the range that is rolled back.
    assert maps_of(rig, 64 * SECTION, 3) == [0, 0, 0]


# R6.10
def test_offline_and_cancelled_online_free_the_maps_with_records_and_flags(rig):
    rig = rig()
    rig.touch(SLOW_PFN, SLOW_PFN + SECTION, now=1, times=2)
    rig.engine.memory_offline(SLOW_PFN, SECTION)
    assert maps_of(rig, SLOW_PFN, 4) == [0, 1, 1, 1]
    assert rig.record_of(SLOW_PFN) == 0
    assert rig.engine.hot_map.hot_sections().tolist() == [SLOW_PFN // SECTION + 1]


def test_a_partial_section_counts_whole(rig):
    rig = rig()
    rig.engine.memory_offline(SLOW_PFN + 10, 5)
    assert maps_of(rig, SLOW_PFN, 2) == [0, 1]


def test_memory_that_comes_back_starts_from_zero(rig):
    rig = rig()
    rig.touch(SLOW_PFN, now=1)
    rig.engine.memory_offline(SLOW_PFN, SECTION)
    rig.memory.mem_map.remove_sections(SLOW_PFN, SECTION)
    rig.memory.mem_map.add_sections(SLOW_PFN, SECTION, SLOW)
    assert rig.engine.memory_going_online(SLOW_PFN, SECTION) == 0
    assert rig.record_of(SLOW_PFN) == 0
    rig.touch(SLOW_PFN, now=2, times=2)
    assert [batch.pfns.tolist() for batch in rig.look(100)] == [[SLOW_PFN]]


def test_sections_that_are_present_cannot_be_added_again(rig):
    with pytest.raises(ValueError, match="present already"):
        rig().memory.mem_map.add_sections(SLOW_PFN, SECTION, 3)
