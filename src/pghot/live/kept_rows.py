"""Rows of an access log made of samples: those of targets, on memory that may be promoted."""

from __future__ import annotations

from typing import Any, NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.memory import BoolArray
from pghot.sources.live_source import Samples

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u64
    from cython.cimports.pghot.engine.units import PAGE_SHIFT, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u64
    from pghot.engine.units import PAGE_SHIFT, PFN_SECTION_SHIFT

_NS_PER_US = cython.declare(cython.long, 1000)


class NodeLookup(NamedTuple):
    """Which node a page is on: `MemMap`'s arrays, and of each node whether it is top tier.

    `page_shift` is how many bits a host's PFN is short of one of 4 KiB pages.
    """

    slot_of: npt.NDArray[np.int32]
    nid: npt.NDArray[np.int16]
    toptier: BoolArray
    page_shift: int


class KeptRows(NamedTuple):
    """Columns of a log that go by the sample; `sample` is its row, `home` its page's node."""

    sample: npt.NDArray[np.int64]
    home: npt.NDArray[np.int16]
    time_us: npt.NDArray[np.uint64]
    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]
    cpu: npt.NDArray[np.int16]
    write: BoolArray


class RowCounts(NamedTuple):
    """Samples that became rows, and those that did not, by why."""

    kept: int
    of_others: int
    nowhere: int
    on_top: int


def keep_rows(
    samples: Samples, ours: BoolArray, nodes: NodeLookup, start_ns: int, *, only_slow: bool
) -> tuple[KeptRows, RowCounts]:
    """Make rows of samples that are `ours` and on a node's memory, in their order.

    Of the lower tiers alone with `only_slow`.  Their time 0 is `start_ns`; what came before
    counts as of then.
    """
    most = len(ours)
    room = KeptRows(
        sample=np.empty(most, np.int64),
        home=np.empty(most, np.int16),
        time_us=np.empty(most, np.uint64),
        pfn=np.empty(most, np.uint64),
        nid=np.empty(most, np.int16),
        pid=np.empty(most, np.int32),
        vaddr=np.empty(most, np.uint64),
        cpu=np.empty(most, np.int16),
        write=np.empty(most, np.bool_),
    )
    counts = RowCounts(*fill(samples, ours, nodes, start_ns, only_slow, room))
    if counts.kept < most:
        columns: Any = (column[: counts.kept] for column in room)
        room = KeptRows(*columns)
    return room, counts


@cython.final
@cython.cclass
class _Samples:
    """The columns of samples that rows are made of."""

    time_ns: cython.p_ulong
    pid: cython.p_int
    vaddr: cython.p_ulong
    pfn: cython.p_ulong
    nid: cython.p_short
    cpu: cython.p_int
    write: cython.p_uchar

    def __init__(self, samples: Samples) -> None:
        self.time_ns, self.pid = u64(samples.time_ns), i32(samples.pid)
        self.vaddr, self.pfn = u64(samples.vaddr), u64(samples.pfn)
        self.nid, self.cpu = i16(samples.nid), i32(samples.cpu)
        self.write = u8(samples.write)


@cython.final
@cython.cclass
class _Rows:
    """The columns of rows, filled from the front."""

    sample: cython.p_long
    home: cython.p_short
    time_us: cython.p_ulong
    pfn: cython.p_ulong
    nid: cython.p_short
    pid: cython.p_int
    vaddr: cython.p_ulong
    cpu: cython.p_short
    write: cython.p_uchar
    start_ns: cython.long

    def __init__(self, rows: KeptRows, start_ns: cython.long) -> None:
        self.sample, self.home = i64(rows.sample), i16(rows.home)
        self.time_us, self.pfn = u64(rows.time_us), u64(rows.pfn)
        self.nid, self.pid, self.vaddr = i16(rows.nid), i32(rows.pid), u64(rows.vaddr)
        self.cpu, self.write = i16(rows.cpu), u8(rows.write)
        self.start_ns = start_ns

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def put(self, row: cython.long, of: _Samples, at: cython.long) -> cython.void:
        """Fill what is as in the sample `at`."""
        since: cython.long = cython.cast(cython.long, of.time_ns[at]) - self.start_ns
        self.sample[row] = at
        self.time_us[row] = since // _NS_PER_US if since > 0 else 0
        self.nid[row] = of.nid[at]
        self.pid[row] = of.pid[at]
        self.vaddr[row] = of.vaddr[at]
        self.cpu[row] = of.cpu[at]
        self.write[row] = of.write[at]


def fill(
    samples: Samples,
    ours: BoolArray,
    nodes: NodeLookup,
    start_ns: int,
    only_slow: cython.bint,
    into: KeptRows,
) -> tuple[int, int, int, int]:
    """Fill rows from the front; the counts of `RowCounts`."""
    of = _Samples(samples)
    row = _Rows(into, start_ns)
    is_ours: cython.p_uchar = u8(ours)
    slot_of: cython.p_int = i32(nodes.slot_of)
    node_of_slot: cython.p_short = i16(nodes.nid)
    toptier: cython.p_uchar = u8(nodes.toptier)
    rows: cython.long = len(ours)
    sections: cython.ulong = len(nodes.slot_of)
    shift: cython.int = nodes.page_shift
    within: cython.ulong = (1 << shift) - 1
    kept: cython.long = 0
    of_others: cython.long = 0
    nowhere: cython.long = 0
    on_top: cython.long = 0
    at: cython.long
    slot: cython.int
    frame: cython.ulong
    with cython.nogil:
        for at in range(rows):
            if not is_ours[at]:
                of_others += 1
                continue
            frame = (of.pfn[at] << shift) | ((of.vaddr[at] >> PAGE_SHIFT) & within)
            slot = (
                slot_of[frame >> PFN_SECTION_SHIFT] if frame >> PFN_SECTION_SHIFT < sections else 0
            )
            if slot == 0:
                nowhere += 1
            elif only_slow and toptier[node_of_slot[slot - 1]]:
                on_top += 1
            else:
                row.pfn[kept] = frame
                row.home[kept] = node_of_slot[slot - 1]
                row.put(kept, of, at)
                kept += 1
    return kept, of_others, nowhere, on_top
