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

    Gives the byte after the last record taken, and why it ended there.  Columns are filled
    from where `tally` says; it gets what else there was.
    """
    room = len(ring.words)
    mask = room - 1
    at = begin >> 3
    stop = end >> 3
    if (begin | end) & 7 or not 0 <= stop - at <= room:
        tally[_N_CORRUPT] += 1
        return end, CORRUPT
    while at < stop:
        place = at & mask
        kind = ring.halves[2 * place]
        size = np.int64(ring.quarters[4 * place + 3])
        words: Any = size >> 3
        if size & 7 or words == 0 or words > stop - at:
            tally[_N_CORRUPT] += 1
            return end, CORRUPT
        if kind == _SAMPLE:
            if words < layout.words:
                tally[_N_MALFORMED] += 1
            elif tally[_N_SAMPLES] == len(samples.addr):
                return at << 3, SAMPLES_FULL
            else:
                _sample(ring, at, mask, layout, samples, tally[_N_SAMPLES])
                tally[_N_SAMPLES] += 1
        elif kind in (_FORK, _EXIT, _COMM):
            if tally[_N_TASKS] == len(tasks.pid):
                return at << 3, TASKS_FULL
            _task(ring, at, words, kind, layout, tasks, tally)
        else:
            _other(ring, at, words, kind, tally)
        at += words
    return end, DONE


@compiled
def _sample(
    ring: RingViews, at: int, mask: int, layout: SampleLayout, samples: SampleColumns, row: int
) -> None:
    words = ring.words
    halves = ring.halves
    samples.time_ns[row] = words[(at + layout.time) & mask] if layout.time else np.uint64(0)
    samples.addr[row] = words[(at + layout.addr) & mask] if layout.addr else np.uint64(0)
    samples.phys[row] = words[(at + layout.phys) & mask] if layout.phys else np.uint64(0)
    source = words[(at + layout.data_src) & mask] if layout.data_src else np.uint64(0)
    samples.data_src[row] = source
    ids = (at + layout.tid) & mask
    samples.pid[row] = halves[2 * ids] if layout.tid else -1
    samples.tid[row] = halves[2 * ids + 1] if layout.tid else -1
    samples.cpu[row] = halves[2 * ((at + layout.cpu) & mask)] if layout.cpu else -1


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
