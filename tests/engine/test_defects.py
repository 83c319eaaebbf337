"""The series' defects by number: kept in fidelity v7, and what improved does instead.

Numbers and words are those of the list that this project keeps of them (docs/defects.md).
"""

from __future__ import annotations

from errno import EINVAL

import numpy as np
import pytest

from pghot.engine import page_flags
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import FIDELITIES, IMPROVED, V7, V8
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.engine.memory import Folio
from tests.rig import FAST, HINTFAULT, SECTION, SLOW, SLOW_PFN, node

HOT = 3
BOTH = pytest.mark.parametrize("fidelity", [V7, IMPROVED], ids=lambda fidelity: fidelity.name)


def pfns_of(batches):
    return [batch.pfns[batch.moved].tolist() for batch in batches]


def three_nodes(slow_first=False):
    """Give two slow nodes and a fast one; the fast one is node 0, or node 2."""
    top, low = (2, 0) if slow_first else (0, 2)
    return [
        node(top, 0, 1, top=True, free=1000),
        node(low, 2 * SECTION, 1, top=False, free=1000),
        node(SLOW, SLOW_PFN, 1, top=False),
    ]


def test_1_v7_checks_a_target_when_it_is_written_and_never_again(rig):
    rig = rig(fidelity=V7)
    rig.memory.offline.add(FAST)  # after it was taken as the target
    rig.touch(SLOW_PFN, now=10, times=2)
    assert pfns_of(rig.look(100)) == [[SLOW_PFN]]
    assert rig.nid_of(SLOW_PFN) == FAST  # a page on a node that is offline


def test_1_improved_moves_nothing_to_a_node_that_is_not_online_and_top_tier(rig):
    rig = rig(fidelity=IMPROVED)
    rig.memory.offline.add(FAST)
    rig.touch(SLOW_PFN, now=10, times=2)
    assert rig.look(100) == []
    assert rig.engine.refused == {"no_target": 1}
    rig.memory.offline.clear()
    assert pfns_of(rig.look(200)) == [[SLOW_PFN]]


@BOTH
def test_1_a_target_of_64_or_more_is_looked_up_like_any_other_here(rig, fidelity):
    # The kernel reads past a bitmap of 64 nodes; an array of 1024 has no such edge.
    rig = rig(fidelity=fidelity)
    with pytest.raises(TunableError) as error:
        rig.engine.write("target_nid", "64")
    assert error.value.errno == EINVAL


@pytest.mark.parametrize(("gap_ms", "one_window"), [(8200, True), (7600, False)])
def test_2_in_v7_touches_far_beyond_the_window_can_count_as_one(rig, gap_ms, one_window):
    rig = rig(fidelity=V7)
    rig.touch(SLOW_PFN, now=1000)
    rig.touch(SLOW_PFN, now=1000 + gap_ms)
    assert (DEFAULT.fields(rig.record_of(SLOW_PFN)).freq == 2) is one_window


@pytest.mark.parametrize("gap_ms", [3072, 4096, 7600, 8200, 16_384, 100_000, 4_096_000])
@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
def test_2_in_improved_the_window_holds(rig, layout, gap_ms):
    for start in (10_001_000, 10_001_100, 10_003_333):
        machine = rig(layout, fidelity=IMPROVED, tunables={"pghot_promote_freq_window_ms": "3000"})
        machine.touch(SLOW_PFN, now=start)
        for step in range(0, gap_ms, 700):  # other pages keep the section alive
            machine.touch(SLOW_PFN + 1 + step % 97, now=start + step)
        machine.touch(SLOW_PFN, now=start + gap_ms)
        assert layout.fields(machine.record_of(SLOW_PFN)).freq == 1


def test_2_in_v7_a_window_above_3968_ms_never_closes(rig):
    rig = rig(fidelity=V7, tunables={"pghot_promote_freq_window_ms": "3969"})
    rig.touch(SLOW_PFN, now=0)
    rig.touch(SLOW_PFN, now=4095)
    assert DEFAULT.fields(rig.record_of(SLOW_PFN)).freq == 2


def test_2_in_v7_a_precise_window_above_16383_ms_never_closes(rig):
    rig = rig(PRECISE, fidelity=V7, tunables={"pghot_promote_freq_window_ms": "16383"})
    rig.touch(SLOW_PFN, now=1)
    rig.touch(SLOW_PFN, now=16_384)
    assert PRECISE.fields(rig.record_of(SLOW_PFN)).freq == 2


def test_2_at_250_hz_the_wheel_is_four_times_as_long(rig):
    rig = rig(fidelity=V7, hz=250)
    rig.touch(SLOW_PFN, now=0)
    rig.touch(SLOW_PFN, now=250 * 16 + 96)  # 16.384 s
    assert DEFAULT.fields(rig.record_of(SLOW_PFN)).freq == 2


@BOTH
def test_3_a_pfn_freed_and_used_again_inherits_the_heat_of_the_page_before(rig, fidelity):
    # Mended only where somebody can know that the page is another: the live command.
    rig = rig(fidelity=fidelity)
    rig.touch(SLOW_PFN, now=1)
    rig.memory.mem_map.set_flags(SLOW_PFN, page_flags.UNREFERENCED)  # freed
    rig.touch(SLOW_PFN, now=2)
    rig.memory.mem_map.set_flags(SLOW_PFN, page_flags.UNREFERENCED, on=False)  # of a new process
    rig.touch(SLOW_PFN, now=3)
    assert pfns_of(rig.look(100)) == [[SLOW_PFN]]


@BOTH
def test_4_a_lower_tier_node_added_after_boot(rig, fidelity):
    rig = rig(fidelity=fidelity)
    rig.memory.add_node(node(5, 64 * SECTION, 1, top=False))
    assert rig.engine.memory_going_online(64 * SECTION, SECTION) == 0
    rig.touch(64 * SECTION, now=10, times=2)
    assert rig.stat("pghot_recorded_accesses") == 2
    promoted = pfns_of(rig.look(100))
    assert promoted == ([] if fidelity is V7 else [[64 * SECTION]])


def test_5_work_requested_during_work_is_done_at_once_and_not_after_the_sleep(rig):
    rig = rig(fidelity=V7)
    rig.touch(SLOW_PFN, now=10, times=2)
    found = []
    for batch in rig.engine.look(100):  # one wake-up
        found += batch.pfns.tolist()
        if len(found) < 4:
            rig.touch(SLOW_PFN + len(found), now=100, times=2)
    assert found == [SLOW_PFN, SLOW_PFN + 1, SLOW_PFN + 2, SLOW_PFN + 3]


@BOTH
def test_5_a_sleep_of_0_never_rests_but_in_improved_there_is_a_floor(rig, fidelity):
    rig = rig(fidelity=fidelity, tunables={"kmigrated_sleep_ms": "0"})
    assert rig.engine.sleep_ms == (0 if fidelity is V7 else 10)
    rig.engine.write("kmigrated_sleep_ms", "250")
    assert rig.engine.sleep_ms == 250


@BOTH
def test_6_batches_are_one_folio_larger_than_asked_only_in_v7(rig, fidelity):
    rig = rig(fidelity=fidelity)
    rig.touch(*range(SLOW_PFN, SLOW_PFN + 1026), now=10, times=2)
    sizes = [len(batch.pfns) for batch in rig.look(100)]
    assert sizes == ([513, 513] if fidelity is V7 else [512, 512, 2])


def test_6_improved_takes_a_batch_of_none_for_a_batch_of_one(rig):
    rig = rig(fidelity=IMPROVED, tunables={"kmigrated_batch_nr": "0"})
    rig.touch(SLOW_PFN, SLOW_PFN + 1, now=10, times=2)
    assert [len(batch.pfns) for batch in rig.look(100)] == [1, 1]


def test_7_numa_balancing_alone_promotes_nothing_until_a_source_is_enabled(rig):
    rig = rig(fidelity=V7, tunables={"enabled_sources": "0", "numa_balancing": "2"})
    rig.touch(SLOW_PFN, now=10, times=HOT, source=HINTFAULT)
    assert rig.look(100) == []
    assert rig.stat("pghot_recorded_hintfaults") == 0


REFUSALS = {
    "rate limit": {"tunables": {"pghot_promote_rate_limit_MBps": "0"}},
    "threshold": {"tunables": {"pghot_promote_freq_window_ms": "600"}},
    "isolation": {"free": 0},
}


@pytest.mark.parametrize("refusal", REFUSALS)
@BOTH
def test_8_a_refused_candidate_has_lost_its_record_only_in_v7(rig, fidelity, refusal):
    rig = rig(fidelity=fidelity, **REFUSALS[refusal])
    rig.touch(SLOW_PFN, now=0, times=2)
    record = rig.record_of(SLOW_PFN)
    late = 700 if refusal == "threshold" else 100
    rig.engine.tunables._values["pghot_promote_freq_window_ms"] = 600
    assert rig.look(late) == []
    kept = rig.record_of(SLOW_PFN)
    if fidelity is V7:
        assert kept == 0
    elif refusal != "threshold":  # which, in improved, means that the record has expired
        assert kept == record


def test_8_improved_looks_at_a_refused_candidate_again_at_the_next_wake_up(rig):
    rig = rig(fidelity=IMPROVED, free=0)
    rig.touch(SLOW_PFN, now=0, times=2)
    assert rig.look(100) == []
    rig.memory.frames.free[FAST] = 1
    assert pfns_of(rig.look(200)) == [[SLOW_PFN]]


def test_8_improved_keeps_the_record_of_a_folio_whose_migration_failed(rig):
    rig = rig(fidelity=IMPROVED, free=1)
    rig.touch(SLOW_PFN, SLOW_PFN + 1, now=0, times=2)
    (batch,) = rig.look(100)
    assert batch.moved.tolist() == [True, False]
    rig.memory.frames.free[FAST] = 1
    assert pfns_of(rig.look(200)) == [[SLOW_PFN + 1]]


def test_8_improved_gives_up_a_refused_candidate_once_its_window_is_over(rig):
    rig = rig(fidelity=IMPROVED, free=0)
    rig.touch(SLOW_PFN, now=0, times=2)
    for now in range(100, 8000, 100):
        assert rig.look(now) == []
    assert rig.record_of(SLOW_PFN) == 0
    assert not rig.engine.work_requested


def test_8_improved_counts_a_candidate_that_waits_for_the_rate_limit_once(rig):
    rig = rig(fidelity=IMPROVED, free=5000, tunables={"pghot_promote_rate_limit_MBps": "1"})
    rig.touch(*range(SLOW_PFN, SLOW_PFN + 400), now=0, times=2)
    for now in (100, 200, 300):
        rig.look(now)
    assert rig.stat("pgpromote_candidate") == rig.stat("pgpromote_success") == 255


@BOTH
def test_9_under_a_rate_limit_v7_takes_low_pfns_and_improved_the_hottest(rig, fidelity):
    rig = rig(fidelity=fidelity, free=5000, tunables={"pghot_promote_rate_limit_MBps": "1"})
    warm = range(SLOW_PFN, SLOW_PFN + 400)
    hottest = range(SLOW_PFN + 1000, SLOW_PFN + 1255)
    rig.touch(*warm, now=10, times=2)
    rig.touch(*hottest, now=10, times=3)
    promoted = sorted(pfn for pfns in pfns_of(rig.look(100)) for pfn in pfns)
    assert promoted == (list(warm)[:255] if fidelity is V7 else list(hottest))


def test_9_improved_prefers_the_more_recent_among_equals(rig):
    rig = rig(fidelity=IMPROVED, free=1)
    rig.touch(SLOW_PFN, now=0, times=2)
    rig.touch(SLOW_PFN + 9, now=900, times=2)
    assert pfns_of(rig.look(1000)) == [[SLOW_PFN + 9]]


def test_9_improved_keeps_batches_of_one_memcg_large(rig):
    folios = [Folio(SLOW_PFN + at, memcg=at % 2) for at in range(100)]
    rig = rig(fidelity=IMPROVED, folios=folios)
    rig.touch(*range(SLOW_PFN, SLOW_PFN + 100), now=10, times=2)
    assert [(batch.memcg, len(batch.pfns)) for batch in rig.look(100)] == [(0, 50), (1, 50)]


def test_10_a_candidate_that_cannot_be_isolated_has_used_up_the_rate_limit(rig):
    rig = rig(fidelity=V7, free=5000, tunables={"pghot_promote_rate_limit_MBps": "1"})
    pfns = range(SLOW_PFN, SLOW_PFN + 300)
    for pfn in list(pfns)[:255]:
        rig.memory.mem_map.set_flags(pfn, page_flags.UNMOVABLE)
    rig.touch(*pfns, now=10, times=2)
    assert rig.look(100) == []
    assert rig.stat("pgpromote_candidate") == 300
    assert rig.stat("pgpromote_success") == 0
    assert rig.engine.refused == {"isolation": 255, "rate_limit": 45}


@pytest.mark.parametrize(("fidelity", "goes_to"), [(V7, 0), (IMPROVED, 2)])
def test_12_in_default_mode_every_page_of_v7_goes_to_one_node_however_far(rig, fidelity, goes_to):
    nodes = [
        node(0, 0, 1, top=True, free=10),
        node(2, SECTION, 1, top=True, free=10),
        node(SLOW, SLOW_PFN, 1, top=False),
    ]
    default, precise = rig(nodes=nodes, fidelity=fidelity), rig(PRECISE, nodes=nodes)
    for machine in (default, precise):
        machine.touch(SLOW_PFN, now=10, times=2, nid=2)
    assert [batch.to_nid for batch in default.look(100)] == [goes_to]
    assert [batch.to_nid for batch in precise.look(100)] == [2]


@pytest.mark.parametrize("layout", [DEFAULT, PRECISE])
def test_12_a_cpu_on_a_node_that_is_not_top_tier_is_no_error_where_that_is_mended(rig, layout):
    old, mended = rig(layout), rig(layout, fidelity=IMPROVED)
    assert old.engine.record(SLOW_PFN, 7, HINTFAULT, 1) == (-EINVAL if layout is PRECISE else 0)
    mended.touch(SLOW_PFN, now=10, times=2, nid=7)
    assert [batch.to_nid for batch in mended.look(100)] == [0]


@pytest.mark.parametrize("layout", [DEFAULT, PRECISE])
def test_12_a_cpu_whose_node_is_offline_by_then_is_no_error_where_that_is_mended(rig, layout):
    nodes = [
        node(0, 0, 1, top=True, free=10),
        node(2, SECTION, 1, top=True, free=10),
        node(SLOW, SLOW_PFN, 1, top=False),
    ]
    old, mended = rig(layout, nodes=nodes), rig(layout, nodes=nodes, fidelity=IMPROVED)
    for machine in (old, mended):
        machine.memory.offline.add(2)
        machine.engine.nodes_changed()
    assert old.engine.record(SLOW_PFN, 2, HINTFAULT, 1) == (-EINVAL if layout is PRECISE else 0)
    mended.touch(SLOW_PFN, now=10, times=2, nid=2)
    assert [batch.to_nid for batch in mended.look(100)] == [0]
    for no_node in (-2, 1024):
        refused = mended.engine.record(SLOW_PFN, no_node, HINTFAULT, 200)
        assert refused == (-EINVAL if layout is PRECISE else 0)


@BOTH
def test_13_a_fault_without_a_target_is_counted_in_default_and_refused_in_precision(rig, fidelity):
    # The fault handler then reports the page's own node.
    default, precise = rig(DEFAULT, fidelity=fidelity), rig(PRECISE, fidelity=fidelity)
    assert default.engine.record(SLOW_PFN, SLOW, HINTFAULT, 1) == 0
    assert default.stat("pghot_recorded_hintfaults") == 1
    assert precise.engine.record(SLOW_PFN, SLOW, HINTFAULT, 1) == -EINVAL
    assert precise.stat("pghot_recorded_hintfaults") == 0


@BOTH
def test_14_the_sweep_steps_by_the_folios_size_also_from_a_tail_page(rig, fidelity):
    # The second section begins on the folio's page 256 and the step takes 512 from there.
    second = SLOW_PFN + SECTION
    rig = rig(fidelity=fidelity, folios=[Folio(second - 256, 512)])
    rig.touch(second + 256, second + 512, now=10, times=2)
    assert pfns_of(rig.look(100)) == [[second + 512]]
    assert rig.record_of(second + 256) != 0


@BOTH
def test_15_going_online_allocates_hot_maps_for_top_tier_sections_as_well(rig, fidelity):
    rig = rig(fidelity=fidelity)
    rig.memory.add_node(node(5, 64 * SECTION, 1, top=True))
    rig.engine.memory_going_online(64 * SECTION, SECTION)
    slot = rig.memory.mem_map.index(64 * SECTION) // SECTION
    assert rig.engine.hot_map.has_map[slot]


@BOTH
def test_16_the_default_target_is_node_0_whatever_its_tier_only_in_v7(rig, fidelity):
    rig = rig(fidelity=fidelity, nodes=three_nodes(slow_first=True))
    rig.touch(SLOW_PFN, now=10, times=2, nid=2)
    (batch,) = rig.look(100)
    assert batch.to_nid == (0 if fidelity is V7 else 2)
    assert rig.memory.node_is_toptier(batch.to_nid) is (fidelity is IMPROVED)


def test_the_fidelities_differ_in_nothing_but_their_switches():
    switches = [name for name in V7.__slots__ if name != "name"]
    assert not any(getattr(V7, name) for name in switches)
    of_v8 = {"ready_anew", "lower_maps_only", "v8_files"}
    assert {name for name in switches if getattr(V8, name)} == of_v8
    assert {name for name in switches if getattr(IMPROVED, name)} == {*switches} - of_v8
    assert [*FIDELITIES] == ["v7", "v8", "improved"]


@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
def test_where_no_defect_bites_both_fidelities_record_alike(rig, layout):
    rng = np.random.default_rng(3)
    machines = [rig(layout, fidelity=fidelity) for fidelity in (V7, IMPROVED)]
    pfns = SLOW_PFN + rng.integers(0, 500, 4000)
    now = np.sort(rng.integers(0, 2500, 4000))
    for machine in machines:
        machine.engine.record_many(pfns, 0, 1, now)
    assert np.array_equal(*(machine.engine.hot_map.records for machine in machines))
