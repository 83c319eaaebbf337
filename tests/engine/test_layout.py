"""Records: layout, update, consume, find ready (R1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.blocks import KEPT
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Fields, Rules
from pghot.engine.units import jiffies_to_msecs, jiffies_within, usecs_to_jiffies
from pghot.engine.walk import find_ready
from tests.engine.loops import maps_of, update

HZ = st.sampled_from([100, 250, 300, 1000])


# R1.2
def test_the_default_record_is_a_byte_of_two_bits_frequency_five_time_and_ready():
    assert DEFAULT.fields(0b1_10101_11) == Fields(freq=3, time=0b10101, nid=-1, ready=True)
    assert np.dtype(DEFAULT.dtype).itemsize == 1
    assert DEFAULT.freq_max == 3
    assert DEFAULT.default_window_ms == 3000


def test_the_precision_record_is_four_bytes_with_a_node_and_fourteen_bits_of_time():
    record = 1 << 31 | 0x2AAA << 13 | 5 << 10 | 1023
    assert PRECISE.fields(record) == Fields(freq=5, time=0x2AAA, nid=1023, ready=True)
    assert np.dtype(PRECISE.dtype).itemsize == 4
    assert PRECISE.freq_max == 7
    assert PRECISE.default_window_ms == 5000


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@given(data=st.data())
def test_packing_and_taking_apart_are_inverse(layout, data):
    fields = Fields(
        freq=data.draw(st.integers(0, layout.freq_max)),
        time=data.draw(st.integers(0, layout.time_max)),
        nid=data.draw(st.integers(0, 1023)) if layout.nid_width else -1,
        ready=data.draw(st.booleans()),
    )
    assert layout.fields(layout.pack(fields)) == fields


# R1.4
def test_a_default_record_wraps_after_4096_jiffies_and_a_precise_one_after_16384():
    assert DEFAULT.wrap == 4096
    assert PRECISE.wrap == 16384


# R1.5
def test_default_latency_masks_the_low_seven_bits_of_now():
    assert DEFAULT.latency_ms(0, 127, 1000) == 0
    assert DEFAULT.latency_ms(0, 128, 1000) == 128
    assert DEFAULT.latency_ms(0, 4096 + 127, 1000) == 0


def test_precise_latency_counts_single_jiffies():
    assert PRECISE.latency_ms(0, 127, 1000) == 127
    assert PRECISE.latency_ms(16383, 16384, 1000) == 1


# R1.3
@pytest.mark.parametrize(("hz", "ms"), [(100, 1280), (250, 512), (300, 427), (1000, 128)])
def test_jiffies_become_milliseconds_rounded_up_as_in_the_kernel(hz, ms):
    assert jiffies_to_msecs(128, hz) == ms


@given(jiffies=st.integers(0, 1 << 20), window=st.integers(0, 1 << 20), hz=HZ)
def test_a_latency_exceeds_the_window_in_ms_exactly_when_it_does_in_jiffies(jiffies, window, hz):
    assert (jiffies_to_msecs(jiffies, hz) > window) == (jiffies > jiffies_within(window, hz))


# R9.2
@given(time_us=st.integers(0, (1 << 64) - 1), hz=HZ)
def test_microseconds_become_jiffies_rounded_down(time_us, hz):
    assert usecs_to_jiffies(time_us, hz) == time_us * hz // 10**6


# R1.7
def test_an_access_within_the_window_adds_one_and_saturates():
    rules = Rules.of(3000, 3, 1000)
    record, seen = 0, []
    for now in range(5):
        record = DEFAULT.update(record, now, -1, rules)
        seen.append((DEFAULT.fields(record).freq, DEFAULT.fields(record).ready))
    assert seen == [(1, False), (2, False), (3, True), (3, True), (3, True)]


# R1.6, R1.9
def test_an_access_after_the_window_starts_at_one_again_but_ready_survives():
    rules = Rules.of(3000, 2, 1000)
    record = DEFAULT.pack(Fields(3, 0, -1, ready=True))
    fields = DEFAULT.fields(DEFAULT.update(record, 3072, -1, rules))
    assert fields == Fields(freq=1, time=24, nid=-1, ready=True)


# R1.6
def test_a_latency_equal_to_the_window_is_still_within_it():
    rules = Rules.of(500, 2, 1000)
    record = PRECISE.pack(Fields(1, 1000, 0, ready=False))
    assert PRECISE.fields(PRECISE.update(record, 1500, 0, rules)).freq == 2
    assert PRECISE.fields(PRECISE.update(record, 1501, 0, rules)).freq == 1


# R1.10
def test_an_all_zero_record_is_judged_like_any_other():
    rules = Rules.of(3000, 2, 1000)
    within, beyond = 128 * 23, 128 * 24
    assert DEFAULT.fields(DEFAULT.update(0, within, -1, rules)).freq == 1
    assert DEFAULT.fields(DEFAULT.update(0, beyond, -1, rules)).freq == 1


# R1.8
def test_a_precise_record_takes_the_reported_node_each_time():
    rules = Rules.of(5000, 2, 1000)
    record = PRECISE.update(PRECISE.update(0, 1, 7, rules), 2, 9, rules)
    assert PRECISE.fields(record) == Fields(freq=2, time=2, nid=9, ready=True)


def test_an_update_keeps_the_ready_bit_and_the_bits_that_no_field_of_a_precise_record_has():
    assert KEPT & PRECISE.ready_mask
    used = PRECISE.pack(Fields(PRECISE.freq_max, PRECISE.time_max, 1023, ready=False))
    assert KEPT | used == (1 << 32) - 1
    assert KEPT & used == 0


@settings(max_examples=30, deadline=None)
@given(window=st.integers(0, 20_000), threshold=st.integers(1, 3), hz=HZ)
def test_the_transition_table_holds_every_update_of_a_default_record(window, threshold, hz):
    rules = Rules.of(window, threshold, hz)
    table = DEFAULT.table(rules)
    for bucket in range(0, 32, 5):
        for record in range(256):
            expected = DEFAULT.update(record, bucket << 7, -1, rules)
            assert table[bucket << 8 | record] == expected


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    window=st.integers(0, 20_000),
    threshold=st.integers(1, 3),
    hz=HZ,
    pace=st.sampled_from([0, 1, 40, 1000, 5000]),
)
def test_compiled_updates_equal_plain_ones_however_often_time_wraps(
    layout, seed, window, threshold, hz, pace
):
    rng = np.random.default_rng(seed)
    rules = Rules.of(window, threshold, hz)
    count, pages = 2000, 64
    indices = rng.integers(0, pages, count).astype(np.uint32)
    now = np.cumsum(rng.integers(0, pace + 1, count)).astype(np.uint64)
    nids = rng.integers(0, 1024, count).astype(np.int16)
    compiled = np.zeros(pages, layout.dtype)
    update(compiled, indices, now, nids, layout, rules)
    plain = [0] * pages
    for index, jiffies, nid in zip(indices.tolist(), now.tolist(), nids.tolist(), strict=True):
        plain[index] = layout.update(plain[index], jiffies, nid, rules)
    assert compiled.tolist() == plain


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("hz", [100, 250, 1000])
def test_a_million_updates_in_one_call_equal_the_same_in_many(layout, hz):
    rng = np.random.default_rng(hz)
    rules = Rules.of(layout.default_window_ms, 2, hz)
    count, pages = 1_000_000, 4096
    indices = rng.zipf(1.1, count).astype(np.uint32) % pages
    now = np.sort(rng.integers(0, 40 * layout.wrap, count)).astype(np.uint64)
    nids = np.zeros(count, np.int16)
    whole, parts = np.zeros(pages, layout.dtype), np.zeros(pages, layout.dtype)
    update(whole, indices, now, nids, layout, rules)
    for rows in np.array_split(np.arange(count), 97):
        update(parts, indices[rows], now[rows], nids[rows], layout, rules)
    assert np.array_equal(whole, parts)
    # One page's history by the plain rule, for a million-row check of the whole path.
    page = int(indices[0])
    record = 0
    for jiffies in now[indices == page].tolist():
        record = layout.update(record, jiffies, 0, rules)
    assert whole[page] == record


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@settings(max_examples=40, deadline=None)
@given(
    density=st.sampled_from([0.0, 1e-3, 0.1, 1.0]),
    seed=st.integers(0, 1 << 32),
    lines=st.integers(0, 6),
)
def test_find_ready_gives_exactly_the_indices_whose_ready_bit_is_set(layout, density, seed, lines):
    rng = np.random.default_rng(seed)
    found = np.zeros(64 * 8, np.int64)
    values = rng.integers(0, layout.ready_mask, 64 * 8).astype(layout.dtype)
    values[rng.random(64 * 8) < density] |= layout.dtype(layout.ready_mask)
    end = 64 * (8 - lines)
    count = find_ready(maps_of(values), 64, end, layout.ready_mask, found)
    expected = [at for at in range(64, end) if values[at] & layout.dtype(layout.ready_mask)]
    assert found[:count].tolist() == expected


# R1.11
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_only_a_ready_record_is_consumed_and_then_whole(layout):
    waiting = layout.pack(Fields(1, 5, 0, ready=False))
    ready = layout.pack(Fields(2, 5, 3, ready=True))
    assert layout.consume(waiting) == (None, waiting)
    assert layout.consume(ready) == (layout.fields(ready), 0)
