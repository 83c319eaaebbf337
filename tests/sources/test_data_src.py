import numpy as np
import pytest

from pghot.sources.data_src import is_memory, is_write

LOAD, STORE, PREFETCH, NO_OP = 0x02, 0x04, 0x08, 0x01
NA, HIT, MISS, L1, LFB, L2, L3, RAM, REMOTE_RAM, REMOTE_CACHE, IO, UNCACHED = (
    *(0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80),
    *(0x100, 0x400, 0x1000, 0x2000),
)
ALL_UNKNOWN = 0x1E05080021
"""What the kernel gives where it knows nothing: PERF_MEM_NA."""


def word(op, level=NA, number=0xF):
    return op | level << 5 | number << 33


@pytest.mark.parametrize(
    ("what", "value", "memory"),
    [
        ("nothing known, not even the op", ALL_UNKNOWN, False),
        ("a load, its level unknown", word(LOAD), True),
        ("a load, no level given at all", word(LOAD, 0, 0), True),
        ("a prefetch from RAM", word(PREFETCH, HIT | RAM, 0xD), False),
        ("no memory op", word(NO_OP), False),
        ("IBS: a load from local DRAM", word(LOAD, HIT | RAM, 0xD), True),
        ("IBS: a load from CXL memory", word(LOAD, NA, 0x9), True),
        ("IBS: a load from PMEM", word(LOAD, NA, 0xE), True),
        ("IBS: a load from the third level", word(LOAD, HIT | L3, 0x3), False),
        ("IBS: a load from another die's cache", word(LOAD, NA, 0xB), False),
        ("IBS: a load from a device", word(LOAD, HIT | IO, 0xA), False),
        ("PEBS: a load from the first level", word(LOAD, HIT | L1, 0x1), False),
        ("PEBS: a load from the fill buffer", word(LOAD, HIT | LFB, 0xC), False),
        ("PEBS: a load from remote DRAM", word(LOAD, HIT | REMOTE_RAM, 0xD), True),
        ("PEBS: a load that missed the third level", word(LOAD, MISS | L3, 0x3), True),
        ("PEBS: a store that hit the first level", word(STORE, HIT | L1), False),
        ("PEBS: a store that missed the first level", word(STORE, MISS | L1), True),
        ("bits only: the second level", word(LOAD, HIT | L2, 0), False),
        ("bits only: remote cache", word(LOAD, HIT | REMOTE_CACHE, 0), False),
        ("bits only: uncached memory", word(LOAD, HIT | UNCACHED, 0), False),
        ("bits only: remote DRAM", word(LOAD, HIT | REMOTE_RAM, 0), True),
    ],
)
def test_a_sample_counts_where_memory_served_it_or_may_have(what, value, memory):
    assert is_memory(np.array([value], np.uint64)).tolist() == [memory], what


def test_stores_are_writes():
    values = np.array([word(LOAD), word(STORE), ALL_UNKNOWN, word(LOAD | STORE)], np.uint64)
    assert is_write(values).tolist() == [False, True, False, True]
