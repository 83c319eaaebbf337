"""kmigrated: wake rule, walk, batches (R3)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine import page_flags
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.fidelity import IMPROVED, V7
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.engine.memory import Folio
from pghot.engine.throttle_verdicts import ENOUGH_PAGES
from tests.rig import FAST, SECTION, SLOW, SLOW_PFN, Rig, node


def heat(rig, pfns, now=10):
    rig.touch(*pfns, now=now, times=2)


def moved(batches):
    return [batch.pfns[batch.moved].tolist() for batch in batches]


# R3.1
def test_there_is_one_kmigrated_for_each_lower_tier_node_with_memory(rig):
    nodes = [
        node(0, 0, 1, top=True),
        node(3, 2 * SECTION, 1, top=False),
        node(1, 4 * SECTION, 1, top=False),
        node(2, 0, 0, top=False),
    ]
    assert list(rig(nodes=nodes).engine.kmigrated) == [1, 3]


# R3.2
def test_a_look_without_the_activate_flag_does_nothing(rig):
    rig = rig()
    heat(rig, [SLOW_PFN])
    rig.engine.activate[SLOW] = 0
    assert rig.look(100) == []
    assert rig.nid_of(SLOW_PFN) == SLOW


# R3.5
def test_a_ready_page_is_promoted_and_its_record_consumed(rig):
    rig = rig()
    heat(rig, [SLOW_PFN + 5])
    (batch,) = rig.look(100)
    assert (batch.from_nid, batch.to_nid, batch.pages_moved) == (SLOW, FAST, 1)
    assert rig.nid_of(SLOW_PFN + 5) == FAST
    assert rig.record_of(SLOW_PFN + 5) == 0
    assert not rig.engine.work_requested
    assert rig.engine.hot_map.hot_sections().tolist() == []


def test_a_promoted_page_records_no_more(rig):
    rig = rig()
    heat(rig, [SLOW_PFN])
    rig.look(100)
    rig.touch(SLOW_PFN, now=150, times=5)
    assert rig.record_of(SLOW_PFN) == 0


def test_a_record_that_is_not_ready_is_left_alone(rig):
    rig = rig()
    heat(rig, [SLOW_PFN])
    rig.touch(SLOW_PFN + 1, now=10)
    before = rig.record_of(SLOW_PFN + 1)
    rig.look(100)
    assert rig.record_of(SLOW_PFN + 1) == before != 0


# R3.3
def test_only_hot_sections_are_walked(rig):
    rig = rig()
    heat(rig, [SLOW_PFN, SLOW_PFN + SECTION])
    rig.engine.hot_map.hot[rig.memory.mem_map.index(SLOW_PFN + SECTION) // SECTION] = 0
    assert moved(rig.look(100)) == [[SLOW_PFN]]


# R3.3, R3.8
def test_sections_are_walked_in_pfn_order_and_each_walk_ends_with_a_flush(rig):
    rig = rig()
    pfns = [SLOW_PFN + SECTION + 1, SLOW_PFN + 7, SLOW_PFN + SECTION, SLOW_PFN]
    heat(rig, pfns)
    assert moved(rig.look(100)) == [
        [SLOW_PFN + 7, SLOW_PFN],
        [SLOW_PFN + SECTION + 1, SLOW_PFN + SECTION],
    ]


# R3.10
def test_in_a_batch_the_last_folio_isolated_goes_first(rig):
    rig = rig()
    heat(rig, range(SLOW_PFN, SLOW_PFN + 4))
    assert moved(rig.look(100)) == [[SLOW_PFN + 3, SLOW_PFN + 2, SLOW_PFN + 1, SLOW_PFN]]


# R3.9
@pytest.mark.parametrize(
    ("batch_nr", "sizes"), [("0", [1] * 5), ("1", [2, 2, 1]), ("3", [4, 1]), ("512", [5])]
)
def test_a_batch_is_flushed_when_its_count_exceeds_the_tunable(rig, batch_nr, sizes):
    rig = rig(tunables={"kmigrated_batch_nr": batch_nr})
    heat(rig, range(SLOW_PFN, SLOW_PFN + 5))
    assert [len(batch.pfns) for batch in rig.look(100)] == sizes


def test_at_the_default_of_512_a_batch_holds_513_folios(rig):
    rig = rig()
    heat(rig, range(SLOW_PFN, SLOW_PFN + 1100))
    assert [len(batch.pfns) for batch in rig.look(100)] == [513, 513, 74]


def test_a_batch_counts_folios_not_pages(rig):
    folios = [Folio(SLOW_PFN + at * 512, 512) for at in range(5)]
    rig = rig(folios=folios, tunables={"kmigrated_batch_nr": "3"})
    heat(rig, [folio.pfn for folio in folios])
    assert [batch.pages_moved for batch in rig.look(100)] == [2048, 512]


# R3.8
def test_a_change_of_memcg_flushes_first_so_a_batch_has_one(rig):
    memcgs = [1, 1, 2, 1, 1]
    rig = rig(folios=[Folio(SLOW_PFN + at, memcg=memcg) for at, memcg in enumerate(memcgs)])
    heat(rig, range(SLOW_PFN, SLOW_PFN + 5))
    batches = rig.look(100)
    assert [(batch.memcg, len(batch.pfns)) for batch in batches] == [(1, 2), (2, 1), (1, 2)]
    assert dict(rig.engine.memcg_promoted) == {1: 4, 2: 1}


# R3.8
def test_a_change_of_target_flushes_first_so_a_batch_has_one(rig):
    nodes = [
        node(0, 0, 1, top=True, free=100),
        node(2, SECTION, 1, top=True, free=100),
        node(1, SLOW_PFN, 1, top=False),
    ]
    rig = rig(PRECISE, nodes=nodes)
    for at, nid in enumerate([0, 0, 2, 0]):
        rig.touch(SLOW_PFN + at, now=10, times=2, nid=nid)
    assert [(batch.to_nid, len(batch.pfns)) for batch in rig.look(100)] == [(0, 2), (2, 1), (0, 1)]


# R3.5
def test_in_default_mode_every_page_goes_to_target_nid(rig):
    nodes = [
        node(0, 0, 1, top=True, free=100),
        node(2, SECTION, 1, top=True, free=100),
        node(1, SLOW_PFN, 1, top=False),
    ]
    rig = rig(nodes=nodes, tunables={"target_nid": "2"})
    rig.touch(SLOW_PFN, now=10, times=2, nid=0)
    (batch,) = rig.look(100)
    assert batch.to_nid == 2


# R3.4
@pytest.mark.parametrize("flag", [page_flags.OFF_LRU, page_flags.UNREFERENCED])
def test_a_walked_folio_that_cannot_move_keeps_its_record_but_the_flag_is_gone(rig, flag):
    rig = rig()
    heat(rig, [SLOW_PFN])
    record = rig.record_of(SLOW_PFN)
    rig.memory.mem_map.set_flags(SLOW_PFN, flag)
    assert rig.look(100) == []
    assert rig.record_of(SLOW_PFN) == record
    rig.memory.mem_map.set_flags(SLOW_PFN, flag, on=False)
    assert rig.look(200) == []  # until the next ready access
    rig.touch(SLOW_PFN, now=250)
    assert moved(rig.look(300)) == [[SLOW_PFN]]


# R3.4
def test_a_walked_folio_on_another_node_keeps_its_record(rig):
    rig = rig()
    heat(rig, [SLOW_PFN])
    rig.memory.mem_map.move_folio(SLOW_PFN, FAST)
    assert rig.look(100) == []
    assert rig.record_of(SLOW_PFN) != 0


# R3.6
def test_a_page_already_on_its_target_is_dropped_and_its_record_gone(rig):
    nodes = [node(0, 0, 1, top=False), node(1, SLOW_PFN, 1, top=True)]
    rig = rig(nodes=nodes)  # target_nid stays 0, which is the page's own node
    rig.touch(5, now=10, times=2, nid=1)
    assert rig.look(100) == []
    assert rig.record_of(5) == 0
    assert rig.stat("pgpromote_candidate") == 0


# R3.7, R1.11
def test_a_page_that_cannot_be_isolated_is_refused_and_has_lost_its_record(rig):
    rig = rig()
    heat(rig, [SLOW_PFN, SLOW_PFN + 1])
    rig.memory.mem_map.set_flags(SLOW_PFN, page_flags.UNMOVABLE)
    assert moved(rig.look(100)) == [[SLOW_PFN + 1]]
    assert rig.record_of(SLOW_PFN) == 0
    assert rig.engine.refused == {"isolation": 1}


# R9.7
def test_isolation_says_again_where_the_target_has_fewer_pages_free_than_the_folio(rig):
    rig = rig(free=100, folios=[Folio(SLOW_PFN, 512)])
    heat(rig, [SLOW_PFN, SLOW_PFN + 512])
    assert moved(rig.look(100)) == [[SLOW_PFN + 512]]
    assert rig.engine.refused == {"isolation": 1}


# R9.7
def test_what_finds_no_room_in_its_turn_is_put_back_and_not_counted(rig):
    rig = rig(free=3)
    heat(rig, range(SLOW_PFN, SLOW_PFN + 5))
    (batch,) = rig.look(100)
    assert batch.moved.tolist() == [True, True, True, False, False]
    assert rig.stat("pgpromote_success") == rig.stat("numa_pages_migrated") == 3
    assert rig.engine.refused == {"migration": 2}
    assert rig.nid_of(SLOW_PFN) == SLOW
    assert (rig.memory.free_pages(FAST), rig.memory.free_pages(SLOW)) == (0, 3)


def test_the_walk_steps_over_a_compound_folio_to_the_page_after_it(rig):
    rig = rig(folios=[Folio(SLOW_PFN + 8, 4, memcg=0)])
    heat(rig, [SLOW_PFN + 8, SLOW_PFN + 12, SLOW_PFN + 7])
    (batch,) = rig.look(100)
    assert batch.pfns.tolist() == [SLOW_PFN + 12, SLOW_PFN + 8, SLOW_PFN + 7]
    assert batch.pages.tolist() == [1, 4, 1]
    assert rig.nid_of(SLOW_PFN + 11) == FAST


class RecordsWhileMoving(ArrayMemory):
    """A machine on which pages are touched while others move, so that it moves each batch."""

    mover = None

    def __init__(self, nodes):
        super().__init__(nodes)
        self.meanwhile = []

    def migrate(self, pfns, nid):
        for action in self.meanwhile:
            action()
        self.meanwhile = []
        return super().migrate(pfns, nid)


@pytest.mark.parametrize("fidelity", [V7, IMPROVED], ids=["v7", "improved"])
def test_a_folio_over_two_sections_that_was_hot_as_pages_in_both_moves_once(rig, fidelity):
    """The second walk starts after the batch of the first has moved, and skips the folio."""
    rig = rig(fidelity=fidelity, free=100)
    edge = SLOW_PFN + SECTION
    rig.touch(edge - 4, edge, now=1, times=2)
    rig.memory.mem_map.set_folio(edge - 4, 8)
    assert [batch.pfns.tolist() for batch in rig.look(100)] == [[edge - 4]]
    assert rig.stat("pgpromote_success") == 8
    assert rig.memory.free_pages(FAST) == 92


# R3.2
def test_after_work_it_looks_again_at_once_before_it_sleeps(rig):
    rig = rig()
    rig.memory.__class__ = RecordsWhileMoving
    rig.memory.meanwhile = [lambda: rig.touch(SLOW_PFN + 9, now=100, times=2)]
    heat(rig, [SLOW_PFN])
    assert moved(rig.look(100)) == [[SLOW_PFN], [SLOW_PFN + 9]]


class AskedEachTime(ArrayMemory):
    """A machine that does not say that it is nothing but arrays."""

    mover = None


@pytest.mark.parametrize("fidelity", [V7, IMPROVED], ids=["v7", "improved"])
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    free=st.sampled_from([0, 40, 300, ENOUGH_PAGES + 100, 2 * ENOUGH_PAGES]),
    batch=st.sampled_from(["1", "7", "512"]),
    rate=st.sampled_from(["0", "1", "65536"]),
)
def test_a_machine_of_arrays_moves_a_pass_as_it_would_batch_by_batch(
    fidelity, seed, free, batch, rate
):
    rng = np.random.default_rng(seed)
    folios = [
        Folio(SLOW_PFN + 16 * at, int(rng.choice([1, 4, 16])), memcg=int(rng.integers(3)))
        for at in range(60)
    ]
    pfns = np.sort(rng.choice(SLOW_PFN + np.arange(1200), 500)).repeat(2)
    seen = []
    for machine in ArrayMemory, AskedEachTime:
        rig = Rig(
            fidelity=fidelity,
            nodes=[
                node(FAST, 0, 8, top=True, free=free),
                node(SLOW, SLOW_PFN, 4, top=False),
            ],
            folios=folios,
            tunables={
                "kmigrated_batch_nr": batch,
                "pghot_promote_rate_limit_MBps": rate,
            },
        )
        rig.memory.__class__ = machine
        batches = []
        for now in 100, 200:
            rig.engine.record_many(pfns, FAST, 1, now - 50)
            batches += [
                (b.to_nid, b.memcg, b.pfns.tolist(), b.pages.tolist(), b.moved.tolist())
                for b in rig.look(now)
            ]
        engine = rig.engine
        seen.append((batches, engine.pgdat.tolist(), engine.refused, engine.memcg_promoted))
        assert engine.vmstat["numa_pages_migrated"] == sum(
            sum(size for size, went in zip(sizes, moved, strict=True) if went)
            for *_, sizes, moved in batches
        )
    assert seen[0] == seen[1]


@pytest.mark.compiled  # interpreted it takes half a minute
def test_millions_of_pages_are_promoted_across_blocks_as_within_one(rig):
    sections = 12
    rig = rig(
        free=sections * SECTION,
        fast_sections=8,
        slow_sections=sections,
        nodes=[
            node(0, 0, 16, top=True, free=sections * SECTION),
            node(1, 16 * SECTION, sections, top=False),
        ],
    )
    pfns = np.arange(16 * SECTION, 28 * SECTION).repeat(2)
    rig.engine.record_many(pfns, 0, 1, 10)
    batches = rig.look(100)
    assert sum(batch.pages_moved for batch in batches) == sections * SECTION
    per_section = -(-SECTION // 513)
    assert len(batches) == sections * per_section
    assert rig.stat("pgpromote_success") == sections * SECTION


def test_default_and_precise_walks_find_the_same_pages(rig):
    rng = np.random.default_rng(5)
    pfns = SLOW_PFN + rng.integers(0, 4 * SECTION, 5000)
    found = []
    for layout in (DEFAULT, PRECISE):
        machine = rig(layout)
        machine.engine.record_many(np.sort(pfns).repeat(2), 0, 1, 10)
        found.append(sorted(pfn for pfns in moved(machine.look(100)) for pfn in pfns))
    assert found[0] == found[1]
