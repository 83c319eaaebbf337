import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.perf.attr import (
    CLOCK_MONOTONIC,
    PERF_ATTR_SIZES,
    PERF_COUNT_SW_PAGE_FAULTS_MIN,
    PERF_TYPE_SOFTWARE,
    EventAttr,
    Flag,
    Sample,
)

WORD = st.integers(0, (1 << 64) - 1)


def test_a_minor_fault_event_is_these_bytes():
    attr = EventAttr(
        type=PERF_TYPE_SOFTWARE,
        config=PERF_COUNT_SW_PAGE_FAULTS_MIN,
        sample_period=1,
        sample_type=Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.PHYS_ADDR,
        flags=Flag.DISABLED | Flag.EXCLUDE_KERNEL | Flag.SAMPLE_ID_ALL,
        wakeup_watermark=0x20000,
        clockid=CLOCK_MONOTONIC,
    )
    assert attr.pack("little").hex(" ", 4) == (
        "01000000 60000000 05000000 00000000 "  # type, size, config
        "01000000 00000000 8e000800 00000000 "  # sample_period, sample_type
        "00000000 00000000 21400402 00000000 "  # read_format, flags
        "00000200 00000000 00000000 00000000 "  # wakeup_watermark, bp_type, config1
        "00000000 00000000 00000000 00000000 "  # config2, branch_sample_type
        "00000000 00000000 00000000 01000000"  # regs_user, stack_user, clockid
    )


def test_config_words_and_precise_ip_are_these_bytes():
    attr = EventAttr(
        type=4, config=0x1CD, config1=30, config2=2, config3=3, precise_ip=3, sample_period=7
    )
    packed = attr.pack("little")
    assert packed[:48].hex(" ", 4) == (
        "04000000 88000000 cd010000 00000000 07000000 00000000 "
        "00000000 00000000 00000000 00000000 00800100 00000000"
    )
    assert packed[56:72] == bytes([30, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])
    assert packed[128:136] == bytes([3, 0, 0, 0, 0, 0, 0, 0])


def test_big_endian_machines_count_flags_from_the_top():
    packed = EventAttr(type=1, flags=Flag.DISABLED | Flag.INHERIT, precise_ip=2).pack("big")
    assert packed[:8] == bytes([0, 0, 0, 1, 0, 0, 0, 64])
    assert packed[40:48] == bytes([0b1100_0000, 0b0000_0001, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, 64),
        ({"config1": 1}, 64),
        ({"config2": 1 << 63}, 72),
        ({"clockid": CLOCK_MONOTONIC}, 96),
        ({"config3": 1}, 136),
    ],
)
def test_the_size_is_that_of_the_oldest_version_that_has_every_field(fields, size):
    assert len(EventAttr(type=1, **fields).pack("little")) == size


@given(
    type=st.integers(0, (1 << 32) - 1),
    config=WORD,
    config1=WORD,
    config2=WORD,
    config3=WORD,
    clockid=st.none() | st.integers(0, 11),
)
def test_what_a_kernel_reads_is_what_was_said(**fields):
    packed = EventAttr(**fields).pack("little")
    assert len(packed) in PERF_ATTR_SIZES
    assert int.from_bytes(packed[4:8], "little") == len(packed)
    whole = packed.ljust(136, b"\0")
    places = {"type": (0, 4), "config": (8, 8), "config1": (56, 8), "config2": (64, 8)}
    places |= {"config3": (128, 8), "clockid": (92, 4)}
    for name, (at, size) in places.items():
        assert int.from_bytes(whole[at : at + size], "little") == (fields[name] or 0)
    assert (whole[43] >> 1 & 1) == (fields["clockid"] is not None)
