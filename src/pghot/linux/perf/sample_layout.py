"""Where the fields of a perf sample stand, given by its event's sample_type.

PERF_RECORD_SAMPLE and struct sample_id in include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

from typing import NamedTuple

from pghot.linux.perf.attr import Sample

_ORDER = (
    Sample.IDENTIFIER,
    Sample.IP,
    Sample.TID,
    Sample.TIME,
    Sample.ADDR,
    Sample.ID,
    Sample.STREAM_ID,
    Sample.CPU,
    Sample.PERIOD,
    Sample.WEIGHT | Sample.WEIGHT_STRUCT,  # a union
    Sample.DATA_SRC,
    Sample.TRANSACTION,
    Sample.PHYS_ADDR,
    Sample.CGROUP,
    Sample.DATA_PAGE_SIZE,
    Sample.CODE_PAGE_SIZE,
)
"""Fields of eight bytes, in the order in which they stand after the header."""

_TRAILER = (
    Sample.TID,
    Sample.TIME,
    Sample.ID,
    Sample.STREAM_ID,
    Sample.CPU,
    Sample.IDENTIFIER,
)
"""What closes every record that is no sample, where the event asks for sample_id_all."""


class SampleLayout(NamedTuple):
    """Places in words of eight bytes from the record's first; 0 (the header) where not there.

    `words` is the length of a sample.  `trailer` is the length of struct sample_id and
    `trailer_time` how far before a record's end its time stands.
    """

    words: int
    tid: int
    time: int
    addr: int
    cpu: int
    data_src: int
    phys: int
    trailer: int
    trailer_time: int


def registers_layout(sample_type: Sample, mask: int, addr: int, phys: int) -> SampleLayout:
    """Lay out a sample that ends in registers: two of them stand for its addresses.

    `mask` has a bit for each register that is sampled (PERF_SAMPLE_REGS_INTR); `addr` and
    `phys` are numbers of two.  The registers follow a word that says which ABI they are of,
    in ascending order; nothing that `sample_type` names may come after them.
    """
    plain = sample_layout(sample_type & ~Sample.REGS_INTR)

    def place(register: int) -> int:
        return plain.words + 1 + (mask & (1 << register) - 1).bit_count()

    words = plain.words + 1 + mask.bit_count()
    return plain._replace(words=words, addr=place(addr), phys=place(phys))


def sample_layout(sample_type: Sample) -> SampleLayout:
    """Lay out a sample; ValueError where one of its fields has no fixed length."""
    known = Sample(0)
    for field in _ORDER:
        known |= field
    if sample_type & ~known:
        raise ValueError(f"{sample_type & ~known!r}: no fields of fixed length")
    present = [field for field in _ORDER if field & sample_type]
    closing = [field for field in _TRAILER if field & sample_type]

    def place(field: Sample) -> int:
        return present.index(field) + 1 if field in present else 0

    return SampleLayout(
        words=1 + len(present),
        tid=place(Sample.TID),
        time=place(Sample.TIME),
        addr=place(Sample.ADDR),
        cpu=place(Sample.CPU),
        data_src=place(Sample.DATA_SRC),
        phys=place(Sample.PHYS_ADDR),
        trailer=len(closing),
        trailer_time=len(closing) - closing.index(Sample.TIME) if Sample.TIME in closing else 0,
    )
