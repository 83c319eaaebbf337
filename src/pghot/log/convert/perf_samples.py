"""The SAMPLE records of perf.data, decoded into arrays.

A sample's fields stand in the order of PERF_RECORD_SAMPLE in linux/perf_event.h; which
there are, its event's sample_type says.  Fields of variable length are stepped over.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.log.convert.samples import U64Array
from pghot.log.schema import Columns

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u64
    from cython.cimports.pghot.log.convert import perf_layout as layout
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u64
    from pghot.log.convert import perf_layout as layout

_Bytes = npt.NDArray[np.uint8]
_I64Array = npt.NDArray[np.int64]

_ALL = cython.declare(cython.ulong, 0xFFFF_FFFF)

_BEFORE_READ = (
    layout.IDENTIFIER,
    layout.IP,
    layout.TID,
    layout.TIME,
    layout.ADDR,
    layout.ID,
    layout.STREAM_ID,
    layout.CPU,
    layout.PERIOD,
)
"""Fields of eight bytes each, in their order."""


class Layouts(NamedTuple):
    """How the samples of every event are laid out; one item an event but for the ids.

    `ids` is sorted and `id_events` says whose each is; `id_offset` is the byte of a sample
    at which its id stands, -1 where there is no need to look.
    """

    sample_type: U64Array
    read_format: U64Array
    branch_type: U64Array
    regs_user: _I64Array
    regs_intr: _I64Array
    usable: npt.NDArray[np.bool_]
    ids: U64Array
    id_events: _I64Array
    id_offset: int

    def words(self) -> _I64Array:
        """All events as `decode` takes them, EVENT_WORDS items each."""
        words = np.empty((len(self.sample_type), layout.EVENT_WORDS), np.int64)
        words[:, layout.EVENT_TYPE] = self.sample_type.view(np.int64)
        words[:, layout.EVENT_READ] = self.read_format.view(np.int64)
        words[:, layout.EVENT_BRANCH] = self.branch_type.view(np.int64)
        words[:, layout.EVENT_REGS_USER] = self.regs_user
        words[:, layout.EVENT_REGS_INTR] = self.regs_intr
        words[:, layout.EVENT_USABLE] = self.usable
        for row, sample_type in zip(words, self.sample_type.tolist(), strict=True):
            has = [bit for bit in _BEFORE_READ if sample_type >> bit & 1]
            row[layout.EVENT_HEAD] = 8 * len(has)
            for word, bit in (
                (layout.EVENT_TID, layout.TID),
                (layout.EVENT_TIME, layout.TIME),
                (layout.EVENT_ADDR, layout.ADDR),
                (layout.EVENT_CPU, layout.CPU),
            ):
                row[word] = 8 * has.index(bit) if bit in has else -1
        return words.reshape(-1)


def empty_rows(rows: int) -> Columns:
    """Room for samples: times in ns, addresses, and the low byte of data_src."""
    return {
        "time": np.empty(rows, dtype=np.uint64),
        "vaddr": np.empty(rows, dtype=np.uint64),
        "phys": np.empty(rows, dtype=np.uint64),
        "pid": np.empty(rows, dtype=np.int32),
        "cpu": np.empty(rows, dtype=np.int16),
        "op": np.empty(rows, dtype=np.uint8),
    }


def count(records: _Bytes, begin: cython.long, end: cython.long) -> tuple[int, int, int]:
    """Count the samples; also where it stopped, and why it had to (0: at the end)."""
    data: cython.p_uchar = u8(records)
    samples: cython.long = 0
    why: cython.long = 0
    at: cython.long = begin
    after: cython.long
    kind: cython.ulong
    with cython.nogil:
        while at < end:
            after = _next(data, at, end)
            if after < 0:
                why = layout.CORRUPT
                break
            kind = _u32(data, at)
            if kind in (layout.RECORD_COMPRESSED, layout.RECORD_COMPRESSED2):
                why = layout.COMPRESSED
                break
            if kind == layout.RECORD_SAMPLE:
                samples += 1
            at = after
    return samples, at, why


def decode(
    records: _Bytes,
    begin: cython.long,
    end: cython.long,
    layouts: Layouts,
    rows: Columns,
    tallied: _I64Array,
) -> int:
    """Fill `rows` with the usable samples of records that `count` went through; how many.

    `tallied` gets: bad samples, the first one's byte, samples of events without time or
    address, samples of unknown events.
    """
    data: cython.p_uchar = u8(records)
    words = layouts.words()
    events: cython.p_long = i64(words)
    ids: cython.p_ulong = u64(layouts.ids)
    id_events: cython.p_long = i64(layouts.id_events)
    id_count: cython.long = len(layouts.ids)
    id_offset: cython.long = layouts.id_offset
    tally: cython.p_long = i64(tallied)
    times: cython.p_ulong = u64(rows["time"])
    vaddrs: cython.p_ulong = u64(rows["vaddr"])
    physical: cython.p_ulong = u64(rows["phys"])
    pids: cython.p_int = i32(rows["pid"])
    cpus: cython.p_short = i16(rows["cpu"])
    operations: cython.p_uchar = u8(rows["op"])
    after_head = np.zeros(2, np.uint64)
    source_and_phys: cython.p_ulong = u64(after_head)
    row: cython.long = 0
    at: cython.long = begin
    start: cython.long
    after: cython.long
    event: cython.long
    with cython.nogil:
        while at < end:
            start = at + 8
            at = _next(data, at, end)
            if _u32(data, start - 8) != layout.RECORD_SAMPLE:
                continue
            after = start - 8 + _u16(data, start - 2)
            event = _event_of(data, start, after, id_offset, ids, id_events, id_count)
            if event == -1:
                tally[layout.UNKNOWN] += 1
                continue
            event *= layout.EVENT_WORDS
            if event >= 0 and not events[event + layout.EVENT_USABLE]:
                tally[layout.USELESS] += 1
                continue
            if event < 0 or not _fits(data, start, after, events, event, source_and_phys):
                if tally[layout.BAD] == 0:
                    tally[layout.FIRST_BAD] = start - 8
                tally[layout.BAD] += 1
                continue
            times[row] = _field(data, start, events[event + layout.EVENT_TIME], 0)
            vaddrs[row] = _field(data, start, events[event + layout.EVENT_ADDR], 0)
            pids[row] = _signed(_field(data, start, events[event + layout.EVENT_TID], _ALL), 32)
            cpus[row] = _signed(_field(data, start, events[event + layout.EVENT_CPU], _ALL), 16)
            operations[row] = source_and_phys[0] & 0x1F
            physical[row] = source_and_phys[1]
            row += 1
    return row


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _u64(data: cython.p_uchar, at: cython.long) -> cython.ulong:
    """Eight bytes; the C compiler makes one load of them."""
    word: cython.ulong = _u32(data, at + 4)
    return (word << 32) | _u32(data, at)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _u32(data: cython.p_uchar, at: cython.long) -> cython.ulong:
    word: cython.ulong = data[at + 3]
    word = (word << 8) | data[at + 2]
    word = (word << 8) | data[at + 1]
    return (word << 8) | data[at]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _u16(data: cython.p_uchar, at: cython.long) -> cython.long:
    word: cython.long = data[at + 1]
    return (word << 8) | data[at]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _field(
    data: cython.p_uchar, start: cython.long, offset: cython.long, otherwise: cython.ulong
) -> cython.ulong:
    """A field of a sample that may not have it."""
    return _u64(data, start + offset) if offset >= 0 else otherwise


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _signed(word: cython.ulong, bits: cython.int) -> cython.long:
    """The lowest bits of a word as a signed number."""
    one: cython.long = 1
    value: cython.long = word & ((one << bits) - 1)
    return value - (one << bits) if value >> (bits - 1) else value


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _bit(word: cython.long, bit: cython.int) -> cython.long:
    return (word >> bit) & 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _next(data: cython.p_uchar, at: cython.long, end: cython.long) -> cython.long:
    """The byte after the record at `at`; -1 where it does not fit."""
    size: cython.long
    payload: cython.ulong
    room: cython.ulong
    if end - at < 8:
        return -1
    size = _u16(data, at + 6)
    if size < 8 or size > end - at:
        return -1
    if _u32(data, at) != layout.RECORD_AUXTRACE:
        return at + size
    if size < 16:
        return -1
    payload = _u64(data, at + 8)
    room = end - at - size
    return -1 if payload > room else at + size + payload


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _event_of(
    data: cython.p_uchar,
    start: cython.long,
    end: cython.long,
    id_offset: cython.long,
    ids: cython.p_ulong,
    id_events: cython.p_long,
    id_count: cython.long,
) -> cython.long:
    """The event that a sample is of; -1 unknown, -2 where it is too short to tell."""
    ident: cython.ulong
    low: cython.long = 0
    high: cython.long = id_count
    middle: cython.long
    if id_offset < 0:
        return 0
    if end - start - id_offset < 8:
        return -2
    ident = _u64(data, start + id_offset)
    if ident == 0:
        return 0  # perf takes it for the first event
    while low < high:
        middle = (low + high) >> 1
        if ids[middle] < ident:
            low = middle + 1
        else:
            high = middle
    return id_events[low] if low < id_count and ids[low] == ident else -1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _fits(
    data: cython.p_uchar,
    start: cython.long,
    end: cython.long,
    events: cython.p_long,
    event: cython.long,
    source_and_phys: cython.p_ulong,
) -> cython.bint:
    """Whether a sample is as long as its event says; its data_src and physical address."""
    sample_type: cython.long = events[event + layout.EVENT_TYPE]
    at: cython.long = _after_variable(data, start, end, events, event)
    source_and_phys[0] = source_and_phys[1] = 0
    if at < 0:
        return False
    if _bit(sample_type, layout.WEIGHT) or _bit(sample_type, layout.WEIGHT_STRUCT):
        at += 8
    if _bit(sample_type, layout.DATA_SRC):
        if end - at < 8:
            return False
        source_and_phys[0] = _u64(data, at)
        at += 8
    if _bit(sample_type, layout.TRANSACTION):
        at += 8
    if _bit(sample_type, layout.REGS_INTR):
        at = _after_regs(data, at, end, events[event + layout.EVENT_REGS_INTR])
    if at < 0:
        return False
    if _bit(sample_type, layout.PHYS_ADDR):
        if end - at < 8:
            return False
        source_and_phys[1] = _u64(data, at)
        at += 8
    return at <= end


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_variable(
    data: cython.p_uchar,
    start: cython.long,
    end: cython.long,
    events: cython.p_long,
    event: cython.long,
) -> cython.long:
    """Step over all fields up to STACK_USER; -1 where one does not fit."""
    sample_type: cython.long = events[event + layout.EVENT_TYPE]
    at: cython.long = start + events[event + layout.EVENT_HEAD]
    if at > end:
        return -1
    if _bit(sample_type, layout.READ):
        at = _after_read(data, at, end, events[event + layout.EVENT_READ])
    if at >= 0 and _bit(sample_type, layout.CALLCHAIN):
        at = _after_items(data, at, end, 0, 8)
    if at >= 0 and _bit(sample_type, layout.RAW):
        at = _after_raw(data, at, end)
    if at >= 0 and _bit(sample_type, layout.BRANCH_STACK):
        at = _after_branches(data, at, end, events[event + layout.EVENT_BRANCH])
    if at >= 0 and _bit(sample_type, layout.REGS_USER):
        at = _after_regs(data, at, end, events[event + layout.EVENT_REGS_USER])
    if at >= 0 and _bit(sample_type, layout.STACK_USER):
        at = _after_stack(data, at, end)
    return at


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_items(
    data: cython.p_uchar, at: cython.long, end: cython.long, head: cython.long, item: cython.long
) -> cython.long:
    """Step over a u64 count, `head` bytes, and as many items; -1 where they do not fit."""
    number: cython.ulong
    most: cython.ulong
    if end - at < 8 + head:
        return -1
    number = _u64(data, at)
    most = (end - at - 8 - head) // item
    return -1 if number > most else at + 8 + head + number * item


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_read(
    data: cython.p_uchar, at: cython.long, end: cython.long, read_format: cython.long
) -> cython.long:
    times: cython.long = 8 * (
        _bit(read_format, layout.READ_ENABLED) + _bit(read_format, layout.READ_RUNNING)
    )
    value: cython.long = 8 * (
        1 + _bit(read_format, layout.READ_ID) + _bit(read_format, layout.READ_LOST)
    )
    if _bit(read_format, layout.READ_GROUP):
        return _after_items(data, at, end, times, value)
    return at + times + value if end - at >= times + value else -1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_raw(data: cython.p_uchar, at: cython.long, end: cython.long) -> cython.long:
    size: cython.long
    if end - at < 4:
        return -1
    size = _u32(data, at)
    return at + 4 + size if size <= end - at - 4 else -1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_branches(
    data: cython.p_uchar, at: cython.long, end: cython.long, branch_type: cython.long
) -> cython.long:
    head: cython.long = 8 * _bit(branch_type, layout.BRANCH_HW_INDEX)
    return _after_items(data, at, end, head, 24 + 8 * _bit(branch_type, layout.BRANCH_COUNTERS))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_regs(
    data: cython.p_uchar, at: cython.long, end: cython.long, registers: cython.long
) -> cython.long:
    """Step over the ABI and, unless that is none, the registers."""
    size: cython.long
    if end - at < 8:
        return -1
    size = 8 if _u64(data, at) == 0 else 8 + 8 * registers
    return at + size if size <= end - at else -1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after_stack(data: cython.p_uchar, at: cython.long, end: cython.long) -> cython.long:
    """Step over the stack's bytes and the count of those that hold something."""
    after: cython.long = _after_items(data, at, end, 0, 1)
    if after <= at + 8:
        return after
    return after + 8 if end - after >= 8 else -1
