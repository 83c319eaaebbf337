"""IBS registers by the names of patches 6 and 7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.simulated.ibs import registers as ibs

TABLES = [
    ibs.IBSCTL_LVT,
    ibs.FETCH_CTL,
    ibs.FETCH_CTL2,
    ibs.OP_CTL,
    ibs.OP_DATA,
    ibs.OP_CTL2,
    ibs.MPROF_CTL,
    ibs.MPROF_CTL2,
    ibs.MPROF_DATA2,
    ibs.MPROF_DATA3,
]


def test_the_profiler_s_registers_are_six_in_a_row():
    names = ("CTL", "CTL2", "DATA2", "DATA3", "LINADDR", "PHYADDR")
    numbers = [getattr(ibs, f"MSR_AMD64_IBS_MPROF_{name}") for name in names]
    assert numbers == list(range(0xC0010380, 0xC0010386))


def test_the_capability_word_is_decoded_by_name():
    assert ibs.IBS_CPUID_FEATURES == 0x8000001B
    assert ibs.decode_caps(0) == []
    assert ibs.decode_caps(ibs.IBS_CAPS_DEFAULT) == [
        "IBS_CAPS_AVAIL",
        "IBS_CAPS_FETCHSAM",
        "IBS_CAPS_OPSAM",
    ]
    assert ibs.decode_caps(1 << 16 | 1 << 17 | 1 << 18 | 1 << 19) == [
        "IBS_CAPS_STRMST_RMTSOCKET",
        "bit 17",
        "IBS_CAPS_MEM_PROFILER",
        "IBS_CAPS_OPDTLBPGSIZE",
    ]


# R6.2
def test_a_period_of_10_000_is_written_as_625_with_nothing_lost():
    assert ibs.encode_period(10_000) == 625
    assert ibs.programmed_period(625) == 10_000


def test_the_low_four_bits_of_a_period_are_lost():
    assert ibs.programmed_period(ibs.encode_period(10_007)) == 10_000


def test_bits_20_to_26_of_a_period_stay_where_they_are():
    assert ibs.encode_period(0x7F_0000_0 | 0xABCD_0) == 0x7F_0000_0 | 0xABCD


@given(st.sampled_from([ibs.PERIODS]).flatmap(lambda r: st.integers(r.start, r.stop - 1)))
def test_a_period_comes_back_as_a_multiple_of_16(period):
    ctl = ibs.profiling_ctl(period)
    assert ibs.programmed_period(ctl) == period & ~0xF
    fields = ibs.decode(ctl, ibs.MPROF_CTL)
    assert fields["IBS_MPROF_CTL_ENABLE"] == fields["IBS_MPROF_CTL_CNT_CTL"] == 1
    assert fields["IBS_MPROF_CTL_L3MISSONLY"] == 1
    assert fields["IBS_MPROF_CTL_VAL"] == 0


@pytest.mark.parametrize("period", [0, 15, 1 << 27])
def test_a_period_that_the_fields_cannot_hold_is_refused(period):
    with pytest.raises(InputError, match=f"a sampling period is 16 to 134217727: {period}"):
        ibs.encode_period(period)


# R6.4
def test_the_data_source_is_bits_0_to_2_with_bits_6_and_7_above():
    assert ibs.data_source(0b0000_0011) == ibs.DATASRC_DRAM
    assert ibs.data_source(0b0100_0000) == ibs.DATASRC_EXT_MEM
    assert ibs.data_source(0b1111_1111) == 0b11111
    for source in range(32):
        assert ibs.data_source(ibs.encode_source(source) | ibs.RMT_NODE | 1 << 9) == source


def test_the_lvt_offset_is_bits_16_to_19_where_bit_24_is_set():
    assert ibs.mprof_lvt_offset(1 << 24 | 0x5 << 16 | 0x10F) == 5
    assert ibs.mprof_lvt_offset(0x5 << 16 | 1 << 8) is None


@pytest.mark.parametrize("table", TABLES)
def test_fields_of_a_register_do_not_overlap_and_are_read_one_by_one(table):
    whole = 0
    for mask in table.values():
        assert not whole & mask
        whole |= mask
    assert all(ibs.decode(whole, table).values())
    for name, mask in table.items():
        decoded = ibs.decode(mask, table)
        assert decoded.pop(name) == mask >> ((mask & -mask).bit_length() - 1)
        assert not any(decoded.values())
