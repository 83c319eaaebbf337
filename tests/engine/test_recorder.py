"""The rules of recording, in order (R2)."""

from __future__ import annotations

from errno import EINVAL

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine import page_flags
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.engine.memory import Folio
from tests.rig import FAST, HINTFAULT, HWHINT, SECTION, SLOW, SLOW_PFN, Rig, node

COUNTED = ("pghot_recorded_hintfaults", "pghot_recorded_hwhints", "pghot_recorded_accesses")


def counted(rig):
    return tuple(rig.stat(name) for name in COUNTED)


# R2.1
def test_1_before_the_engine_has_started_an_access_is_accepted_and_ignored(rig):
    rig = rig(start=False)
    assert rig.engine.record(SLOW_PFN, 5000, 99, 0) == 0
    assert counted(rig) == (0, 0, 0)


# R2.2
@pytest.mark.parametrize("nid", [-2, 2, 1024, SLOW, 40_000])
def test_2_precision_mode_refuses_a_node_that_is_no_online_top_tier_one(rig, nid):
    rig = rig(PRECISE)
    assert rig.engine.record(SLOW_PFN, nid, HWHINT, 0) == -EINVAL
    assert counted(rig) == (0, 0, 0)


def test_2_precision_mode_refuses_an_offline_node(rig):
    rig = rig(PRECISE)
    rig.memory.offline.add(FAST)
    rig.engine.nodes_changed()
    assert rig.engine.record(SLOW_PFN, FAST, HWHINT, 0) == -EINVAL


def test_2_precision_mode_takes_an_unknown_node_for_target_nid(rig):
    nodes = [
        node(0, 0, 1, top=True),
        node(2, SECTION, 1, top=True),
        node(1, SLOW_PFN, 1, top=False),
    ]
    rig = rig(PRECISE, nodes=nodes, tunables={"target_nid": "2"})
    rig.touch(SLOW_PFN, now=1, nid=-1)
    assert PRECISE.fields(rig.record_of(SLOW_PFN)).nid == 2


def test_2_default_mode_asks_nothing_of_the_node(rig):
    rig = rig(DEFAULT)
    assert rig.engine.record(SLOW_PFN, 5000, HWHINT, 0) == 0
    assert counted(rig) == (0, 1, 1)


# R2.3
@pytest.mark.parametrize("source", [-1, 2, 7, 300])
def test_3_an_unknown_source_is_refused(rig, source):
    rig = rig()
    assert rig.engine.record(SLOW_PFN, FAST, source, 0) == -EINVAL
    assert counted(rig) == (0, 0, 0)


def test_3_a_disabled_source_is_accepted_and_ignored(rig):
    rig = rig(tunables={"enabled_sources": "0x1"})
    assert rig.engine.record(SLOW_PFN, FAST, HWHINT, 0) == 0
    assert counted(rig) == (0, 0, 0)


def test_3_the_node_is_checked_before_the_source_in_precision_mode(rig):
    rig = rig(PRECISE, tunables={"enabled_sources": "0"})
    assert rig.engine.record(SLOW_PFN, SLOW, HWHINT, 0) == -EINVAL


# R2.4
def test_4_each_source_has_its_own_counter_also_for_accesses_ignored_later(rig):
    rig = rig()
    rig.touch(0, now=0, source=HINTFAULT)
    rig.touch(1 << 39, now=0, source=HWHINT)
    assert counted(rig) == (1, 1, 0)


# R2.5
def test_5_an_access_from_the_pages_own_node_is_ignored(rig):
    rig = rig()
    rig.touch(SLOW_PFN, now=0, nid=SLOW)
    assert counted(rig) == (0, 1, 0)


def test_5_an_access_to_a_top_tier_page_is_ignored(rig):
    rig = rig()
    rig.touch(3, now=0, nid=-1)
    assert counted(rig) == (0, 1, 0)


# R2.6
@pytest.mark.parametrize(
    "flag",
    [page_flags.OFFLINE, page_flags.ZONE_DEVICE, page_flags.UNREFERENCED, page_flags.OFF_LRU],
)
def test_6_a_page_that_cannot_be_promoted_is_ignored(rig, flag):
    rig = rig()
    rig.memory.mem_map.set_flags(SLOW_PFN + 1, flag)
    rig.touch(SLOW_PFN + 1, now=0)
    assert counted(rig) == (0, 1, 0)
    rig.memory.mem_map.set_flags(SLOW_PFN + 1, flag, on=False)
    rig.touch(SLOW_PFN + 1, now=0)
    assert counted(rig) == (0, 2, 1)


# R2.7
@pytest.mark.parametrize("pages", [2, 512, 1 << 16])
def test_7_a_folio_has_one_live_record_that_of_its_first_pfn(rig, pages):
    rig = rig(folios=[Folio(SLOW_PFN, pages)])
    rig.touch(SLOW_PFN + pages - 1, now=200, times=2)
    assert DEFAULT.fields(rig.record_of(SLOW_PFN)) == DEFAULT.fields(0b1_00001_10)
    assert rig.record_of(SLOW_PFN + pages - 1) == 0


def test_7_a_tail_page_has_its_folios_facts(rig):
    rig = rig(folios=[Folio(SLOW_PFN, 512, lru=False)])
    rig.touch(SLOW_PFN + 100, now=0)
    assert counted(rig) == (0, 1, 0)


# R2.8
def test_8_a_section_without_a_hot_map_is_ignored(rig):
    rig = rig()
    rig.engine.hot_map.offline(SLOW_PFN, SECTION)
    rig.touch(SLOW_PFN, now=0)
    rig.touch(SLOW_PFN + SECTION, now=0)
    assert counted(rig) == (0, 2, 1)


# R2.9
def test_9_a_recorded_access_updates_the_record_and_raises_flags_only_once_ready(rig):
    rig = rig()
    rig.touch(SLOW_PFN, now=0)
    assert rig.engine.hot_map.hot_sections().tolist() == []
    assert not rig.engine.work_requested
    rig.touch(SLOW_PFN, now=1)
    assert rig.engine.hot_map.hot_sections().tolist() == [SLOW_PFN // SECTION]
    assert rig.engine.work_requested


# R1.12: the order of one thread decides
@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
def test_arrays_of_accesses_record_as_one_by_one_does(rig, layout):
    rng = np.random.default_rng(11)
    folios = [Folio(SLOW_PFN + 512, 512, memcg=1), Folio(SLOW_PFN + 2048, 8, lru=False)]
    one, many = rig(layout, folios=folios), rig(layout, folios=folios)
    count = 3000
    pfns = rng.integers(SLOW_PFN - 50, SLOW_PFN + 3000, count)
    nids = rng.integers(-2, 3, count)
    sources = rng.integers(-1, 3, count)
    now = np.sort(rng.integers(0, 20_000, count))
    refused = sum(
        one.engine.record(*row) == -EINVAL
        for row in zip(pfns.tolist(), nids.tolist(), sources.tolist(), now.tolist(), strict=True)
    )
    assert many.engine.record_many(pfns, nids, sources, now) == refused
    assert counted(one) == counted(many)
    assert np.array_equal(one.engine.hot_map.records, many.engine.hot_map.records)
    assert np.array_equal(one.engine.hot_map.hot, many.engine.hot_map.hot)


def test_scalars_stand_for_every_row(rig):
    rig = rig()
    assert rig.engine.record_many([SLOW_PFN, SLOW_PFN], FAST, HWHINT, 5) == 0
    assert rig.stat("pghot_recorded_accesses") == 2


NOWHERE = 1 << 30
"""A PFN in no section: a block that holds one goes through the rules row by row."""


@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    pace=st.sampled_from([0, 0.01, 1, 50]),
    moved=st.sampled_from([0, 0.5, 1]),
    back=st.booleans(),
    unmapped=st.booleans(),
    nid=st.sampled_from([FAST, -1]),
)
def test_a_block_that_goes_as_a_whole_is_recorded_as_its_rows_are(
    layout, seed, pace, moved, back, unmapped, nid
):
    rng = np.random.default_rng(seed)
    count, pages = 1500, 300
    pfns = np.concatenate([SLOW_PFN + np.arange(pages), SLOW_PFN - 1 - np.arange(40)])
    pfns = rng.choice(pfns, count)
    now = np.floor(np.arange(count) * pace).astype(np.uint64)
    whole, rows = Rig(layout), Rig(layout)
    for rig in whole, rows:
        draw = np.random.default_rng(seed)
        for pfn in SLOW_PFN + np.flatnonzero(draw.random(pages) < moved):
            rig.memory.mem_map.move_folio(int(pfn), FAST)
        if back:  # a page of the top tier that was demoted
            rig.memory.mem_map.move_folio(SLOW_PFN - 7, SLOW)
        if unmapped:
            rig.engine.hot_map.offline(SLOW_PFN, SECTION)
    assert_recorded_alike(whole, rows, pfns, nid, now)


@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    memcgs=st.lists(st.sampled_from([0, 2, 3, 12, 80, 300]), min_size=4, max_size=4),
    moved=st.sampled_from([0, 0.5]),
)
def test_a_block_is_recorded_as_its_rows_are_whatever_kinds_its_sections_have(
    layout, seed, memcgs, moved
):
    """Kinds of pages by section: none, few, or so many that codes are wide."""
    rng = np.random.default_rng(seed)
    count, pages = 1500, 600
    starts = SLOW_PFN + np.arange(len(memcgs)) * SECTION
    pfns = rng.choice((starts[:, None] + np.arange(pages)).ravel(), count)
    whole, rows = Rig(layout), Rig(layout)
    for rig in whole, rows:
        draw = np.random.default_rng(seed)
        mem_map = rig.memory.mem_map
        for start, kinds in zip(starts, memcgs, strict=True):
            some = (start + np.arange(pages)).astype(np.uint64)
            if not kinds:
                continue
            mem_map.learn(
                some, np.ones(pages, np.int64), np.arange(pages, dtype=np.uint32) % kinds
            )
            for pfn in some[draw.random(pages) < moved].tolist():
                mem_map.move_folio(pfn, FAST)
    assert_recorded_alike(whole, rows, pfns, FAST, np.arange(count, dtype=np.uint64))


def assert_recorded_alike(whole, rows, pfns, nid, now):
    """Record blocks in one engine, and the same row by row in its like."""
    count = len(pfns)
    whole.engine.record_many(pfns, nid, HWHINT, now)
    at = np.arange(0, count, 20)
    mixed = np.insert(pfns, at, NOWHERE)
    rows.engine.record_many(mixed, nid, HWHINT, np.insert(now, at, now[at]))
    hints = "pghot_recorded_hwhints"
    assert whole.stat(hints) == count == rows.stat(hints) - len(at)
    assert whole.stat(COUNTED[2]) == rows.stat(COUNTED[2])
    assert whole.engine.accesses_on_toptier == rows.engine.accesses_on_toptier
    assert whole.engine.accesses_born_on_toptier == rows.engine.accesses_born_on_toptier
    for name in "records", "hot", "touched":
        mine, theirs = (getattr(rig.engine.hot_map, name) for rig in (whole, rows))
        assert np.array_equal(mine, theirs), name
    assert np.array_equal(whole.engine.activate, rows.engine.activate)
