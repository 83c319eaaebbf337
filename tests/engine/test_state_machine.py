"""Recording, sweeps, hotplug and tunable writes in any order leave the engine consistent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pghot.engine.errors import TunableError
from pghot.engine.fidelity import FIDELITIES, V8
from pghot.engine.layout import LAYOUTS
from pghot.engine.memory import Folio
from pghot.engine.units import HZ_RANGE
from pghot.engine.vmstat import ORDER
from tests.rig import FAST, SECTION, SLOW, SLOW_PFN, Rig, node

PLUGGED = 64 * SECTION
FOLIOS = [Folio(SLOW_PFN + 64, 64, memcg=3), Folio(SLOW_PFN + 1024, 512, memcg=1)]
PAGES = st.integers(0, 200)
TUNABLES = st.sampled_from(
    [
        ("freq_threshold", "1"),
        ("freq_threshold", "3"),
        ("kmigrated_batch_nr", "0"),
        ("kmigrated_batch_nr", "7"),
        ("enabled_sources", "0x1"),
        ("enabled_sources", "0x3"),
        ("pghot_promote_freq_window_ms", "500"),
        ("pghot_promote_freq_window_ms", "3000"),
        ("pghot_promote_rate_limit_MBps", "0"),
        ("pghot_promote_rate_limit_MBps", "1"),
        ("pghot_promote_rate_limit_MBps", "65536"),
        ("numa_balancing", "0"),
        ("numa_balancing", "2"),
    ]
)

V8_REFUSES = {
    ("kmigrated_batch_nr", "0"),
    ("kmigrated_batch_nr", "7"),
    ("pghot_promote_freq_window_ms", "500"),
}


class Machine(RuleBasedStateMachine):
    """A machine that lives: touched, swept, tuned, grown and shrunk."""

    @initialize(
        layout=st.sampled_from(sorted(LAYOUTS)),
        fidelity=st.sampled_from(sorted(FIDELITIES)),
        hz=st.sampled_from([100, 250, 1000]),
        free=st.sampled_from([0, 50, 5000]),
    )
    def boot(self, layout, fidelity, hz, free):
        assert hz in HZ_RANGE
        self.rig = Rig(
            LAYOUTS[layout],
            fidelity=FIDELITIES[fidelity],
            hz=hz,
            free=free,
            folios=FOLIOS,
            fast_sections=2,
            slow_sections=2,
        )
        self.now = 0
        self.plugged = False
        self.seen = dict.fromkeys(ORDER, 0)
        self.total = self._total_free()
        self.batch_pages = 0

    def _total_free(self):
        return sum(self.rig.memory.free_pages(nid) for nid in self.rig.memory.nodes())

    @rule(
        pages=st.lists(PAGES, min_size=1, max_size=30),
        gap=st.integers(0, 6000),
        nid=st.sampled_from([-1, FAST, SLOW, 9]),
        source=st.integers(-1, 2),
        times=st.integers(1, 3),
        where=st.sampled_from([SLOW_PFN, SLOW_PFN + SECTION, SLOW_PFN + 1000, PLUGGED, 0]),
    )
    def touch(self, pages, gap, nid, source, times, where):
        self.now += gap
        pfns = (np.array(pages) + where).repeat(times)
        self.rig.engine.record_many(pfns, nid, source, self.now)

    @rule(gap=st.integers(0, 400))
    def look(self, gap):
        self.now += gap
        for batch in self.rig.engine.look(self.now):
            assert len(batch.pfns) == len(batch.moved) > 0
            assert batch.from_nid != batch.to_nid
            self.batch_pages += batch.pages_moved
            for pfn in batch.pfns[batch.moved].tolist():
                assert self.rig.nid_of(pfn) == batch.to_nid

    @rule(tunable=TUNABLES)
    def tune(self, tunable):
        engine = self.rig.engine
        if engine.fidelity is not V8 or tunable not in V8_REFUSES:
            engine.write(*tunable, now=self.now)
            return
        before = engine.tunables.as_dict()
        with pytest.raises(TunableError):
            engine.write(*tunable, now=self.now)
        assert engine.tunables.as_dict() == before

    @rule()
    def plug(self):
        if not self.plugged:
            self.rig.memory.add_node(node(5, PLUGGED, 1, top=False))
            assert self.rig.engine.memory_going_online(PLUGGED, SECTION) == 0
            self.plugged = True

    @rule(section=st.integers(0, 1))
    def take_offline_and_back(self, section):
        start = SLOW_PFN + section * SECTION
        self.rig.engine.memory_offline(start, SECTION)
        assert self.rig.record_of(start + 3) == 0
        assert self.rig.engine.memory_going_online(start, SECTION) == 0

    @invariant()
    def no_record_without_a_map(self):
        hot_map = self.rig.engine.hot_map
        records = hot_map.records.reshape(-1, SECTION)
        for slot in np.flatnonzero(hot_map.has_map == 0):
            assert not records[slot].any()
            assert not hot_map.hot[slot]
        for slot in np.flatnonzero(hot_map.touched == 0):
            assert not records[slot].any()

    @invariant()
    def no_page_is_on_two_nodes_and_none_is_lost(self):
        # Free pages of all nodes are what they were: each promotion moved as many back.
        assert self._total_free() == self.total
        mem_map = self.rig.memory.mem_map
        for pfn in (SLOW_PFN, SLOW_PFN + 70, SLOW_PFN + 1100, SLOW_PFN + SECTION + 5):
            head = mem_map.folio_pfn(pfn)
            assert self.rig.nid_of(pfn) == self.rig.nid_of(head) in (FAST, SLOW)

    @invariant()
    def counters_only_grow_and_agree(self):
        now = self.rig.engine.vmstat.as_dict()
        for name, before in self.seen.items():
            assert now[name] >= before
        self.seen = now
        assert now["pgpromote_success"] == now["numa_pages_migrated"] == self.batch_pages
        candidates = now["pgpromote_candidate"] + now["pgpromote_candidate_nrl"]
        assert now["pgpromote_success"] <= candidates
        offered = now["pghot_recorded_hintfaults"] + now["pghot_recorded_hwhints"]
        assert now["pghot_recorded_accesses"] <= offered
        assert sum(self.rig.engine.memcg_promoted.values()) == now["pgpromote_success"]

    @invariant()
    def a_hot_flag_means_a_hot_map(self):
        hot_map = self.rig.engine.hot_map
        assert not (hot_map.hot & ~hot_map.has_map & 1).any()


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
