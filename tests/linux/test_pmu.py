import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.linux.perf.pmu import Bits, Config, Pmu, encode, parse_event, parse_format, read_pmu
from tests.linux.perf_rig import DEVICES, machine, put


def test_a_pmu_is_what_its_files_say(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "amd_zen5")), "ibs_op")
    assert pmu == Pmu(
        name="ibs_op",
        type=11,
        cpus=None,
        format={
            "cnt_ctl": Bits("config", (19,)),
            "l3missonly": Bits("config", (16,)),
            "ldlat": Bits("config1", tuple(range(12))),
            "swfilt": Bits("config2", (0,)),
        },
        events={},
        caps={"zen4_ibs_extensions": "1"},
    )


def test_a_pmu_that_is_not_there_is_none(tmp_path):
    assert read_pmu(Host(machine(tmp_path, "virtual")), "ibs_op") is None


@pytest.mark.parametrize(
    ("name", "pmu", "cpus"),
    [
        ("intel_hybrid", "cpu_core", (0, 1, 2, 3)),
        ("intel_hybrid", "cpu_atom", (4, 5)),
        ("intel_sapphire_rapids", "uncore_imc_0", (0,)),
        ("intel_sapphire_rapids", "cpu", None),
    ],
)
def test_the_cpus_of_a_pmu_are_those_it_names(tmp_path, name, pmu, cpus):
    assert read_pmu(Host(machine(tmp_path, name)), pmu).cpus == cpus


def test_scales_and_units_are_no_events(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "intel_sapphire_rapids")), "uncore_imc_0")
    assert pmu.events == {"cas_count_read": "event=0x05,umask=0xcf"}


@pytest.mark.parametrize("file", ["type", "format/event", "cpus"])
def test_a_pmu_that_makes_no_sense_is_an_error_that_names_it(tmp_path, file):
    put(tmp_path, f"{DEVICES}/odd/type", "7")
    put(tmp_path, f"{DEVICES}/odd/{file}", "?")
    with pytest.raises(PghotError, match=r"devices/odd: .*\?"):
        read_pmu(Host(tmp_path), "odd")


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("config:0-7,32-35", Bits("config", (*range(8), *range(32, 36)))),
        ("config1:19", Bits("config1", (19,))),
        ("config3:0-63\n", Bits("config3", tuple(range(64)))),
        ("config:21,0-7", Bits("config", (21, *range(8)))),
    ],
)
def test_a_format_names_a_word_and_its_bits(text, bits):
    assert parse_format(text) == bits


@pytest.mark.parametrize(
    "text",
    ["", "config", "config:", "config4:0", "config:7-0", "config:64", "config:0-3,3", "0-7"],
)
def test_a_format_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"wants a format|is no range|overlap"):
        parse_format(text)


def test_an_event_is_terms_with_numbers_and_one_where_there_is_none():
    assert parse_event("event=0xcd,umask=0x1,ldlat=3\n") == {"event": 205, "umask": 1, "ldlat": 3}
    assert parse_event("event=0x3c,inv") == {"event": 0x3C, "inv": 1}


@pytest.mark.parametrize("text", ["", "event=", "event=?", "=1", "event=-1", "event=1,,umask=1"])
def test_an_event_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="is no term"):
        parse_event(text)


def test_terms_go_to_the_bits_that_the_format_names(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "intel_sapphire_rapids")), "cpu")
    terms = {"event": 0xCD, "umask": 1, "ldlat": 30}
    assert encode(pmu, terms) == Config(config=0x1CD, config1=30)


def test_a_value_in_two_ranges_is_cut_lowest_bits_first(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "amd_zen4")), "cpu")
    assert encode(pmu, {"event": 0xABC}) == Config(config=0xA_0000_00BC)


def test_a_whole_word_can_be_said(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "amd_zen4")), "cpu")
    assert encode(pmu, {"config": 1 << 63, "inv": 1}) == Config(config=1 << 63 | 1 << 23)


def test_a_term_that_the_pmu_has_not_is_refused_with_those_it_has(tmp_path):
    pmu = read_pmu(Host(machine(tmp_path, "amd_zen4")), "ibs_op")
    with pytest.raises(InputError, match="ibs_op has no 'ldlat'; it has cnt_ctl, l3missonly"):
        encode(pmu, {"ldlat": 128})


@pytest.mark.parametrize("value", [2, -1])
def test_a_value_that_does_not_fit_is_refused(tmp_path, value):
    pmu = read_pmu(Host(machine(tmp_path, "amd_zen4")), "ibs_op")
    with pytest.raises(InputError, match="does not fit 1 bits"):
        encode(pmu, {"cnt_ctl": value})


@given(positions=st.lists(st.integers(0, 63), unique=True, min_size=1), value=st.data())
def test_what_is_encoded_can_be_read_back_bit_by_bit(positions, value):
    pmu = Pmu("made", 1, format={"term": Bits("config2", tuple(positions))})
    number = value.draw(st.integers(0, (1 << len(positions)) - 1))
    word = encode(pmu, {"term": number}).config2
    assert sum((word >> at & 1) << bit for bit, at in enumerate(positions)) == number
    assert word & ~sum(1 << at for at in positions) == 0
