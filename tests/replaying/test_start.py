"""Where a replay begins, and what would have been served fast without promotion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.engine.memory import Folio, Node
from pghot.engine.units import PAGES_PER_SECTION
from pghot.log.machine import Machine
from pghot.log.schema import Metadata
from pghot.replaying.replay import replay
from pghot.replaying.settings import Settings
from pghot.replaying.start import STARTS
from tests.batches import EachBatch
from tests.log.made import write_csv, write_log

SECTION = PAGES_PER_SECTION
TUNED = {"freq_threshold": "2"}
FAST_PFNS, SLOW_PFNS = range(16), range(SECTION, SECTION + 48)


def machine(free_fast=8, free_slow=40, folios=()):
    return Machine(
        (
            Node(0, 0, SECTION, toptier=True, cpus=(0,), free_pages=free_fast),
            Node(1, SECTION, 2 * SECTION, toptier=False, free_pages=free_slow),
        ),
        folios,
    )


def rows_of(pfns, step_us=20_000):
    count = len(pfns)
    return {
        "time_us": np.arange(count, dtype=np.uint64) * np.uint64(step_us),
        "pfn": np.array(pfns, np.uint64),
        "nid": np.zeros(count, np.int16),
        "source": np.ones(count, np.int8),
    }


def replayed(path, pfns, start="logged", known=None, **more):
    path.unlink(missing_ok=True)
    write_log(path, rows_of(pfns), Metadata())
    return replay(path, known or machine(), Settings(start=start, tunables=TUNED), **more)


PFNS = st.lists(st.sampled_from([*FAST_PFNS, *SLOW_PFNS]), min_size=1, max_size=80)
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# R9.8
@QUICK
@given(PFNS)
def test_a_replay_that_begins_by_a_baseline_begins_with_its_share(tmp_path, pfns):
    logged = replayed(tmp_path / "log.parquet", pfns).baselines
    for start, name in {"first-touch": "first_touch", "interleave": "interleave"}.items():
        started = replayed(tmp_path / "log.parquet", pfns, start).baselines
        assert started.as_placed == getattr(logged, name)
        assert started.bound == logged.bound
        assert started.first_touch == logged.first_touch


@QUICK
@given(PFNS, st.sampled_from(STARTS), st.integers(0, 60))
def test_no_replay_serves_more_than_the_bound(tmp_path, pfns, start, free):
    result = replayed(tmp_path / "log.parquet", pfns, start, machine(free))
    for share, bound in zip(result.served, result.baselines.bound, strict=True):
        assert bound is None or share <= bound + 1e-12


@QUICK
@given(PFNS)
def test_as_placed_and_served_are_what_the_engine_counts(tmp_path, pfns):
    result = replayed(tmp_path / "log.parquet", pfns)
    assert result.baselines.as_placed.whole == result.engine.accesses_born_on_toptier / len(pfns)
    assert result.served.whole == result.engine.accesses_on_toptier / len(pfns)


def test_first_touch_leaves_the_promo_watermark_free_for_what_is_promoted(tmp_path):
    low = machine(free_fast=8)
    low = replace(low, nodes=(replace(low.nodes[0], promo_wmark=3), low.nodes[1]))
    pfns = [*SLOW_PFNS[:10], *([SLOW_PFNS[9]] * 6)]
    result = replayed(tmp_path / "log.parquet", pfns, "first-touch", low)
    assert result.baselines.as_placed.whole == 5 / 16
    assert result.baselines.first_touch.whole == 8 / 16
    assert result.pages_promoted == 1


@pytest.mark.parametrize("start", STARTS)
def test_pages_are_neither_lost_nor_made(tmp_path, start):
    pfns = [*FAST_PFNS, *SLOW_PFNS] * 3
    result = replayed(tmp_path / "log.parquet", pfns, start)
    free = [result.memory.free_pages(nid) for nid in (0, 1)]
    assert sum(free) == 8 + 40
    assert min(free) >= 0


def test_a_slow_start_lets_pages_be_promoted_that_the_log_has_on_the_fast_node(tmp_path):
    promoted = []

    class Promotions(EachBatch):
        def add(self, _time_us, _number, batch):
            promoted.extend(batch.pfns[batch.moved].tolist())

    pfns = [0, 0, 0, 0, 0, 0, SECTION]
    assert replayed(tmp_path / "log.parquet", pfns).pages_promoted == 0
    result = replayed(tmp_path / "log.parquet", pfns, "slow", observer=Promotions())
    assert result.baselines.as_placed.whole == 0
    assert result.pages_promoted == 1
    assert SECTION < promoted[0] < 3 * SECTION


def test_a_folio_that_begins_lower_down_is_the_same_folio_there(tmp_path):
    known = machine(free_fast=0, free_slow=64, folios=(Folio(4, 4, memcg=7),))
    result = replayed(tmp_path / "log.parquet", [6, 6, 6, 4, 4, 5, 5], "slow", known)
    assert result.pages_promoted == 4
    assert dict(result.engine.memcg_promoted) == {7: 4}


def test_the_second_half_is_of_the_time_of_the_log(tmp_path):
    pfns = [0, 0, 0, *([SECTION] * 3)]
    result = replayed(tmp_path / "log.parquet", pfns, known=machine(free_fast=0))
    assert result.baselines.as_placed == (3 / 6, 0.0)
    assert result.served == (3 / 6, 0.0)


def test_a_log_in_text_is_halved_as_well(tmp_path):
    path = write_csv(tmp_path / "log.csv", rows_of([0, 0, 0, SECTION]))
    result = replay(path, machine(free_fast=0))
    assert result.baselines.as_placed == (3 / 4, 1 / 2)


def test_a_lower_tier_without_frames_left_over_is_refused(run, tmp_path):
    path = write_log(tmp_path / "log.parquet", rows_of([*range(40), SECTION]), Metadata())
    full = tmp_path / "machine.toml"
    full.write_text(
        '[[node]]\nid = 0\nstart_pfn = 0\npages = 32768\ntoptier = true\ncpus = "0"\n'
        "[[node]]\nid = 1\nstart_pfn = 32768\npages = 32768\nfree_pages = 32768\n"
        "[[folio]]\npfn = 32768\npages = 32768\n"
    )
    done = run("replay", path, "--machine", full, "--start", "slow")
    assert done.status == 2
    assert "no frames for 40 pages" in done.err
