"""What v8 of the series does otherwise than v7, rule by rule (R12)."""

from __future__ import annotations

from errno import EINVAL

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine import page_flags
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import V7, V8
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Fields, Rules
from pghot.engine.tunables import V8_TUNABLES
from tests.engine.loops import update
from tests.rig import FAST, SECTION, SLOW_PFN, node

BOTH_MODES = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
POSTINGS = pytest.mark.parametrize("fidelity", [V7, V8], ids=["v7", "v8"])
LATER = {"default": 3072, "precise": 5001}
"""The first time, in jiffies, that opens a new window after an access at 0."""


def refused(rig, name, text):
    before = rig.engine.tunables.as_dict()
    with pytest.raises(TunableError) as error:
        rig.engine.write(name, text)
    assert rig.engine.tunables.as_dict() == before
    return error.value.errno


def off_lru(rig, pfn, *, on):
    rig.memory.mem_map.set_flags(pfn, page_flags.OFF_LRU, on=on)


def ready_and_passed_over(rig, layout, fidelity):
    """A page that became ready at 0 and that kmigrated, at 100, found off the LRU."""
    machine = rig(layout, fidelity=fidelity)
    machine.touch(SLOW_PFN, now=0, times=2)
    off_lru(machine, SLOW_PFN, on=True)
    assert machine.look(100) == []
    off_lru(machine, SLOW_PFN, on=False)
    assert layout.fields(machine.record_of(SLOW_PFN)).ready
    return machine


# R12.1
@BOTH_MODES
@POSTINGS
def test_a_new_window_leaves_a_page_ready_in_v7_and_not_in_v8(rig, layout, fidelity):
    machine = ready_and_passed_over(rig, layout, fidelity)
    now = LATER[layout.name]
    machine.touch(SLOW_PFN, now=now)
    fields = layout.fields(machine.record_of(SLOW_PFN))
    assert (fields.freq, fields.ready) == (1, fidelity is V7)
    assert machine.engine.work_requested is (fidelity is V7)
    moved = machine.look(now + 100)
    assert len(moved) == (1 if fidelity is V7 else 0)
    machine.touch(SLOW_PFN, now=now + 200)
    assert machine.nid_of(SLOW_PFN) == FAST or len(machine.look(now + 300)) == 1


@BOTH_MODES
def test_within_the_window_v8_too_leaves_a_page_ready(rig, layout):
    machine = ready_and_passed_over(rig, layout, V8)
    machine.touch(SLOW_PFN, now=LATER[layout.name] - 1)
    assert layout.fields(machine.record_of(SLOW_PFN)).ready
    assert machine.engine.work_requested


@POSTINGS
def test_a_threshold_that_is_raised_takes_ready_away_in_v8(rig, fidelity):
    machine = ready_and_passed_over(rig, PRECISE, fidelity)
    machine.engine.write("freq_threshold", "7")
    machine.touch(SLOW_PFN, now=200)
    fields = PRECISE.fields(machine.record_of(SLOW_PFN))
    assert (fields.freq, fields.ready) == (3, fidelity is V7)
    assert machine.engine.work_requested is (fidelity is V7)


def test_a_flag_that_is_up_stays_up_though_the_page_is_ready_no_more(rig):
    machine = rig(fidelity=V8)
    machine.touch(SLOW_PFN, now=0, times=2)
    machine.touch(SLOW_PFN, now=LATER["default"])
    assert not DEFAULT.fields(machine.record_of(SLOW_PFN)).ready
    assert machine.engine.hot_map.hot_sections().tolist() == [SLOW_PFN // SECTION]
    assert machine.engine.work_requested
    assert machine.look(LATER["default"] + 100) == []
    assert not machine.engine.work_requested


# R12.2
@pytest.mark.parametrize(("ready_stays", "left"), [(True, 0b1111), (False, 0)])
def test_bits_without_a_field_are_carried_along_in_v7_and_zero_in_v8(ready_stays, left):
    rules = Rules(5000, 2, ready_stays)
    records = np.array([0b1111 << 27, 0], np.uint32)
    index, now = np.zeros(1, np.uint32), np.array([7], np.uint64)
    update(records, index, now, np.zeros(1, np.int16), PRECISE, rules)
    assert int(records[0]) >> 27 == left
    assert PRECISE.fields(int(records[0])) == Fields(1, 7, 0, ready=False)


@BOTH_MODES
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    window=st.integers(1000, 16383),
    threshold=st.integers(1, 3),
    pace=st.sampled_from([0, 1, 40, 1000, 5000]),
)
def test_loops_update_by_v8s_rule_written_out_here(layout, seed, window, threshold, pace):
    """Compiled, or interpreted, against the rule as plain arithmetic on the bits."""
    rng = np.random.default_rng(seed)
    rules = Rules(window, threshold, ready_stays=False)
    count, pages = 600, 24
    indices = rng.integers(0, pages, count).astype(np.uint32)
    now = np.cumsum(rng.integers(0, pace + 1, count)).astype(np.uint64)
    nids = rng.integers(0, 1024, count).astype(np.int16)
    records = rng.integers(0, np.iinfo(layout.dtype).max, pages, layout.dtype, endpoint=True)
    plain = records.tolist()
    update(records, indices, now, nids, layout, rules)
    for index, jiffies, nid in zip(indices.tolist(), now.tolist(), nids.tolist(), strict=True):
        old = plain[index]
        if layout is DEFAULT:
            old_freq, age = old & 3, ((jiffies >> 7) - (old >> 2) & 31) << 7
        else:
            old_freq, age = old >> 10 & 7, jiffies - (old >> 13) & 0x3FFF
        freq = 1 if age > window else min(old_freq + 1, 3 if layout is DEFAULT else 7)
        if layout is DEFAULT:
            plain[index] = (freq >= threshold) << 7 | (jiffies >> 7 & 31) << 2 | freq
        else:
            plain[index] = (freq >= threshold) << 31 | (jiffies & 0x3FFF) << 13 | freq << 10 | nid
    assert records.tolist() == plain
    for index, jiffies, nid in [(0, int(now[-1]) + 1, 5)]:
        single = layout.update(plain[index], jiffies, nid, rules)
        update(
            records, np.array([index]), np.array([jiffies], np.uint64),
            np.array([nid], np.int16), layout, rules,
        )  # fmt: skip
        assert int(records[index]) == single


# R12.3
@POSTINGS
def test_without_a_node_precision_mode_takes_the_target_at_recording(rig, fidelity):
    nodes = [
        node(FAST, 0, 8, top=True, free=1000),
        node(1, SLOW_PFN, 4, top=False),
        node(2, SLOW_PFN + 4 * SECTION, 4, top=True, free=1000),
    ]
    moved = {}
    for layout in LAYOUTS.values():
        machine = rig(layout, fidelity=fidelity, nodes=nodes)
        machine.touch(SLOW_PFN, now=0, times=2, nid=-1)
        machine.engine.write("target_nid", "2")
        moved[layout.name] = [batch.to_nid for batch in machine.look(100)]
    assert moved == {"default": [2], "precise": [FAST]}


# R12.4
@POSTINGS
def test_top_tier_memory_that_comes_online_gets_hot_maps_in_v7_alone(rig, fidelity):
    machine = rig(fidelity=fidelity)
    starts = {True: 64 * SECTION, False: 72 * SECTION}
    got = {}
    for nid, (top, start) in enumerate(starts.items(), 5):
        machine.memory.add_node(node(nid, start, 2, top=top))
        assert machine.engine.memory_going_online(start, 2 * SECTION) == 0
        slot = machine.memory.mem_map.slot_of[start // SECTION] - 1
        got[top] = bool(machine.engine.hot_map.has_map[slot])
    assert got == {True: fidelity is V7, False: True}


# R12.5
def test_v8s_files_have_the_names_that_v8_gave_them():
    names = {name: f"{tunable.where}{name}" for name, tunable in V8_TUNABLES.items()}
    assert names["enabled_sources"] == "sysctl vm.pghot_enabled_sources"
    assert names["target_nid"] == "sysctl vm.pghot_target_nid"
    assert names["freq_threshold"] == "sysctl vm.pghot_freq_threshold"
    assert names["kmigrated_sleep_ms"] == "debugfs pghot/kmigrated_sleep_ms"
    limit = "numa_balancing_promote_rate_limit_MBps"
    assert names[limit] == f"sysctl kernel.{limit}"


# R12.6
def test_in_v8_numa_balancing_promotes_by_itself():
    nodes = (node(FAST, 0, 8, top=True, free=100_000), node(1, SLOW_PFN, 4, top=False))
    found = {}
    for fidelity in (V7, V8):
        engine = Engine(ArrayMemory(nodes), fidelity=fidelity)
        engine.write("numa_balancing", "2")
        engine.start()
        for _ in range(2):
            engine.record(SLOW_PFN, FAST, 0, 5)
        found[fidelity.name] = (engine.tunables["enabled_sources"], len(list(engine.look(100))))
    assert found == {"v7": (0, 0), "v8": (1, 1)}


# R12.6, R12.7
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("enabled_sources", "0x3", 3),
        ("enabled_sources", " 2\n", 2),
        ("target_nid", "0x0", 0),
        ("freq_threshold", "0x3", 3),
        ("freq_threshold", "01", 1),
        ("kmigrated_sleep_ms", "0x64", 100),
        ("kmigrated_sleep_ms", "000000000000100" + "junk", 64),  # octal: it begins with 0
        ("kmigrated_batch_nr", "0100\n", 64),
    ],
)
def test_v8_reads_numbers_of_any_base(rig, name, text, value):
    machine = rig(fidelity=V8)
    machine.engine.write(name, text)
    assert machine.engine.tunables[name] == value


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("enabled_sources", ("4", "-1", "+1", "", "one")),
        ("target_nid", ("1", "1024", "-1", "7")),
        ("freq_threshold", ("0", "4", "-1")),
        # R12.8
        ("kmigrated_sleep_ms", ("49", "1001", "0", "-50", " 100")),
        # R12.9
        ("kmigrated_batch_nr", ("63", "1025", "0", "4294967295")),
        # R12.10
        ("pghot_promote_freq_window_ms", ("999", "3969", "0", "2147483647")),
    ],
)
def test_what_is_out_of_v8s_range_is_refused(rig, name, texts):
    machine = rig(fidelity=V8)
    for text in texts:
        assert refused(machine, name, text) == EINVAL


@pytest.mark.parametrize("hz", [100, 250, 1000])
@pytest.mark.parametrize(("layout", "most"), [(DEFAULT, 3968), (PRECISE, 16383)])
def test_v8s_ranges_hold_at_both_ends_whatever_hz_is(rig, layout, most, hz):
    machine = rig(layout, fidelity=V8, hz=hz)
    ends = {
        "kmigrated_sleep_ms": (50, 1000),
        "kmigrated_batch_nr": (64, 1024),
        "pghot_promote_freq_window_ms": (1000, most),
        "freq_threshold": (1, layout.freq_max),
    }
    for name, values in ends.items():
        for value in values:
            machine.engine.write(name, str(value))
            assert machine.engine.tunables[name] == value
        assert refused(machine, name, str(values[0] - 1)) == EINVAL
        assert refused(machine, name, str(values[1] + 1)) == EINVAL


# R12.11
def test_in_v8_too_the_rate_limit_has_two_names(rig):
    machine = rig(fidelity=V8)
    machine.engine.write("numa_balancing_promote_rate_limit_MBps", "10")
    assert machine.engine.tunables["pghot_promote_rate_limit_MBps"] == 10


# R12.12
def test_what_v8_did_not_change_is_as_in_v7(rig):
    """The defects 4, 6, 8, 9 and 16, each seen once."""
    machine = rig(fidelity=V8, tunables={"kmigrated_batch_nr": "64"})
    machine.memory.add_node(node(5, 64 * SECTION, 1, top=False))
    machine.engine.memory_going_online(64 * SECTION, SECTION)
    machine.touch(64 * SECTION, now=0, times=2)
    pages = range(SLOW_PFN + 65, SLOW_PFN - 1, -1)
    machine.touch(*pages, now=0, times=2)
    batches = machine.look(100)
    assert [len(batch.pfns) for batch in batches] == [65, 1]
    assert sorted(batches[0].pfns.tolist()) == list(range(SLOW_PFN, SLOW_PFN + 65))
    assert machine.nid_of(64 * SECTION) == 5
    full = rig(fidelity=V8, free=0)
    full.touch(SLOW_PFN, now=0, times=2)
    full.look(100)
    assert full.record_of(SLOW_PFN) == 0
    low = rig(fidelity=V8, nodes=(node(0, 0, 1, top=False), node(1, SECTION, 1, top=True)))
    assert low.engine.tunables["target_nid"] == 0
