"""When the sampling hardware takes a sample, and what it says of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.simulated.ibs import registers as ibs
from pghot.simulated.ibs.hardware import OpCounter, TimePacer, draw_valid, sample_registers


def rng(seed=1):
    return np.random.default_rng(seed)


def gaps(counter, steps, ops):
    """Distances in ops between the samples of CPU 0."""
    at, base = [], 0
    for _step in range(steps):
        fired = counter.advance(np.array([ops]))
        at += [base + round(fraction * ops) for fraction in fired.fraction]
        base += ops
    return np.diff(at)


def one_by_one(period, qualifying, ops, random):
    """Count ops one by one; give where samples fell."""
    found, count = [], int(random.integers(16))
    hits = random.random(ops) < qualifying
    for op in range(1, ops + 1):
        count += 1
        if count == period:
            if hits[op - 1]:
                found.append(op)
            count = int(random.integers(16))
    return np.array(found)


def test_where_every_op_qualifies_samples_are_a_period_less_0_to_15_apart():
    found = gaps(OpCounter(1, 10_000, 1.0, rng()), 50, 1_000_003)
    assert set(10_000 - found) == set(range(16))
    assert np.bincount(10_000 - found) == pytest.approx(len(found) / 16, rel=0.4)


def test_the_low_four_bits_of_a_period_do_not_count():
    assert OpCounter(1, 10_015, 1.0, rng()).period == 10_000


def test_samples_are_one_a_period_of_qualifying_ops_in_expectation():
    counter = OpCounter(64, 10_000, 0.1, rng())
    fired = sum(len(counter.advance(np.full(64, 3_000_000)).cpu) for _step in range(100))
    expected = 64 * 100 * 3_000_000 * 0.1 / (10_000 - 7.5)
    assert fired == pytest.approx(expected, abs=5 * expected**0.5)


@pytest.mark.parametrize("qualifying", [1.0, 0.6, 0.2])
def test_drawing_in_bulk_is_as_counting_op_by_op(qualifying):
    period, ops = 32, 200_000
    alone = np.diff(one_by_one(period, qualifying, ops, rng(2)))
    bulk = gaps(OpCounter(1, period, qualifying, rng(3)), 400, ops // 100)
    for power in (1, 2):
        mine, other = bulk.astype(float) ** power, alone.astype(float) ** power
        error = (mine.var() / len(mine) + other.var() / len(other)) ** 0.5
        assert abs(mine.mean() - other.mean()) < 5 * error
    edges = np.quantile(alone, np.linspace(0.1, 0.9, 9))
    shares = [np.searchsorted(np.sort(x), edges, side="right") / len(x) for x in (alone, bulk)]
    assert shares[0] == pytest.approx(shares[1], abs=5 * 0.5 * (2 / len(alone)) ** 0.5)


class PlainCounter:
    """Counters in plain Python, of the same random numbers in the same order."""

    def __init__(self, cpus, period, qualifying, random):
        self.period, self.qualifying, self.random = period, qualifying, random
        self.left = [self.drawn() for _cpu in range(cpus)]

    def drawn(self):
        tags = 1
        if self.qualifying < 1:
            tags += int(np.log1p(-self.random.random()) / np.log1p(-self.qualifying))
        starts = []
        while len(starts) < tags:
            bits = int(self.random.random() * 2**52)
            starts += [bits >> 4 * number & 15 for number in range(13)]
        return sum(self.period - start for start in starts[:tags])

    def advance(self, ops):
        found = []
        for cpu, count in enumerate(ops):
            while self.left[cpu] <= count:
                found.append((cpu, self.left[cpu] / count))
                self.left[cpu] += self.drawn()
            self.left[cpu] -= count
        return found


@given(
    st.integers(1, 5),
    st.integers(16, 500),
    st.floats(0.02, 1),
    st.integers(0, 2**32),
    st.lists(st.integers(0, 3000), min_size=1, max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_compiled_counters_and_plain_ones_agree(cpus, period, qualifying, seed, steps):
    counter = OpCounter(cpus, period, qualifying, rng(seed))
    plain = PlainCounter(cpus, period & ~15, qualifying, rng(seed))
    for step in steps:
        ops = [max(0, step - 100 * cpu) for cpu in range(cpus)]
        fired = counter.advance(np.array(ops))
        assert list(
            zip(fired.cpu.tolist(), fired.fraction.tolist(), strict=True)
        ) == plain.advance(ops)


def test_how_a_run_is_cut_into_steps_does_not_matter():
    whole = gaps(OpCounter(1, 64, 0.5, rng(4)), 1, 1_000_000)
    cut = gaps(OpCounter(1, 64, 0.5, rng(5)), 4_000, 50)
    assert whole.mean() == pytest.approx(cut.mean(), rel=0.08)
    assert whole.std() == pytest.approx(cut.std(), rel=0.08)


def test_an_idle_cpu_takes_no_sample_and_keeps_its_count():
    counter = OpCounter(2, 10_000, 1.0, rng())
    fired = [counter.advance(np.array([9_000, 0])) for _step in range(20)]
    assert all((step.cpu == 0).all() for step in fired)
    assert sum(len(step.cpu) for step in fired) == 18
    assert len(counter.advance(np.array([0, 10_000])).cpu) == 1


def test_evenly_in_time_a_busy_cpu_is_sampled_at_its_pace_whatever_it_does():
    pacer = TimePacer(3, 1715.0, rng())
    busy = np.array([0.01, 0.005, 0.0])
    steps = [pacer.advance(busy) for _step in range(1000)]
    counts = np.bincount(np.concatenate([step.cpu for step in steps]), minlength=3)
    assert counts == pytest.approx([17150, 8575, 0], abs=1)
    times = [
        number * 0.01 + fraction * 0.01
        for number, step in enumerate(steps)
        for cpu, fraction in zip(step.cpu, step.fraction, strict=True)
        if cpu == 0
    ]
    assert np.diff(times) == pytest.approx(1 / 1715.0, rel=1e-6)


@pytest.mark.parametrize(
    "made", [lambda: OpCounter(4, 16, 0.3, rng()), lambda: TimePacer(4, 900.0, rng())]
)
def test_samples_come_by_cpu_then_time_within_the_step(made):
    sampler = made()
    for _step in range(50):
        busy = np.full(4, 1000) if isinstance(sampler, OpCounter) else np.full(4, 0.02)
        fired = sampler.advance(busy)
        order = np.lexsort((fired.fraction, fired.cpu))
        assert order.tolist() == list(range(len(order)))
        assert ((fired.fraction > 0) & (fired.fraction <= 1)).all()


def test_registers_say_where_the_page_is_and_what_the_access_was():
    slow, far, stored = (np.array(x, bool) for x in ([0, 1, 1], [0, 1, 0], [0, 0, 1]))
    valid = np.array([True, True, False])
    pfn = np.array([1, 2, 3], np.uint64)
    data2, data3, phyaddr = sample_registers(
        pfn, extended=slow, remote=far, store=stored, valid=valid
    )
    assert [ibs.data_source(int(word)) for word in data2] == [3, 8, 8]
    assert [ibs.field(int(word), ibs.RMT_NODE) for word in data2] == [0, 1, 0]
    fields = [ibs.decode(int(word), ibs.MPROF_DATA3) for word in data3]
    assert [f["IBS_MPROF_DATA3_LDOP"] for f in fields] == [1, 1, 0]
    assert [f["IBS_MPROF_DATA3_STOP"] for f in fields] == [0, 0, 1]
    assert all(f["IBS_MPROF_DATA3_DCMISS"] and f["IBS_MPROF_DATA3_L2MISS"] for f in fields)
    assert [f["IBS_MPROF_DATA3_LADDR_VALID"] for f in fields] == [1, 1, 0]
    assert [f["IBS_MPROF_DATA3_PADDR_VALID"] for f in fields] == [1, 1, 0]
    assert phyaddr.tolist() == [4096, 8192, 12288]


def test_a_share_of_the_samples_has_no_valid_address():
    assert draw_valid(1000, 0.0, rng()).all()
    assert not draw_valid(1000, 1.0, rng()).any()
    assert draw_valid(100_000, 0.25, rng()).mean() == pytest.approx(0.75, abs=0.01)


def test_shares_and_paces_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="share of ops that qualify is above 0, at most 1: 0"):
        OpCounter(1, 10_000, 0, rng())
    with pytest.raises(InputError, match="a sampler's pace is above 0 Hz, not 0"):
        TimePacer(1, 0, rng())
