"""The SAMPLE records of perf.data, decoded into arrays.

A sample's fields stand in the order of PERF_RECORD_SAMPLE in linux/perf_event.h; which
there are, its event's sample_type says.  Fields of variable length are stepped over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.log.convert.samples import U64Array
from pghot.log.schema import Columns

_Bytes = npt.NDArray[np.uint8]
_I64Array = npt.NDArray[np.int64]


class Bit:
    """Bits of perf_event_attr.sample_type."""

    IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID = range(10)
    RAW, BRANCH_STACK, REGS_USER, STACK_USER, WEIGHT, DATA_SRC, IDENTIFIER = range(10, 17)
    TRANSACTION, REGS_INTR, PHYS, AUX, CGROUP, PAGE_SIZE, CODE_PAGE_SIZE = range(17, 24)
    WEIGHT_STRUCT = 24


# Compiled code takes plain globals as constants, not attributes of a class.
_IP, _TID, _TIME, _ADDR, _READ, _CALLCHAIN, _ID, _CPU, _PERIOD, _STREAM_ID = range(10)
_RAW, _BRANCH_STACK, _REGS_USER, _STACK_USER, _WEIGHT, _DATA_SRC, _IDENTIFIER = range(10, 17)
_TRANSACTION, _REGS_INTR, _PHYS, _WEIGHT_STRUCT = 17, 18, 19, 24

# PERF_FORMAT_* and PERF_SAMPLE_BRANCH_* bits that change what a field takes.
_READ_ENABLED, _READ_RUNNING, _READ_ID, _READ_GROUP, _READ_LOST = range(5)
_BRANCH_HW_INDEX, _BRANCH_COUNTERS = 17, 19

_SAMPLE = 9
_AUXTRACE = 71
"""A tool record whose payload follows it and is not in its size."""

_COMPRESSED, _COMPRESSED2 = 81, 83
CORRUPT, COMPRESSED = 1, 2

# Places in the array that a decoded sample fills.
_AT_TIME, _AT_ADDR, _AT_PHYS, _AT_PID, _AT_CPU, _AT_OP, _FIELDS = range(7)
_BAD, _FIRST_BAD, _USELESS, _UNKNOWN = range(4)


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


def empty_rows(rows: int) -> Columns:
    """Make room for samples: times in ns, addresses, and the low byte of data_src."""
    return {
        "time": np.empty(rows, dtype=np.uint64),
        "vaddr": np.empty(rows, dtype=np.uint64),
        "phys": np.empty(rows, dtype=np.uint64),
        "pid": np.empty(rows, dtype=np.int32),
        "cpu": np.empty(rows, dtype=np.int16),
        "op": np.empty(rows, dtype=np.uint8),
    }


def decode(
    data: _Bytes, begin: int, end: int, layouts: Layouts, rows: Columns, tallied: _I64Array
) -> int:
    """Fill `rows` with the usable samples and give how many there are.

    `tallied` gets: bad samples, the first one's byte, samples of events without time or
    address, samples of unknown events.
    """
    columns = (rows[name] for name in ("time", "vaddr", "phys", "pid", "cpu", "op"))
    return int(_decode(data, begin, end, layouts, tallied, *columns))


@compiled
def _u64(data: _Bytes, at: int) -> Any:
    """Read eight bytes; the compiler makes one load of them."""
    value = np.uint64(0)
    for byte in range(8):
        value |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
    return value


@compiled
def _u32(data: _Bytes, at: int) -> Any:
    value = np.uint32(0)
    for byte in range(4):
        value |= np.uint32(data[at + byte]) << np.uint32(8 * byte)
    return np.uint32(value)


@compiled
def _u16(data: _Bytes, at: int) -> int:
    return np.int64(data[at]) | (np.int64(data[at + 1]) << 8)  # type: ignore[return-value]


@compiled
def _next(data: _Bytes, at: int, end: int) -> int:
    """Give the byte after the record at `at`; -1 where it does not fit."""
    if end - at < 8:
        return -1
    size = _u16(data, at + 6)
    if size < 8 or size > end - at:
        return -1
    after = at + size
    if _u32(data, at) == _AUXTRACE:
        if size < 16:
            return -1
        payload = _u64(data, at + 8)
        if payload > np.uint64(end - after):
            return -1
        after += int(payload)
    return after


@compiled
def count(data: _Bytes, begin: int, end: int) -> tuple[int, int, int]:
    """Count the samples; give also where it stopped, and why it had to (0: at the end)."""
    samples = 0
    at = begin
    while at < end:
        after = _next(data, at, end)
        if after < 0:
            return samples, at, CORRUPT
        kind = _u32(data, at)
        if kind in (_COMPRESSED, _COMPRESSED2):
            return samples, at, COMPRESSED
        samples += kind == _SAMPLE
        at = after
    return samples, at, 0


@compiled
def _bit(word: Any, bit: int) -> bool:
    return bool((word >> np.uint64(bit)) & np.uint64(1))


@compiled
def _items(data: _Bytes, at: int, end: int, head: int, item: int) -> int:
    """Step over a u64 count, `head` bytes, and as many items; -1 where they do not fit."""
    if end - at < 8 + head:
        return -1
    number = _u64(data, at)
    if number > np.uint64((end - at - 8 - head) // item):
        return -1
    return at + 8 + head + np.int64(number) * item  # type: ignore[return-value]


@compiled
def _after_read(data: _Bytes, at: int, end: int, read_format: Any) -> int:
    times = 8 * (int(_bit(read_format, _READ_ENABLED)) + int(_bit(read_format, _READ_RUNNING)))
    value = 8 * (1 + int(_bit(read_format, _READ_ID)) + int(_bit(read_format, _READ_LOST)))
    if _bit(read_format, _READ_GROUP):
        return _items(data, at, end, times, value)
    return at + times + value if end - at >= times + value else -1


@compiled
def _after_raw(data: _Bytes, at: int, end: int) -> int:
    if end - at < 4:
        return -1
    size = np.int64(_u32(data, at))
    return at + 4 + size if size <= end - at - 4 else -1  # type: ignore[return-value]


@compiled
def _after_branches(data: _Bytes, at: int, end: int, branch_type: Any) -> int:
    head = 8 if _bit(branch_type, _BRANCH_HW_INDEX) else 0
    return _items(data, at, end, head, 32 if _bit(branch_type, _BRANCH_COUNTERS) else 24)


@compiled
def _after_regs(data: _Bytes, at: int, end: int, registers: int) -> int:
    """Step over the ABI and, unless that is none, the registers."""
    if end - at < 8:
        return -1
    size = 8 if _u64(data, at) == 0 else 8 + 8 * registers
    return at + size if size <= end - at else -1


@compiled
def _after_stack(data: _Bytes, at: int, end: int) -> int:
    """Step over the stack's bytes and the count of those that hold something."""
    after = _items(data, at, end, 0, 1)
    if after <= at + 8:
        return after
    return after + 8 if end - after >= 8 else -1


@compiled
def _after_variable(
    data: _Bytes, at: int, end: int, layouts: Any, event: int, sample_type: Any
) -> int:
    """Step over READ up to STACK_USER; -1 where one does not fit."""
    if _bit(sample_type, _READ):
        at = _after_read(data, at, end, layouts.read_format[event])
    if at >= 0 and _bit(sample_type, _CALLCHAIN):
        at = _items(data, at, end, 0, 8)
    if at >= 0 and _bit(sample_type, _RAW):
        at = _after_raw(data, at, end)
    if at >= 0 and _bit(sample_type, _BRANCH_STACK):
        at = _after_branches(data, at, end, layouts.branch_type[event])
    if at >= 0 and _bit(sample_type, _REGS_USER):
        at = _after_regs(data, at, end, layouts.regs_user[event])
    if at >= 0 and _bit(sample_type, _STACK_USER):
        at = _after_stack(data, at, end)
    return at


@compiled
def _head(data: _Bytes, at: int, end: int, sample_type: Any, fields: U64Array) -> int:
    """Read the fixed fields before READ; give where they end, -1 where they do not fit."""
    for bit in (
        _IDENTIFIER,
        _IP,
        _TID,
        _TIME,
        _ADDR,
        _ID,
        _STREAM_ID,
        _CPU,
        _PERIOD,
    ):
        if not _bit(sample_type, bit):
            continue
        if end - at < 8:
            return -1
        if bit == _TID:
            fields[_AT_PID] = _u32(data, at)
        elif bit == _TIME:
            fields[_AT_TIME] = _u64(data, at)
        elif bit == _ADDR:
            fields[_AT_ADDR] = _u64(data, at)
        elif bit == _CPU:
            fields[_AT_CPU] = _u32(data, at)
        at += 8
    return at


@compiled
def _tail(
    data: _Bytes, at: int, end: int, layouts: Any, event: int, sample_type: Any, fields: U64Array
) -> bool:
    """Read what stands after STACK_USER, up to the physical address."""
    if _bit(sample_type, _WEIGHT) or _bit(sample_type, _WEIGHT_STRUCT):
        at += 8
    if _bit(sample_type, _DATA_SRC):
        if end - at < 8:
            return False
        fields[_AT_OP] = _u64(data, at)
        at += 8
    if _bit(sample_type, _TRANSACTION):
        at += 8
    if _bit(sample_type, _REGS_INTR):
        at = _after_regs(data, at, end, layouts.regs_intr[event])
        if at < 0:
            return False
    if _bit(sample_type, _PHYS):
        if end - at < 8:
            return False
        fields[_AT_PHYS] = _u64(data, at)
        at += 8
    return at <= end


@compiled
def _event_of(data: _Bytes, at: int, end: int, layouts: Any) -> int:
    """Give the event of the sample whose fields start at `at`; -1 unknown, -2 too short."""
    if layouts.id_offset < 0:
        return 0
    at += layouts.id_offset
    if end - at < 8:
        return -2
    ident = _u64(data, at)
    if ident == 0:
        return 0  # perf takes it for the first event
    place = np.searchsorted(layouts.ids, ident)
    if place == len(layouts.ids) or layouts.ids[place] != ident:
        return -1
    return layouts.id_events[place]


@compiled
def _decode(
    data: _Bytes,
    begin: int,
    end: int,
    layouts: Any,
    tallied: _I64Array,
    times: U64Array,
    vaddrs: U64Array,
    physical: U64Array,
    pids: npt.NDArray[np.int32],
    cpus: npt.NDArray[np.int16],
    operations: npt.NDArray[np.uint8],
) -> int:
    rows = 0
    at = begin
    fields = np.zeros(_FIELDS, dtype=np.uint64)
    while at < end:
        start, at = at, _next(data, at, end)
        if _u32(data, start) != _SAMPLE:
            continue
        after = start + _u16(data, start + 6)
        event = _event_of(data, start + 8, after, layouts)
        if event == -1 or (event >= 0 and not layouts.usable[event]):
            tallied[_UNKNOWN if event == -1 else _USELESS] += 1
            continue
        fields[:] = 0
        fields[_AT_PID] = fields[_AT_CPU] = 0xFFFFFFFF
        good = event >= 0
        if good:
            sample_type = layouts.sample_type[event]
            place = _head(data, start + 8, after, sample_type, fields)
            if place >= 0:
                place = _after_variable(data, place, after, layouts, event, sample_type)
            good = place >= 0 and _tail(data, place, after, layouts, event, sample_type, fields)
        if not good:
            if tallied[_BAD] == 0:
                tallied[_FIRST_BAD] = start
            tallied[_BAD] += 1
            continue
        times[rows] = fields[_AT_TIME]
        vaddrs[rows] = fields[_AT_ADDR]
        physical[rows] = fields[_AT_PHYS]
        pids[rows] = np.int32(np.uint32(fields[_AT_PID]))
        cpus[rows] = np.int16(np.uint16(fields[_AT_CPU]))
        operations[rows] = np.uint8(fields[_AT_OP] & np.uint64(0x1F))
        rows += 1
    return rows
