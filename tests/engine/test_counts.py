"""Accesses with a count and ranges of pages (R2.10, R2.11), against the twin and by themselves."""

from __future__ import annotations

from errno import EINVAL

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.fidelity import FIDELITIES, IMPROVED, V7, Fidelity
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Layout
from pghot.engine.memory import Folio
from pghot.engine.units import NID_MAX
from tests.rig import FAST, HINTFAULT, HWHINT, SECTION, SLOW_PFN, Rig
from tests.twin.lives import Life

WINDOW_MS = 3000
PAGES = st.sampled_from([SLOW_PFN, SLOW_PFN + 1, SLOW_PFN + 700, 5])
ACCESSES = st.lists(st.tuples(PAGES, st.integers(0, 4 * WINDOW_MS)), max_size=40)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 48))
def test_any_life_with_counts_and_ranges_is_the_twins(seed) -> None:
    life = Life(seed)
    for at in range(12):
        (life.touch, life.touch_range, life.touch, life.look)[at % 4]()
        life.agree()


@pytest.mark.parametrize("fidelity", FIDELITIES.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
@settings(deadline=None, max_examples=25)
@given(accesses=ACCESSES)
def test_a_count_of_one_is_no_count_at_all(fidelity: Fidelity, layout: Layout, accesses) -> None:
    accesses = sorted(accesses, key=lambda access: access[1])
    pfn, now = (np.array(column, np.uint64) for column in zip(*accesses or [(0, 0)], strict=True))
    rigs = [Rig(layout, fidelity=fidelity) for _ in range(2)]
    rigs[0].engine.record_many(pfn, FAST, HWHINT, now)
    rigs[1].engine.record_many(pfn, FAST, HWHINT, now, count=np.ones(len(pfn), np.uint32))
    found = [
        [*map(np.ndarray.tolist, rig.engine.hot_map.nonzero()), rig.engine.vmstat.as_dict()]
        for rig in rigs
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("fidelity", [V7, IMPROVED], ids=lambda f: f.name)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_a_count_adds_to_the_frequency_and_saturates(layout: Layout, fidelity: Fidelity) -> None:
    rig = Rig(layout, fidelity=fidelity)
    for count, frequency in ((2, 2), (1, 3), (200, layout.freq_max)):
        assert rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, count, 100) == 0
        assert layout.fields(rig.record_of(SLOW_PFN)).freq == frequency
    assert rig.stat("pghot_recorded_accesses") == 3 + layout.freq_max
    assert rig.stat("pghot_recorded_hwhints") == 3


def test_a_new_window_begins_with_the_count() -> None:
    rig = Rig(PRECISE)
    rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, 6, 1)
    rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, 3, 9000)
    assert PRECISE.fields(rig.record_of(SLOW_PFN)).freq == 3


def test_a_count_below_the_threshold_leaves_a_page_not_ready_and_one_at_it_ready() -> None:
    rig = Rig(PRECISE, tunables={"freq_threshold": "4"})
    rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, 3, 1)
    rig.engine.record_accesses(SLOW_PFN + 1, FAST, HWHINT, 4, 1)
    found = [PRECISE.fields(rig.record_of(SLOW_PFN + at)).ready for at in (0, 1)]
    assert found == [False, True]
    assert rig.look(200)[0].pfns.tolist() == [SLOW_PFN + 1]


def test_a_count_of_nothing_is_refused_and_leaves_no_trace() -> None:
    rig = Rig()
    assert rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, 0, 1) == -EINVAL
    assert rig.engine.record_many([SLOW_PFN] * 3, FAST, HWHINT, 1, count=[0, 2, 0]) == 2
    assert rig.stat("pghot_recorded_hwhints") == 1
    assert rig.stat("pghot_recorded_accesses") == 2


@pytest.mark.parametrize(
    ("nid", "source", "enabled", "answer"),
    [(3, HWHINT, "3", -EINVAL), (FAST, 2, "3", -EINVAL), (FAST, HWHINT, "1", 0)],
)
def test_what_is_not_taken_is_refused_once_whatever_its_count(
    nid, source, enabled, answer
) -> None:
    rig = Rig(PRECISE, tunables={"enabled_sources": enabled})
    assert rig.engine.record_accesses(SLOW_PFN, nid, source, 5, 1) == answer
    assert rig.engine.record_range(SLOW_PFN, 9, nid, source, 5, 1) == answer
    assert not any(rig.engine.vmstat.as_dict().values())


def test_a_range_is_recorded_folio_by_folio_and_its_source_once() -> None:
    huge = Folio(SLOW_PFN + 512, 512)
    rig = Rig(folios=[huge])
    recorded = rig.engine.record_range(SLOW_PFN + 500, 30, FAST, HWHINT, 2, 1)
    assert recorded == 12 + 1
    assert rig.stat("pghot_recorded_hwhints") == 1
    assert rig.stat("pghot_recorded_accesses") == 2 * 13
    assert DEFAULT.fields(rig.record_of(huge.pfn)).freq == 2
    assert rig.record_of(huge.pfn + 1) == 0


def test_a_range_may_run_out_of_the_memory_that_there_is() -> None:
    rig = Rig(slow_sections=1)
    assert rig.engine.record_range(SLOW_PFN + SECTION - 2, 9, FAST, HWHINT, 1, 1) == 2
    assert rig.engine.record_range(SLOW_PFN + SECTION, 9, FAST, HWHINT, 1, 1) == 0
    assert rig.stat("pghot_recorded_hwhints") == 2


def test_a_range_of_no_page_is_refused() -> None:
    rig = Rig()
    assert rig.engine.record_range(SLOW_PFN, 0, FAST, HWHINT, 1, 1) == -EINVAL


def test_nothing_is_recorded_before_the_start() -> None:
    rig = Rig(start=False)
    assert rig.engine.record_accesses(SLOW_PFN, FAST, HWHINT, 2, 1) == 0
    assert rig.engine.record_range(SLOW_PFN, 3, FAST, HWHINT, 2, 1) == 0


def test_the_latency_of_a_fault_that_is_refused_counts_nothing() -> None:
    """`improved` in precision mode: a node that there cannot be is EINVAL once."""
    rig = Rig(PRECISE, fidelity=IMPROVED)
    latency = np.zeros(1, np.int32)
    assert rig.engine.record_many([SLOW_PFN], NID_MAX + 1, HINTFAULT, 1, latency) == 1
    assert not any(rig.engine.vmstat.as_dict().values())


def test_an_observer_is_told_which_access_is_recorded_how_often() -> None:
    class Told:
        def __init__(self) -> None:
            self.rows: list[list[int]] = []
            self.folios: list[int] = []

        def chosen(self, rows) -> None:
            self.rows.append(rows.tolist())

        def recorded(self, recorded) -> None:
            self.folios += recorded.folios.tolist()

    rig = Rig()
    rig.engine.observer = told = Told()
    pfns = [SLOW_PFN, SLOW_PFN + 1, SLOW_PFN + 2]
    rig.engine.record_many(pfns, FAST, HWHINT, 1, count=[1, 3, 2])
    assert told.rows == [[0, 1, 1, 1, 2, 2]]
    assert told.folios == [pfns[row] for row in told.rows[0]]
