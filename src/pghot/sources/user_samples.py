"""Of the samples in perf's rings, those that are accesses of a process to a known page."""

from __future__ import annotations

from typing import Any, NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.linux.nodes.cpus import NO_NODE
from pghot.linux.perf.arrays import SampleColumns
from pghot.sources.live_source import Samples

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u64
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u64

_KERNEL_HALF = cython.declare(cython.ulong, 1 << 63)
"""Set in the kernel's virtual addresses (x86-64, arm64, riscv64)."""

_NO_NODE = cython.declare(cython.short, NO_NODE)


class SampleMarks(NamedTuple):
    """What is known of samples beside their columns, an item for each.

    `order` is their rows in time order.  `access` tells loads and stores that memory served
    from others, `write` stores from loads; 0 items: all are accesses, none is known to write.
    """

    order: npt.NDArray[np.int64]
    access: npt.NDArray[np.bool_]
    write: npt.NDArray[np.bool_]


class UserSamples(NamedTuple):
    """The samples taken, and how many were not, by why: as `SourceCounts` has them."""

    samples: Samples
    kernel: int
    not_memory: int
    unresolved: int


def take_samples(
    raw: SampleColumns, marks: SampleMarks, node_of_cpu: npt.NDArray[np.int16], page_shift: int
) -> UserSamples:
    """Take what is wanted, in arrays of their own; pages are of `page_shift` bits."""
    count = len(marks.order)
    room = Samples(
        time_ns=np.empty(count, np.uint64),
        pid=np.empty(count, np.int32),
        vaddr=np.empty(count, np.uint64),
        pfn=np.empty(count, np.uint64),
        nid=np.empty(count, np.int16),
        cpu=np.empty(count, np.int32),
        write=np.zeros(count, np.bool_),
    )
    taken, kernel, not_memory, unresolved = copy(raw, marks, node_of_cpu, page_shift, room)
    if taken < count:
        columns: Any = (column[:taken] for column in room if column is not None)
        room = Samples(*columns)
    return UserSamples(room, kernel, not_memory, unresolved)


def copy(
    raw: SampleColumns,
    marks: SampleMarks,
    node_of_cpu: npt.NDArray[np.int16],
    page_shift: cython.int,
    into: Samples,
) -> tuple[int, int, int, int]:
    """Copy them to the front of `into`: how many were, and how many were not, by why."""
    raw_time: cython.p_ulong = u64(raw.time_ns)
    raw_pid: cython.p_int = i32(raw.pid)
    raw_addr: cython.p_ulong = u64(raw.addr)
    raw_phys: cython.p_ulong = u64(raw.phys)
    raw_cpu: cython.p_int = i32(raw.cpu)
    order: cython.p_long = i64(marks.order)
    access: cython.p_uchar = u8(marks.access)
    is_write: cython.p_uchar = u8(marks.write)
    nodes: cython.p_short = i16(node_of_cpu)
    time_ns: cython.p_ulong = u64(into.time_ns)
    pid: cython.p_int = i32(into.pid)
    vaddr: cython.p_ulong = u64(into.vaddr)
    pfn: cython.p_ulong = u64(into.pfn)
    nid: cython.p_short = i16(into.nid)
    cpu: cython.p_int = i32(into.cpu)
    write: cython.p_uchar = u8(into.write)
    rows: cython.long = len(marks.order)
    all_access: cython.bint = not len(marks.access)
    no_writes: cython.bint = not len(marks.write)
    cpus: cython.int = len(node_of_cpu)
    taken: cython.long = 0
    kernel: cython.long = 0
    not_memory: cython.long = 0
    unresolved: cython.long = 0
    at: cython.long
    row: cython.long
    frame: cython.ulong
    on: cython.int
    with cython.nogil:
        for at in range(rows):
            row = order[at]
            frame = raw_phys[row] >> page_shift
            if raw_addr[row] & _KERNEL_HALF or raw_pid[row] <= 0:
                kernel += 1
            elif not (all_access or access[row]):
                not_memory += 1
            elif not frame:  # perf gives address 0 where it does not know
                unresolved += 1
            else:
                on = raw_cpu[row]
                time_ns[taken] = raw_time[row]
                pid[taken] = raw_pid[row]
                vaddr[taken] = raw_addr[row]
                pfn[taken] = frame
                nid[taken] = nodes[on] if 0 <= on < cpus else _NO_NODE
                cpu[taken] = on
                if not no_writes:
                    write[taken] = is_write[row]
                taken += 1
    return taken, kernel, not_memory, unresolved
