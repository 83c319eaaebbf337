"""What each machine's events are, byte for byte as perf_event_open(2) gets them."""

import pytest

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.perf.mem_events import Periods, find_mem_events
from tests.linux.perf_rig import machine

SAMPLE_TYPE = "8e800800 00000000"  # TID TIME ADDR CPU DATA_SRC PHYS_ADDR
END = "00000000 00000000 00000000 00000000 00000000 00000000 00000000 01000000"


def found(tmp_path, name, periods=None):
    return find_mem_events(Host(machine(tmp_path, name)), periods)


def packed(events):
    return [[event.pack("little").hex(" ", 4) for event in group] for group in events.groups]


def attr(kind, config, period, flags, config1="00000000", config2="00000000"):
    return (
        f"{kind} 60000000 {config} 00000000 {period} 00000000 {SAMPLE_TYPE} "
        f"00000000 00000000 {flags} 00000000 00000000 00000000 {config1} 00000000 "
        f"{config2} 00000000 {END[18:]}"
    )


def test_zen_4_samples_ops_that_miss_the_last_cache(tmp_path):
    (ibs,) = found(tmp_path, "amd_zen4")
    assert packed(ibs) == [[attr("0a000000", "00000900", "a0860100", "01000402")]]
    assert (ibs.pmu, ibs.cpus, ibs.what) == ("ibs_op", None, "AMD IBS, misses of the last cache")


def test_zen_5_with_a_software_filter_samples_users_ops_only(tmp_path):
    (ibs,) = found(tmp_path, "amd_zen5")
    assert packed(ibs) == [
        [attr("0b000000", "00000900", "a0860100", "21000402", config2="01000000")]
    ]


def test_sapphire_rapids_samples_loads_after_their_auxiliary_event_and_stores(tmp_path):
    (pebs,) = found(tmp_path, "intel_sapphire_rapids")
    assert packed(pebs) == [
        [
            attr("04000000", "03820000", "00000000", "61000402"),
            attr("04000000", "cd010000", "17270000", "61800502", config1="1e000000"),
        ],
        [attr("04000000", "cd020000", "a3860100", "61800502")],
    ]
    assert (pebs.pmu, pebs.cpus, pebs.what) == ("cpu", None, "cpu mem-loads and mem-stores")


def test_a_hybrid_machine_has_events_for_each_kind_of_core(tmp_path):
    atom, core = found(tmp_path, "intel_hybrid")
    assert packed(atom) == [
        [attr("0a000000", "d0050000", "17270000", "61800502", config1="1e000000")],
        [attr("0a000000", "d0060000", "a3860100", "61800502")],
    ]
    assert packed(core) == [
        [
            attr("04000000", "03820000", "00000000", "61000402"),
            attr("04000000", "cd010000", "17270000", "61800502", config1="1e000000"),
        ],
        [attr("04000000", "cd020000", "a3860100", "61800502")],
    ]
    assert (atom.cpus, core.cpus) == ((4, 5), (0, 1, 2, 3))


def test_a_virtual_machine_without_a_pmu_has_none(tmp_path):
    assert found(tmp_path, "virtual") == []


def test_without_l3missonly_all_ops_are_sampled(tmp_path):
    machine(tmp_path, "amd_zen4")
    (tmp_path / "sys/bus/event_source/devices/ibs_op/format/l3missonly").unlink()
    (ibs,) = find_mem_events(Host(tmp_path))
    assert ibs.groups[0][0].config == 1 << 19
    assert ibs.what == "AMD IBS"


def test_periods_and_the_latency_are_the_callers_to_set(tmp_path):
    (pebs,) = found(
        tmp_path, "intel_sapphire_rapids", Periods(loads=5, stores=6, load_latency=100)
    )
    (_, loads), (stores,) = pebs.groups
    assert (loads.sample_period, loads.config1, stores.sample_period) == (5, 100, 6)


@pytest.mark.parametrize("period", [0, 0x80, 100_001])
def test_a_period_that_ibs_cannot_count_is_refused(tmp_path, period):
    with pytest.raises(InputError, match="multiple of 16"):
        found(tmp_path, "amd_zen4", Periods(ibs=period))
