"""Every replay comes out as the twin's, which was written from the specification alone.

Compared are all counters, nodes with their thresholds and free pages, every promotion in
order, every record and every hot section.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from pghot.engine.memory import Folio, Node
from pghot.log.machine import Machine
from pghot.log.schema import Metadata
from tests.log.made import Run, write_table
from tests.twin.cases import (
    GIB,
    MODES,
    WRAP_MS,
    Case,
    as_v8,
    blocks,
    cases,
    crowded,
    make_blocks,
    make_case,
    make_minutes,
    make_sweep,
    minutes,
)
from tests.twin.compare import seen_by_pghot, seen_by_twin
from tests.twin.engine import SECTION

FAST, SLOW = 0, 1
PER_SECOND = 1_000_000

both_modes = pytest.mark.parametrize("mode", MODES)


def agreed(case: Case) -> dict[str, Any]:
    """What both saw, once they agree."""
    ours, twin = seen_by_pghot(case), seen_by_twin(case)
    for what in ours:
        assert ours[what] == twin[what], f"{what}, of {case}"
    return ours


def two_nodes(free: int, *, fast_sections: int = 1, wmark: int = 0, **rest: Any) -> Machine:
    slow_pfn = fast_sections * SECTION
    return Machine(
        nodes=(
            Node(FAST, 0, slow_pfn, True, free_pages=free, promo_wmark=wmark),
            Node(SLOW, slow_pfn, 2 * SECTION, False),
        ),
        **rest,
    )


def touches(times_us: list[int], pfns: list[int]) -> tuple[tuple[int, int, int, int], ...]:
    return tuple((time_us, pfn, -1, 0) for time_us in times_us for pfn in pfns)


def every_70_seconds(times: int) -> list[int]:
    """Two touches in one window, each time just after a threshold period has passed."""
    return [70 * PER_SECOND * i for i in range(1, times + 1) for _ in range(2)]


def threshold(case: Case) -> int:
    return agreed(case)["nodes"][FAST]["nbp_threshold"]


# R9.1, R9.3, R9.4, R9.5, R9.6, R9.7
@settings(deadline=None, max_examples=120)
@given(case=cases())
def test_any_replay_is_the_twins(case: Case) -> None:
    agreed(case)


# R12.1, R12.3
@settings(deadline=None, max_examples=60)
@given(case=cases() | crowded() | blocks())
def test_any_replay_by_v8_is_that_of_the_twin_that_goes_by_v8s_rules(case: Case) -> None:
    agreed(as_v8(case))


@settings(deadline=None, max_examples=40)
@given(case=crowded())
def test_so_is_one_where_memcgs_crowd_for_the_last_free_pages(case: Case) -> None:
    agreed(case)


@settings(deadline=None, max_examples=30)
@given(case=blocks())
def test_so_is_one_of_blocks_of_rows_that_agree(case: Case) -> None:
    agreed(case)


@settings(deadline=None, max_examples=12)
@given(case=minutes())
def test_so_is_one_of_many_minutes_under_a_low_rate_limit(case: Case) -> None:
    agreed(case)


@both_modes
@pytest.mark.parametrize("seed", range(3))
def test_so_are_the_files_of_the_command(mode: str, seed: int, tmp_path: Path, run: Run) -> None:
    """Of a log in small row groups, as another tool writes it, whose bad rows are skipped."""
    case = make_blocks(Random(seed), mode, 900)
    outside = max(node.end_pfn for node in case.machine.nodes)
    rows = [*case.rows]
    for at in range(800, 0, -90):
        rows.insert(at, (rows[at][0], outside, -1, 0))
    columns = zip(("time_us", "pfn", "nid", "source"), zip(*rows, strict=True), strict=True)
    metadata = Metadata(taken="a test", hz=case.machine.hz, machine=case.machine.to_dict())
    log = write_table(tmp_path / "log.parquet", dict(columns), metadata, row_group_size=129)
    sets = [text for name, value in case.tunables.items() for text in ("--set", f"{name}={value}")]
    assert (
        run("replay", log, "--mode", mode, "--skip-bad", "-o", tmp_path / "out", *sets).status == 0
    )

    twin = seen_by_twin(case)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    nodes = {int(nid): node for nid, node in summary["nodes"].items()}
    counted = {name: value for name, value in summary["vmstat"].items() if value}
    assert (nodes, counted) == (twin["nodes"], twin["vmstat"])
    for name in "mode", "hz", "batches", "accesses", "elapsed_s":
        assert summary[name] == twin[name]
    promotions = pq.read_table(tmp_path / "out" / "promotions.parquet").to_pydict()
    assert list(zip(*promotions.values(), strict=True)) == twin["promotions"]
    records = np.load(tmp_path / "out" / "records.npz")
    assert (
        list(zip(*(records[name].tolist() for name in ("pfn", "record")), strict=True))
        == (twin["records"])
    )
    assert records["hot_sections"].tolist() == twin["hot_sections"]


@both_modes
def test_so_is_one_that_sweeps_whole_sections(mode: str) -> None:
    agreed(make_sweep(Random(4), mode, rounds=2))


@both_modes
def test_so_is_a_long_one(mode: str) -> None:
    agreed(make_case(Random(5), mode, 20_000, 3000))
    agreed(make_minutes(Random(6), mode, 5_000))


@both_modes
def test_a_batch_is_513_folios_and_the_last_isolated_moves_first(mode: str) -> None:
    machine = two_nodes(free=SECTION)
    pfns = list(range(SECTION, SECTION + 1000))
    rows = agreed(Case(mode, machine, touches([0, 1], pfns), {}))["promotions"]
    assert [row.batch for row in rows] == [0] * 513 + [1] * 487
    assert [row.pfn for row in rows] == pfns[512::-1] + pfns[:512:-1]


@both_modes
def test_a_folio_that_ends_a_batch_was_judged_before_the_batch_moved(mode: str) -> None:
    """With one free page both are isolated, one each of two memcgs; only the first fits."""
    machine = two_nodes(free=1, folios=(Folio(SECTION, 1, 1), Folio(SECTION + 1, 1, 2)))
    rows = touches([0, 1], [SECTION, SECTION + 1])
    seen = agreed(Case(mode, machine, rows, {}))
    assert [row.pfn for row in seen["promotions"]] == [SECTION]
    assert seen["batches"] == 2


@both_modes
def test_a_folio_that_begins_in_the_section_before_hides_what_its_step_passes(mode: str) -> None:
    """The sweep stands on a tail page first and steps by the whole folio from there."""
    start = 2 * SECTION - 8
    machine = two_nodes(free=SECTION, folios=(Folio(start, 16),))
    passed, reached = 2 * SECTION + 15, 2 * SECTION + 16
    seen = agreed(Case(mode, machine, touches([0, 1], [passed, reached]), {}))
    assert [row.pfn for row in seen["promotions"]] == [reached]
    assert [pfn for pfn, _ in seen["records"]] == [passed]


@both_modes
def test_the_threshold_falls_to_one_unit_and_no_further(mode: str) -> None:
    machine = two_nodes(free=0)
    tunables = {"pghot_promote_rate_limit_MBps": 0, "pghot_promote_freq_window_ms": 3000}
    for times, expected in (1, 3000), (2, 2625), (8, 375), (12, 375):
        rows = touches(every_70_seconds(times), [SECTION])
        assert threshold(Case(mode, machine, rows, tunables)) == expected


@both_modes
def test_the_threshold_rises_to_twice_the_window_and_no_further(mode: str) -> None:
    machine = two_nodes(free=0)
    tunables = {"pghot_promote_freq_window_ms": 3000}
    for times, expected in (1, 3375), (2, 3750), (8, 6000), (12, 6000):
        rows = touches(every_70_seconds(times), [SECTION])
        assert threshold(Case(mode, machine, rows, tunables)) == expected


@both_modes
def test_a_threshold_too_large_for_32_bits_wraps(mode: str) -> None:
    machine = two_nodes(free=0)
    window = 2**31 - 1
    tunables = {"pghot_promote_freq_window_ms": window}
    rows = touches(every_70_seconds(9), [SECTION])
    unit = 2 * window // 16
    assert threshold(Case(mode, machine, rows, tunables)) == window + 9 * unit - 2**32


@both_modes
@pytest.mark.parametrize(
    ("candidates", "expected"), [(13823, 3375), (13824, 3000), (16896, 3000), (16897, 2625)]
)
def test_the_threshold_stays_from_90_to_110_percent_of_what_is_expected(
    mode: str, candidates: int, expected: int
) -> None:
    """60 seconds of 1 MB/s are 15,360 pages; one large folio brings its size in candidates."""
    machine = two_nodes(free=0, folios=(Folio(SECTION, candidates),))
    tunables = {"pghot_promote_rate_limit_MBps": 1, "pghot_promote_freq_window_ms": 3000}
    rows = touches([PER_SECOND] * 2 + every_70_seconds(1), [SECTION])
    assert threshold(Case(mode, machine, rows, tunables)) == expected


@both_modes
@pytest.mark.parametrize("hz", [100, 250, 300, 1000])
def test_the_rate_limit_keeps_its_periods_where_milliseconds_wrap(mode: str, hz: int) -> None:
    """At 1 MB/s the first of three folios passes, of those that are hot within a second."""
    folios = tuple(Folio(SECTION + 256 * i, 256) for i in range(60))
    machine = two_nodes(free=SECTION, hz=hz, folios=folios)
    turn = WRAP_MS * 1000
    rows = [(turn + 400_000 * i, folio.pfn, -1, 0) for i, folio in enumerate(folios, -30)]
    tunables = {"pghot_promote_rate_limit_MBps": 1, "freq_threshold": 1}
    seen = agreed(Case(mode, machine, tuple(rows), tunables))
    assert [row.pfn for row in seen["promotions"]] == [folio.pfn for folio in folios[::3]]


@both_modes
@pytest.mark.parametrize(("fast_sections", "enough"), [(10, GIB), (160, 160 * SECTION // 16)])
def test_free_room_is_left_during_a_run(mode: str, fast_sections: int, enough: int) -> None:
    wmark = 50
    machine = two_nodes(free=enough + wmark + 3, fast_sections=fast_sections, wmark=wmark)
    pfns = list(range(fast_sections * SECTION, fast_sections * SECTION + 10))
    case = Case(mode, machine, touches([0, 1], pfns), {"kmigrated_batch_nr": 0})
    counters = agreed(case)["nodes"][FAST]
    assert counters["pgpromote_candidate_nrl"] == 3
    assert counters["pgpromote_candidate"] == 7


def test_free_room_that_comes_back_resets_the_threshold() -> None:
    """Only a target that is a lower tier itself, here node 0, gets room back in a replay."""
    low, slow, fast = 0, 1, 2
    machine = Machine(
        nodes=(
            Node(low, 0, 10 * SECTION, False, free_pages=GIB),
            Node(slow, 10 * SECTION, SECTION, False),
            Node(fast, 11 * SECTION, SECTION, True, free_pages=9),
        )
    )
    start, page = 70 * PER_SECOND, 10 * SECTION
    raised = touches([start, start + 1], [page])
    leaving = tuple((start + 200_000 + i, i // 2, fast, 0) for i in range(4))
    judged_again = touches([start + 400_000, start + 400_001], [page + 1])
    thresholds = [
        agreed(Case("precise", machine, rows, {}))["nodes"][low]["nbp_threshold"]
        for rows in (raised, raised + leaving, raised + leaving + judged_again)
    ]
    assert thresholds == [5625, 5625, 0]


@both_modes
def test_a_rate_limit_of_16_tib_a_second_wraps_to_none(mode: str) -> None:
    """An unsigned int of megabytes, shifted left by 8, keeps 32 bits."""
    machine = two_nodes(free=SECTION)
    rows = touches([0, 1], [SECTION])
    seen = agreed(Case(mode, machine, rows, {"pghot_promote_rate_limit_MBps": 1 << 24}))
    assert seen["promotions"] == []


@both_modes
def test_times_near_the_end_of_64_bits_are_replayed(mode: str) -> None:
    machine = two_nodes(free=SECTION)
    start = 2**62
    times = [start, start + 1, start + 5 * PER_SECOND, start + 5 * PER_SECOND + 1]
    rows = touches(times, [SECTION, SECTION + 9])
    agreed(Case(mode, machine, rows, {}))
