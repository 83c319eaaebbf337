"""Tunables with the kernel's names, defaults and parsing (R5)."""

from __future__ import annotations

from contextlib import suppress
from errno import EINVAL, ENOENT, EOPNOTSUPP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import IMPROVED, V7
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.engine.tunables import TUNABLES, dointvec, kstrtouint
from tests.rig import FAST, SECTION, SLOW, SLOW_PFN, Rig, node


def refused(rig, name, text):
    before = rig.engine.tunables.as_dict()
    with pytest.raises(TunableError) as error:
        rig.engine.write(name, text)
    assert rig.engine.tunables.as_dict() == before
    assert "\n" not in str(error.value).replace("\\n", "")
    return error.value.errno


# R5.1
def test_the_defaults_are_the_kernels(rig):
    engine = Engine(rig().memory)
    assert engine.tunables.as_dict() == {
        "enabled_sources": 0,
        "target_nid": 0,
        "freq_threshold": 2,
        "kmigrated_sleep_ms": 100,
        "kmigrated_batch_nr": 512,
        "pghot_promote_freq_window_ms": 3000,
        "pghot_promote_rate_limit_MBps": 65536,
        "numa_balancing_promote_rate_limit_MBps": 65536,
        "numa_balancing": 0,
    }
    assert Engine(rig().memory, PRECISE).tunables["pghot_promote_freq_window_ms"] == 5000


# R5.2
@pytest.mark.parametrize(
    ("text", "value"), [("0x3", 3), ("0X2\n", 2), ("01", 1), ("+1", 1), ("0", 0), ("3\n", 3)]
)
def test_enabled_sources_takes_any_base(rig, text, value):
    rig = rig()
    rig.engine.write("enabled_sources", text)
    assert rig.engine.tunables["enabled_sources"] == value


@pytest.mark.parametrize(
    "text",
    ["4", "0x10", "-1", " 1", "1 ", "", "\n", "1\n\n", "0x", "08", "one", "1,2", "4294967296"],
)
def test_enabled_sources_refuses_other_bits_and_other_text(rig, text):
    assert refused(rig(), "enabled_sources", text) == EINVAL


# R5.4
@pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=["default", "precise"])
def test_freq_threshold_goes_from_1_to_where_the_frequency_saturates(rig, layout):
    rig = rig(layout)
    for value in range(1, layout.freq_max + 1):
        rig.engine.write("freq_threshold", str(value))
        assert rig.engine.tunables["freq_threshold"] == value
    for text in ("0", str(layout.freq_max + 1), "0x1"):
        assert refused(rig, "freq_threshold", text) == EINVAL


def test_only_the_first_15_characters_of_a_debugfs_write_count(rig):
    rig = rig()
    rig.engine.write("freq_threshold", "000000000000003" + "junk")
    assert rig.engine.tunables["freq_threshold"] == 3
    assert refused(rig, "freq_threshold", "0000000000000003") == EINVAL  # fifteen zeros


# R5.3
def test_target_nid_is_an_online_top_tier_node_in_decimal(rig):
    nodes = [
        node(0, 0, 1, top=True),
        node(2, SECTION, 1, top=True),
        node(1, SLOW_PFN, 1, top=False),
    ]
    rig = rig(nodes=nodes)
    rig.engine.write("target_nid", "2")
    assert rig.engine.tunables["target_nid"] == 2
    for text in ("1", "7", "0x0", "1024", "-1"):
        assert refused(rig, "target_nid", text) == EINVAL
    rig.memory.offline.add(0)
    assert refused(rig, "target_nid", "0") == EINVAL


# R5.5
@pytest.mark.parametrize("name", ["kmigrated_sleep_ms", "kmigrated_batch_nr"])
def test_kmigrated_files_take_any_u32(rig, name):
    rig = rig()
    for text, value in (("0", 0), ("0x200", 512), ("4294967295", 4294967295)):
        rig.engine.write(name, text)
        assert rig.engine.tunables[name] == value
    for text in ("4294967296", "-1", "many"):
        assert refused(rig, name, text) == EINVAL


SYSCTLS = [
    "pghot_promote_freq_window_ms",
    "pghot_promote_rate_limit_MBps",
    "numa_balancing_promote_rate_limit_MBps",
]


# R5.6
@pytest.mark.parametrize("name", SYSCTLS)
def test_sysctls_take_0_to_int_max_with_white_space_around(rig, name):
    rig = rig()
    for text, value in (
        ("0", 0),
        ("  7\n", 7),
        ("0x10", 16),
        ("-0", 0),
        ("5 9", 5),
        ("2147483647", 2147483647),
    ):
        rig.engine.write(name, text)
        assert rig.engine.tunables[name] == value
    for text in ("-1", "2147483648", "", "  ", "7x", "+7", "x"):
        assert refused(rig, name, text) == EINVAL


# R5.7
def test_the_rate_limit_has_two_names(rig):
    rig = rig()
    rig.engine.write("numa_balancing_promote_rate_limit_MBps", "10")
    assert rig.engine.tunables["pghot_promote_rate_limit_MBps"] == 10
    rig.engine.write("pghot_promote_rate_limit_MBps", "11")
    assert rig.engine.tunables["numa_balancing_promote_rate_limit_MBps"] == 11


# R5.8
def test_numa_balancing_without_tiering_support_is_eopnotsupp(rig):
    memory = rig().memory
    engine = Engine(memory, tiering=False)
    with pytest.raises(TunableError) as error:
        engine.write("numa_balancing", "2")
    assert error.value.errno == EOPNOTSUPP
    engine.write("numa_balancing", "1")
    assert engine.tunables["numa_balancing"] == 1


def test_a_name_that_is_none_is_told_with_those_there_are(rig):
    rig = rig()
    with pytest.raises(TunableError, match="freq_threshold") as error:
        rig.engine.write("hot_threshold_ms", "1")
    assert error.value.errno == ENOENT


def test_a_read_gives_the_value_and_a_newline(rig):
    rig = rig()
    rig.engine.write("enabled_sources", "0x3")
    assert rig.engine.tunables.read("enabled_sources") == "3\n"


@given(name=st.sampled_from(sorted(TUNABLES)), text=st.text(max_size=25))
def test_any_text_is_taken_or_refused_and_never_breaks(name, text):
    rig = Rig(start=False)
    with suppress(TunableError):
        rig.engine.write(name, text)
    assert rig.engine.tunables.read(name).strip().isdigit()


@given(value=st.integers(0, (1 << 32) - 1), base=st.sampled_from([0, 10]))
def test_kstrtouint_reads_what_printf_wrote(value, base):
    assert kstrtouint(f"{value}\n", base) == value
    assert kstrtouint(f"{value:#x}", 0) == value


@given(value=st.integers(0, (1 << 31) - 1))
def test_a_sysctl_reads_what_printf_wrote(value):
    assert dointvec(f" {value}\n") == dointvec(f"{value:#x}") == value


def test_in_improved_a_window_too_long_for_the_record_is_refused(rig):
    v7, improved = rig(fidelity=V7), rig(fidelity=IMPROVED)
    v7.engine.write("pghot_promote_freq_window_ms", "4000")
    improved.engine.write("pghot_promote_freq_window_ms", "3712")
    assert refused(improved, "pghot_promote_freq_window_ms", "3713") == EINVAL


def test_a_written_threshold_holds_from_the_next_access_on(rig):
    rig = rig()
    rig.touch(SLOW_PFN, now=1)
    rig.engine.write("freq_threshold", "1")
    assert not rig.engine.work_requested
    rig.touch(SLOW_PFN + 1, now=2)
    assert rig.engine.work_requested
    assert (FAST, SLOW) == (0, 1)
