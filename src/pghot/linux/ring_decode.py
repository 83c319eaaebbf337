"""The records of a perf ring, decoded where they lie.

Layouts: include/uapi/linux/perf_event.h, enum perf_event_type.  Records are whole words of
eight bytes and the ring is a power of two of them, so a header never wraps; what follows it
may, at any word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.linux.perf_arrays import EXEC, EXIT, FORK, SampleColumns, TaskColumns
from pghot.linux.sample_layout import SampleLayout

DONE, SAMPLES_FULL, TASKS_FULL, CORRUPT = range(4)
"""Why a decode ended."""

_LOST, _COMM, _EXIT, _THROTTLE, _UNTHROTTLE, _FORK, _SAMPLE = 2, 3, 4, 5, 6, 7, 9
_LOST_SAMPLES = 13
_MISC_COMM_EXEC = 1 << 13

(
    _N_SAMPLES,
    _N_TASKS,
    _N_LOST,
    _N_LOST_SAMPLES,
    _N_THROTTLED,
    _N_UNTHROTTLED,
    _N_MALFORMED,
    _N_CORRUPT,
) = range(8)


class RingViews(NamedTuple):
    """One ring's data as u64, u32 and u16, so that fields need no byte order."""

    words: npt.NDArray[np.uint64]
    halves: npt.NDArray[np.int32]
    quarters: npt.NDArray[np.uint16]


@compiled
def decode(
    ring: RingViews,
    begin: int,
    end: int,
    layout: SampleLayout,
    samples: SampleColumns,
    tasks: TaskColumns,
    tally: npt.NDArray[np.int64],
) -> Any:
    """Decode the records of bytes `begin` up to `end`, both counted from the ring's start.

    `end` may lie up to a ring's length past `begin`, wherever the ring itself ends.  Gives
    the byte after the last record taken, and why it ended there.  Columns are filled
    from where `tally` says; it gets what else there was.
    """
    words, halves, quarters = ring
    time_ns, pid, tid, addr, phys, cpu, source = samples
    at, stop = begin >> 3, end >> 3
    if (begin | end) & 7 or not 0 <= stop - at <= len(words):
        tally[_N_CORRUPT] += 1
        return end, CORRUPT
    # Unsigned: Numba takes a signed index for one that may count from the end.
    zero, one, two, three, four = (
        np.uint64(0),
        np.uint64(1),
        np.uint64(2),
        np.uint64(3),
        np.uint64(4),
    )
    mask = np.uint64(len(words) - 1)
    at_time, at_addr = np.uint64(layout.time), np.uint64(layout.addr)
    at_phys, at_source = np.uint64(layout.phys), np.uint64(layout.data_src)
    at_ids, at_cpu = np.uint64(layout.tid), np.uint64(layout.cpu)
    row: Any = np.uint64(tally[_N_SAMPLES])
    rows = np.uint64(len(addr))
    why = DONE
    while at < stop:
        here = np.uint64(at)
        place = here & mask
        kind = halves[two * place]
        size = np.int64(quarters[four * place + three])
        length: Any = size >> 3
        if size & 7 or length == 0 or length > stop - at:
            why = CORRUPT
            break
        if kind == _SAMPLE:
            if length < layout.words:
                tally[_N_MALFORMED] += 1
            elif row == rows:
                why = SAMPLES_FULL
                break
            else:
                time_ns[row] = words[(here + at_time) & mask] if layout.time else zero
                addr[row] = words[(here + at_addr) & mask] if layout.addr else zero
                phys[row] = words[(here + at_phys) & mask] if layout.phys else zero
                source[row] = words[(here + at_source) & mask] if layout.data_src else zero
                ids = two * ((here + at_ids) & mask)
                pid[row] = halves[ids] if layout.tid else -1
                tid[row] = halves[ids + one] if layout.tid else -1
                cpu[row] = halves[two * ((here + at_cpu) & mask)] if layout.cpu else -1
                row += one
        elif kind in (_FORK, _EXIT, _COMM):
            if tally[_N_TASKS] == len(tasks.pid):
                why = TASKS_FULL
                break
            _task(ring, at, length, kind, layout, tasks, tally)
        else:
            _other(ring, at, length, kind, tally)
        at += length
    tally[_N_SAMPLES] = np.int64(row)
    tally[_N_CORRUPT] += why == CORRUPT
    return at << 3, why


@compiled
def _task(
    ring: RingViews,
    at: int,
    words: int,
    kind: int,
    layout: SampleLayout,
    tasks: TaskColumns,
    tally: npt.NDArray[np.int64],
) -> None:
    """Take a FORK, an EXIT, or the COMM of an exec; another COMM is a mere change of name."""
    mask = len(ring.words) - 1
    exec_ = kind == _COMM
    if exec_ and not ring.quarters[4 * (at & mask) + 2] & _MISC_COMM_EXEC:
        return
    # A COMM has a name of at least a word between its ids and its trailer.
    if words < (3 + layout.trailer if exec_ else 4):
        tally[_N_MALFORMED] += 1
        return
    row = tally[_N_TASKS]
    first, second = (at + 1) & mask, (at + 2) & mask
    pid = ring.halves[2 * first]
    tasks.pid[row] = pid
    if exec_:
        tasks.kind[row] = EXEC
        tasks.ppid[row] = pid
        tasks.tid[row] = ring.halves[2 * first + 1]
        when = (at + words - layout.trailer_time) & mask
        tasks.time_ns[row] = ring.words[when] if layout.trailer_time else np.uint64(0)
    else:
        tasks.kind[row] = FORK if kind == _FORK else EXIT
        tasks.ppid[row] = ring.halves[2 * first + 1]
        tasks.tid[row] = ring.halves[2 * second]
        tasks.time_ns[row] = ring.words[(at + 3) & mask]
    tally[_N_TASKS] += 1


@compiled
def _other(ring: RingViews, at: int, words: int, kind: int, tally: npt.NDArray[np.int64]) -> None:
    mask = len(ring.words) - 1
    if kind == _THROTTLE:
        tally[_N_THROTTLED] += 1
    elif kind == _UNTHROTTLE:
        tally[_N_UNTHROTTLED] += 1
    elif kind == _LOST:
        if words < 3:
            tally[_N_MALFORMED] += 1
        else:
            tally[_N_LOST] += np.int64(ring.words[(at + 2) & mask])
    elif kind == _LOST_SAMPLES:
        if words < 2:
            tally[_N_MALFORMED] += 1
        else:
            tally[_N_LOST_SAMPLES] += np.int64(ring.words[(at + 1) & mask])
