"""What is asked of each processor that there is, by what its PMUs' files say."""

from __future__ import annotations

import pytest

from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.linux.perf.attr import Flag
from pghot.linux.perf.mem_events import LOAD_LATENCY, Periods, find_mem_events
from pghot.linux.perf.spe_events import PERIOD, find_spe_events, why_no_spe
from pghot.sources import hardware
from tests.linux.perf_rig import DEVICES, put
from tests.linux.pmu_trees import TREES, pmu_tree

CD, CD2, D0 = 0x1CD, 0x2CD, 0x82D0
ATOM_LOADS, ATOM_STORES, AUX = 0x5D0, 0x6D0, 0x8203
LATENCY = LOAD_LATENCY

INTEL = {
    "Nehalem": [("cpu", None, [[(0x100B, LATENCY)]])],
    "Sandy Bridge": [("cpu", None, [[(CD, LATENCY)], [(CD2, 0)]])],
    "Haswell": [("cpu", None, [[(CD, LATENCY)], [(D0, 0)]])],
    "Ice Lake, adaptive PEBS": [("cpu", None, [[(CD, LATENCY)], [(D0, 0)]])],
    "Sapphire Rapids": [("cpu", None, [[(AUX, 0), (CD, LATENCY)], [(CD2, 0)]])],
    "Granite Rapids": [("cpu", None, [[(AUX, 0), (CD, LATENCY)], [(CD2, 0)]])],
    "Alder Lake": [
        ("cpu_atom", (4, 5, 6, 7), [[(ATOM_LOADS, LATENCY)], [(ATOM_STORES, 0)]]),
        ("cpu_core", (0, 1, 2, 3), [[(AUX, 0), (CD, LATENCY)], [(CD2, 0)]]),
    ],
    "Lunar Lake": [
        ("cpu_atom", (4, 5, 6, 7), [[(ATOM_LOADS, LATENCY)], [(ATOM_STORES, 0)]]),
        ("cpu_core", (0, 1, 2, 3), [[(CD, LATENCY)], [(CD2, 0)]]),
    ],
    "Arrow Lake H": [
        ("cpu_atom", (2, 3, 4, 5), [[(ATOM_LOADS, LATENCY)], [(ATOM_STORES, 0)]]),
        ("cpu_core", (0, 1), [[(CD, LATENCY)], [(CD2, 0)]]),
        ("cpu_lowpower", (6, 7), [[(ATOM_LOADS, LATENCY)], [(ATOM_STORES, 0)]]),
    ],
    "Sierra Forest": [("cpu", None, [[(ATOM_LOADS, LATENCY)], [(ATOM_STORES, 0)]])],
    "Silvermont": [],
}
"""PMU, CPUs, and config and config1 of the events of each group."""

OP_COUNT, L3_MISS = 1 << 19, 1 << 16
AMD = {
    "Zen 3": (OP_COUNT, 0, False),
    "Zen 3, swfilt": (OP_COUNT, 1, True),
    "Zen 4": (OP_COUNT | L3_MISS, 0, False),
    "Zen 4, swfilt": (OP_COUNT | L3_MISS, 1, True),
    "Zen 5": (OP_COUNT | L3_MISS, 1, True),
    "IBS that counts cycles alone": (0, 0, False),
}
"""config, config2, whether the kernel's own ops are left out."""

TS, PA, JITTER, LOADS, STORES = 1 << 0, 1 << 1, 1 << 16, 1 << 33, 1 << 34
ALL_SPE = TS | PA | JITTER | LOADS | STORES
ARM = {
    "Neoverse": [("arm_spe_0", (0, 1, 2, 3), ALL_SPE, 30, PERIOD)],
    "SPE with inverted filters": [("arm_spe_0", (0, 1, 2, 3), ALL_SPE, 30, PERIOD)],
    "two kinds of SPE": [
        ("arm_spe_0", (0, 1, 2, 3), ALL_SPE, 30, PERIOD),
        ("arm_spe_1", (4, 5, 6, 7), ALL_SPE & ~JITTER, 0, 16384),
    ],
    "SPE without physical addresses": [],
}
"""PMU, CPUs, config, config2 (the least latency), and the period."""


def test_every_tree_is_of_one_of_the_three() -> None:
    assert TREES.keys() == INTEL.keys() | AMD.keys() | ARM.keys()


@pytest.mark.parametrize("name", INTEL)
def test_intels_loads_and_stores_are_encoded_as_each_processor_has_them(tmp_path, name) -> None:
    found = find_mem_events(Host(pmu_tree(tmp_path, name)))
    assert [
        (one.pmu, one.cpus, [[(event.config, event.config1) for event in g] for g in one.groups])
        for one in found
    ] == INTEL[name]
    for one in found:
        for group in one.groups:
            *before, sampling = group
            assert [event.sample_period for event in before] == [0] * len(before)
            assert sampling.sample_period
            assert sampling.flags & Flag.EXCLUDE_KERNEL


@pytest.mark.parametrize("name", AMD)
def test_amds_ops_are_encoded_with_what_each_processor_can_leave_out(tmp_path, name) -> None:
    (found,) = find_mem_events(Host(pmu_tree(tmp_path, name)))
    ((event,),) = found.groups
    users_only = bool(event.flags & Flag.EXCLUDE_KERNEL)
    assert (event.config, event.config2, users_only) == AMD[name]
    assert event.config1 == 0, "a latency leaves out stores: not unless asked for"


def test_ibs_leaves_out_short_loads_where_it_is_asked_and_can(tmp_path) -> None:
    periods = Periods(ibs_load_latency=256)
    (found,) = find_mem_events(Host(pmu_tree(tmp_path / "5", "Zen 5")), periods)
    assert found.groups[0][0].config1 == 256
    for latency in (127, 2049):
        with pytest.raises(InputError, match="wants 128 to 2048"):
            find_mem_events(Host(tmp_path / "5"), Periods(ibs_load_latency=latency))
    with pytest.raises(InputError, match="ibs_op has no 'ldlat'"):
        find_mem_events(Host(pmu_tree(tmp_path / "4", "Zen 4")), periods)


@pytest.mark.parametrize("name", ARM)
def test_arms_spe_is_encoded_as_its_format_says(tmp_path, name) -> None:
    found = find_spe_events(Host(pmu_tree(tmp_path, name)))
    assert [
        (one.pmu, one.cpus, one.event.config, one.event.config2, one.event.sample_period)
        for one in found
    ] == ARM[name]
    for one in found:
        assert (one.event.config1, one.event.config3) == (0, 0)
        assert one.event.flags & Flag.EXCLUDE_KERNEL


def test_formats_may_put_terms_elsewhere(tmp_path) -> None:
    host = Host(pmu_tree(tmp_path, "Neoverse"))
    put(tmp_path, f"{DEVICES}/arm_spe_0/format/min_latency", "config1:4-15")
    put(tmp_path, f"{DEVICES}/arm_spe_0/format/pa_enable", "config:7")
    (found,) = find_spe_events(host)
    assert (found.event.config1, found.event.config2) == (30 << 4, 0)
    assert found.event.config == ALL_SPE & ~PA | 1 << 7


def test_an_spe_that_lacks_something_is_told_with_what(tmp_path) -> None:
    host = Host(pmu_tree(tmp_path, "SPE without physical addresses"))
    assert why_no_spe(host) == hardware.why_not(host) == "Arm SPE without pa_enable"


def test_a_least_interval_that_is_none_is_one_line(tmp_path) -> None:
    host = Host(pmu_tree(tmp_path, "Neoverse"))
    put(tmp_path, f"{DEVICES}/arm_spe_0/caps/min_interval", "soon")
    with pytest.raises(PghotError, match="arm_spe_0: caps/min_interval is 'soon', no number"):
        find_spe_events(host)


@pytest.mark.parametrize("name", ARM.keys() - {"SPE without physical addresses"})
def test_spe_is_a_hardware_source_by_name(tmp_path, name) -> None:
    host = Host(pmu_tree(tmp_path, name))
    assert hardware.why_not(host) is None
    assert hardware.uses(host).startswith("Arm SPE (arm_spe_0)")
