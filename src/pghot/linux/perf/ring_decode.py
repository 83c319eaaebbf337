"""The records of a perf ring, decoded where they lie.

Layouts: include/uapi/linux/perf_event.h, enum perf_event_type.  Records are whole words of
eight bytes and the ring is a power of two of them, so a header never wraps; what follows it
may, at any word.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.linux.perf.arrays import EXEC, EXIT, FORK, TALLIES, SampleColumns, TaskColumns
from pghot.linux.perf.sample_layout import SampleLayout

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, u8, u16, u64
else:
    from pghot.engine.arrays import i32, u8, u16, u64

DONE, SAMPLES_FULL, TASKS_FULL, CORRUPT = range(4)
"""Why a decode ended."""

_DONE = cython.declare(cython.int, DONE)
_SAMPLES_FULL = cython.declare(cython.int, SAMPLES_FULL)
_TASKS_FULL = cython.declare(cython.int, TASKS_FULL)
_CORRUPT = cython.declare(cython.int, CORRUPT)

_LOST = cython.declare(cython.int, 2)
_COMM = cython.declare(cython.int, EXEC)
_EXIT = cython.declare(cython.int, EXIT)
_THROTTLE = cython.declare(cython.int, 5)
_UNTHROTTLE = cython.declare(cython.int, 6)
_FORK = cython.declare(cython.int, FORK)
_SAMPLE = cython.declare(cython.int, 9)
_LOST_SAMPLES = cython.declare(cython.int, 13)
_MISC_COMM_EXEC = cython.declare(cython.int, 1 << 13)

_N_SAMPLES = cython.declare(cython.int, TALLIES.index("samples"))
_N_TASKS = cython.declare(cython.int, TALLIES.index("tasks"))
_N_LOST = cython.declare(cython.int, TALLIES.index("lost"))
_N_LOST_SAMPLES = cython.declare(cython.int, TALLIES.index("lost_samples"))
_N_THROTTLED = cython.declare(cython.int, TALLIES.index("throttled"))
_N_UNTHROTTLED = cython.declare(cython.int, TALLIES.index("unthrottled"))
_N_MALFORMED = cython.declare(cython.int, TALLIES.index("malformed"))
_N_CORRUPT = cython.declare(cython.int, TALLIES.index("corrupt"))

_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)


class RingViews(NamedTuple):
    """One ring's data as u64, u32 and u16, so that fields need no byte order."""

    words: npt.NDArray[np.uint64]
    halves: npt.NDArray[np.int32]
    quarters: npt.NDArray[np.uint16]


def decode(
    ring: RingViews,
    begin: cython.long,
    end: cython.long,
    layout: SampleLayout,
    samples: SampleColumns,
    tasks: TaskColumns,
    tally: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Decode the records of bytes `begin` up to `end`, both counted from the ring's start.

    `end` may lie up to a ring's length past `begin`, wherever the ring itself ends.  Gives
    the byte after the last record taken, and why it ended there.  Columns are filled
    from where `tally` says; it gets what else there was.
    """
    size: cython.long = ring.words.nbytes
    if begin & 7 or end & 7 or not begin <= end <= begin + size:
        tally[_N_CORRUPT] += 1
        return end, CORRUPT
    decoder = _Decoder(ring, begin >> 3, tally)
    sample_room, task_room = _Samples(samples, layout), _Tasks(tasks, layout)
    stop: cython.ulong = end >> 3
    why: cython.int
    with cython.nogil:
        why = decoder.decode(stop, sample_room, task_room)
    return decoder.at << 3, why


@cython.final
@cython.cclass
class _Samples:
    """Columns for samples, and the words of a sample that go there; 0 for none."""

    time_ns: cython.p_ulong
    pid: cython.p_int
    tid: cython.p_int
    addr: cython.p_ulong
    phys: cython.p_ulong
    cpu: cython.p_int
    source: cython.p_ulong
    rows: cython.ulong
    words: cython.ulong
    at_time: cython.ulong
    at_ids: cython.ulong
    at_addr: cython.ulong
    at_phys: cython.ulong
    at_cpu: cython.ulong
    at_source: cython.ulong

    def __init__(self, columns: SampleColumns, layout: SampleLayout) -> None:
        self.time_ns, self.addr = u64(columns.time_ns), u64(columns.addr)
        self.phys, self.source = u64(columns.phys), u64(columns.data_src)
        self.pid, self.tid, self.cpu = i32(columns.pid), i32(columns.tid), i32(columns.cpu)
        self.rows = len(columns.addr)
        self.words = layout.words
        self.at_time, self.at_ids, self.at_addr = layout.time, layout.tid, layout.addr
        self.at_phys, self.at_cpu, self.at_source = layout.phys, layout.cpu, layout.data_src


@cython.final
@cython.cclass
class _Tasks:
    """Columns for what became of tasks, and what stands at the end of an exec's record."""

    time_ns: cython.p_ulong
    kind: cython.p_uchar
    pid: cython.p_int
    ppid: cython.p_int
    tid: cython.p_int
    rows: cython.ulong
    trailer: cython.ulong
    trailer_time: cython.ulong

    def __init__(self, columns: TaskColumns, layout: SampleLayout) -> None:
        self.time_ns, self.kind = u64(columns.time_ns), u8(columns.kind)
        self.pid, self.ppid, self.tid = i32(columns.pid), i32(columns.ppid), i32(columns.tid)
        self.rows = len(columns.pid)
        self.trailer, self.trailer_time = layout.trailer, layout.trailer_time


@cython.final
@cython.cclass
class _Decoder:
    """A ring's records from the word `at` on; what they were is counted by TALLIES."""

    at: cython.ulong
    words: cython.p_ulong
    halves: cython.p_int
    quarters: cython.p_ushort
    mask: cython.ulong
    counted: cython.p_ulong

    def __init__(self, ring: RingViews, at: cython.ulong, tally: npt.NDArray[np.int64]) -> None:
        self.at = at
        self.words, self.halves = u64(ring.words), i32(ring.halves)
        self.quarters = u16(ring.quarters)
        self.mask = len(ring.words) - 1
        self.counted = u64(tally.view(np.uint64))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def decode(self, stop: cython.ulong, samples: _Samples, tasks: _Tasks) -> cython.int:
        """Take records up to the word `stop`; why it ended."""
        at: cython.ulong = self.at
        row: cython.ulong = self.counted[_N_SAMPLES]
        why: cython.int = _DONE
        place: cython.ulong
        length: cython.ulong
        size: cython.ulong
        kind: cython.int
        while at < stop:
            place = at & self.mask
            kind = self.halves[2 * place]
            size = self.quarters[4 * place + 3]
            length = size >> 3
            if size & 7 or length == 0 or length > stop - at:
                why = _CORRUPT
                self.counted[_N_CORRUPT] += 1
                break
            if kind == _SAMPLE:
                if length < samples.words:
                    self.counted[_N_MALFORMED] += 1
                elif row == samples.rows:
                    why = _SAMPLES_FULL
                    break
                else:
                    self.sample(at, samples, row)
                    row += 1
            elif kind in (_FORK, _EXIT, _COMM):
                if self.counted[_N_TASKS] == tasks.rows:
                    why = _TASKS_FULL
                    break
                self.task(at, length, kind, tasks)
            else:
                self.other(at, length, kind)
            at += length
        self.counted[_N_SAMPLES] = row
        self.at = at
        return why

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def sample(self, at: cython.ulong, to: _Samples, row: cython.ulong) -> cython.void:
        """Take a sample's fields."""
        words: cython.p_ulong = self.words
        halves: cython.p_int = self.halves
        mask: cython.ulong = self.mask
        ids: cython.ulong = 2 * ((at + to.at_ids) & mask)
        to.time_ns[row] = words[(at + to.at_time) & mask] if to.at_time else 0
        to.addr[row] = words[(at + to.at_addr) & mask] if to.at_addr else 0
        to.phys[row] = words[(at + to.at_phys) & mask] if to.at_phys else 0
        to.source[row] = words[(at + to.at_source) & mask] if to.at_source else 0
        to.pid[row] = halves[ids] if to.at_ids else -1
        to.tid[row] = halves[ids + 1] if to.at_ids else -1
        to.cpu[row] = halves[2 * ((at + to.at_cpu) & mask)] if to.at_cpu else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def task(
        self, at: cython.ulong, length: cython.ulong, kind: cython.int, to: _Tasks
    ) -> cython.void:
        """Take a FORK, an EXIT, or the COMM of an exec; another COMM is a mere change of name."""
        mask: cython.ulong = self.mask
        misc: cython.int = self.quarters[4 * (at & mask) + 2]
        row: cython.ulong = self.counted[_N_TASKS]
        first: cython.ulong = 2 * ((at + 1) & mask)
        second: cython.ulong = 2 * ((at + 2) & mask)
        if kind == _COMM and not misc & _MISC_COMM_EXEC:
            return
        # A COMM has a name of at least a word between its ids and its trailer.
        if length < (3 + to.trailer if kind == _COMM else 4):
            self.counted[_N_MALFORMED] += 1
            return
        to.kind[row] = kind
        to.pid[row] = self.halves[first]
        if kind == _COMM:
            to.ppid[row] = self.halves[first]
            to.tid[row] = self.halves[first + 1]
            at += length - to.trailer_time
            to.time_ns[row] = self.words[at & mask] if to.trailer_time else 0
        else:
            to.ppid[row] = self.halves[first + 1]
            to.tid[row] = self.halves[second]
            to.time_ns[row] = self.words[(at + 3) & mask]
        self.counted[_N_TASKS] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other(self, at: cython.ulong, length: cython.ulong, kind: cython.int) -> cython.void:
        """Count a record that says how sampling went; step over any other."""
        if kind == _THROTTLE:
            self.counted[_N_THROTTLED] += 1
        elif kind == _UNTHROTTLE:
            self.counted[_N_UNTHROTTLED] += 1
        elif kind == _LOST:
            self.lost(_N_LOST, at + 2, length < 3)
        elif kind == _LOST_SAMPLES:
            self.lost(_N_LOST_SAMPLES, at + 1, length < 2)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def lost(self, number: cython.int, at: cython.ulong, short: cython.bint) -> cython.void:
        """Count as many as the word `at` says, unless the record is too short to have it."""
        if short:
            self.counted[_N_MALFORMED] += 1
        else:
            self.counted[number] = (self.counted[number] + self.words[at & self.mask]) & _U64
