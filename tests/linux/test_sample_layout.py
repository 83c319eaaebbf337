import pytest

from pghot.linux.perf.attr import Sample
from pghot.linux.perf.sample_layout import SampleLayout, registers_layout, sample_layout


def test_fields_stand_in_the_order_of_the_kernels_header():
    kinds = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.PHYS_ADDR
    assert sample_layout(kinds) == SampleLayout(
        words=6, tid=1, time=2, addr=3, cpu=4, data_src=0, phys=5, trailer=3, trailer_time=2
    )


def test_every_field_of_fixed_length_is_stepped_over():
    kinds = (
        Sample.IDENTIFIER | Sample.IP | Sample.TID | Sample.TIME | Sample.ADDR | Sample.ID
    ) | (Sample.STREAM_ID | Sample.CPU | Sample.PERIOD | Sample.WEIGHT_STRUCT | Sample.DATA_SRC)
    layout = sample_layout(kinds | Sample.PHYS_ADDR | Sample.CGROUP | Sample.DATA_PAGE_SIZE)
    assert layout == SampleLayout(
        words=15, tid=3, time=4, addr=5, cpu=8, data_src=11, phys=12, trailer=6, trailer_time=5
    )


def test_the_two_kinds_of_weight_take_the_same_place():
    with_weight = sample_layout(Sample.WEIGHT | Sample.DATA_SRC)
    assert with_weight == sample_layout(Sample.WEIGHT_STRUCT | Sample.DATA_SRC)
    assert with_weight.data_src == 2


@pytest.mark.parametrize(
    "field",
    [
        Sample.READ,
        Sample.CALLCHAIN,
        Sample.RAW,
        Sample.BRANCH_STACK,
        Sample.REGS_USER,
        Sample.STACK_USER,
        Sample.REGS_INTR,
        Sample.AUX,
    ],
)
def test_fields_of_no_fixed_length_are_refused(field):
    with pytest.raises(ValueError, match=field.name):
        sample_layout(Sample.TID | field)


def test_registers_follow_a_word_for_their_abi_in_ascending_order():
    plain = Sample.TID | Sample.TIME | Sample.CPU
    layout = registers_layout(plain | Sample.REGS_INTR, 1 << 4 | 1 << 3, 4, 3)
    # header, tid, time, cpu, abi, register 3, register 4
    assert (layout.words, layout.tid, layout.time, layout.cpu) == (7, 1, 2, 3)
    assert (layout.phys, layout.addr) == (5, 6)
