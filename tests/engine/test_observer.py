"""An observer is told what the engine does and counts, and changes nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine import page_flags
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE
from pghot.engine.memory import Folio
from pghot.engine.reasons import ACCESS
from tests.engine.observing import Adding
from tests.rig import FAST, SECTION, SLOW, SLOW_PFN, Rig
from tests.twin.lives import Life


class ObservedLife(Life):
    """A life whose engines are observed; `agree` still compares them with their twin.

    Each access is one: of one with a count the observer is told several times.
    """

    counted = False

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.adding = [Adding(living.engine) for living in self.living]

    def touch(self) -> None:
        for adding in self.adding:
            adding.foreseen.clear()
        super().touch()
        for adding in self.adding:
            adding.check_records()

    def agree(self) -> None:
        super().agree()
        for adding in self.adding:
            adding.agree()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1 << 48), steps=st.integers(3, 20))
def test_in_any_life_what_is_told_is_what_is_counted_and_the_twin_still_agrees(seed, steps):
    ObservedLife(seed).live(steps)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1 << 32),
    fidelity=st.sampled_from(sorted(FIDELITIES)),
    layout=st.sampled_from(sorted(LAYOUTS)),
    limit=st.sampled_from(["0", "1", "65536"]),
)
def test_both_fidelities_tell_what_they_count(seed, fidelity, layout, limit):
    rng = np.random.default_rng(seed)
    here = Rig(
        LAYOUTS[layout],
        fidelity=FIDELITIES[fidelity],
        free=int(rng.choice([300, 100_000])),
        folios=[Folio(SLOW_PFN + 512, 512)],
        tunables={"pghot_promote_rate_limit_MBps": limit},
    )
    adding = Adding(here.engine)
    now = 0
    for _ in range(8):
        count = int(rng.integers(1, 400))
        times = np.sort(now + rng.integers(0, 9000, count)).astype(np.uint64)
        pfns = SLOW_PFN - 2 + rng.integers(0, 700, count)
        here.engine.record_many(pfns, rng.integers(-2, 2, count), rng.integers(0, 3, count), times)
        now = int(times[-1]) + int(rng.integers(0, 200))
        here.look(now)
        adding.agree()


def fate_of(here, pfn, nid=FAST, source=1):
    told = []
    here.engine.observer = type("Ear", (), {"recorded": lambda _self, what: told.append(what)})()
    here.engine.record_many(pfn, nid, source, 10)
    reason = ACCESS[int(told[0].outcomes[0])]
    return reason.name, reason.rule


@pytest.mark.parametrize(
    ("access", "fate"),
    [
        ((SLOW_PFN,), ("recorded", "R2.9")),
        ((SLOW_PFN, 5), ("bad_node", "R2.2")),
        ((SLOW_PFN, FAST, 2), ("bad_source", "R2.3")),
        ((SLOW_PFN, FAST, 0), ("disabled_source", "R2.3")),
        ((1 << 40,), ("no_such_page", "R2.6")),
        ((0,), ("own_node", "R2.5")),
        ((0, -1), ("on_top_tier", "R2.5")),
    ],
)
def test_each_access_is_told_with_the_rule_that_decides(rig, access, fate):
    here = rig(PRECISE, tunables={"enabled_sources": "2"})
    assert fate_of(here, *access) == fate


@pytest.mark.parametrize(
    ("flag", "fate"),
    [
        (page_flags.OFFLINE, "offline"),
        (page_flags.ZONE_DEVICE, "offline"),
        (page_flags.UNREFERENCED, "unreferenced"),
        (page_flags.OFF_LRU, "off_lru"),
    ],
)
def test_pages_that_cannot_be_tracked_are_told_apart(rig, flag, fate):
    here = rig()
    here.memory.mem_map.set_flags(SLOW_PFN, flag, on=True)
    assert fate_of(here, SLOW_PFN) == (fate, "R2.6")


def test_a_section_without_a_hot_map_is_r2_8(rig):
    here = rig()
    here.engine.memory_offline(SLOW_PFN, SECTION)
    assert fate_of(here, SLOW_PFN) == ("no_hot_map", "R2.8")


def test_below_the_top_tier_the_pages_own_node_is_r2_5(rig):
    assert fate_of(rig(), SLOW_PFN, SLOW) == ("own_node", "R2.5")


def test_a_tail_page_is_told_with_its_folio(rig):
    here = rig(folios=[Folio(SLOW_PFN + 512, 512)])
    told = []
    here.engine.observer = type("Ear", (), {"recorded": lambda _self, what: told.append(what)})()
    here.engine.record_many([SLOW_PFN + 519, SLOW_PFN + 3], FAST, 1, [10, 11])
    assert told[0].folios.tolist() == [SLOW_PFN + 512, SLOW_PFN + 3]
    assert told[0].pages.tolist() == [512, 1]


def test_each_record_is_told_as_it_is_after_its_access(rig):
    here = rig()
    told = []
    here.engine.observer = type("Ear", (), {"recorded": lambda _self, what: told.append(what)})()
    here.engine.record_many([SLOW_PFN] * 3, FAST, 1, [130, 260, 3500])
    fields = [DEFAULT.fields(record) for record in told[0].records.tolist()]
    assert [(f.freq, f.ready) for f in fields] == [(1, False), (2, True), (1, True)]


def test_before_the_start_nothing_is_told(rig):
    here = rig(start=False)
    here.engine.observer = object()
    assert here.engine.record_many(SLOW_PFN, FAST, 1, 10) == 0
