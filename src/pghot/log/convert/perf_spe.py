"""What Arm's Statistical Profiling Extension (SPE) sampled, in the AUXTRACE records of perf.data.

The processor writes packets: addresses, what kind of operation it was, whose, and when; one
record of them is one sampled operation, and one row (Arm ARM, "Statistical Profiling
Extension sample record specification").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.convert import perf_layout as abi
from pghot.log.convert.perf_file import Bytes, PerfFile, Stretch
from pghot.log.convert.samples import ConvertOptions, ConvertTally, U64Array
from pghot.log.convert.source import Source
from pghot.log.schema import Columns

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, u8, u64
else:
    from pghot.engine.arrays import i64, u8, u64

_ARM_SPE = 4
_INFO = struct.Struct("<I")
_TRACE = struct.Struct("<QQQIII")
_ANY = 0xFFFF_FFFF
_SMALLEST_ROW = 9
"""Bytes of an address packet, without which there is no row."""

_OP_LOAD, _OP_STORE = 2, 4

_PAD = cython.declare(cython.int, 0x00)
_END = cython.declare(cython.int, 0x01)
_TIMESTAMP = cython.declare(cython.int, 0x71)
_DATA_VIRTUAL = cython.declare(cython.int, 2)
_DATA_PHYSICAL = cython.declare(cython.int, 3)
_LOAD_STORE = cython.declare(cython.int, 1)
_ADDRESS_BITS = cython.declare(cython.ulong, 0x00FF_FFFF_FFFF_FFFF)
_HIGH_BITS = cython.declare(cython.ulong, 0xFF00_0000_0000_0000)
_NOBODY = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)

OTHER, CUT_OFF, UNKNOWN, NO_TIME, COUNTS = range(5)
"""What `scan` counts: records that are no load or store, or cut off; no packets; no time."""

_AT_OTHER = cython.declare(cython.int, OTHER)
_AT_CUT_OFF = cython.declare(cython.int, CUT_OFF)
_AT_UNKNOWN = cython.declare(cython.int, UNKNOWN)
_AT_NO_TIME = cython.declare(cython.int, NO_TIME)

# What is known of the record that is being read.
_WORDS = 8
_HAS = cython.declare(cython.int, 0)
_WHEN = cython.declare(cython.int, 1)
_VIRTUAL = cython.declare(cython.int, 2)
_PHYSICAL = cython.declare(cython.int, 3)
_OPERATION = cython.declare(cython.int, 4)
_CONTEXT = cython.declare(cython.int, 5)
_EVENTS = cython.declare(cython.int, 6)
_SOURCE = cython.declare(cython.int, 7)


class TimeConversion(NamedTuple):
    """How the processor's counter becomes perf's nanoseconds (PERF_RECORD_TIME_CONV)."""

    shift: int
    mult: int
    zero: int
    cycles: int = 0
    mask: int = (1 << 64) - 1

    def times(self, ticks: U64Array) -> U64Array:
        """Nanoseconds of counts."""
        base = np.uint64(self.cycles)
        wide = base + ((ticks - base) & np.uint64(self.mask))
        shift, mult = np.uint64(self.shift), np.uint64(self.mult)
        over = wide & ((np.uint64(1) << shift) - np.uint64(1))
        return np.uint64(self.zero) + (wide >> shift) * mult + ((over * mult) >> shift)


def samples(
    source: Source, file: PerfFile, options: ConvertOptions, tally: ConvertTally
) -> Columns | None:
    """Rows of what SPE sampled; None where the file holds nothing of it."""
    if not any(_is_spe(part) for part in file.stretches):
        return None
    clock = _clock(source, file)
    owners = _owners(file)
    parts = [
        _rows(source, packets, tid, cpu, clock, owners, tally)
        for part in file.stretches
        for packets, tid, cpu in _traces(part)
    ]
    if not parts:
        return None
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if options.addresses != "physical" and len(rows["pid"]) and (rows["pid"] < 0).any():
        tally.note(
            "some of what SPE sampled does not say whose it is: record with -p PID, or on a "
            "kernel with CONFIG_PID_IN_CONTEXTIDR; it is taken to be of one process"
        )
    return rows


def _is_spe(part: Stretch) -> bool:
    return any(
        len(body) >= _INFO.size and _INFO.unpack(body[: _INFO.size].tobytes())[0] == _ARM_SPE
        for _at, body in part.records(abi.RECORD_AUXTRACE_INFO)
    )


def _clock(source: Source, file: PerfFile) -> TimeConversion:
    for part in file.stretches:
        for _at, body in part.records(abi.RECORD_TIME_CONV):
            words = body.tobytes()
            if len(words) < 24:
                continue
            shift, mult, zero = struct.unpack_from("<QQQ", words)
            if shift < 64 and mult >> 32 == 0:
                if len(words) >= 42 and words[41]:
                    return TimeConversion(shift, mult, zero, *struct.unpack_from("<QQ", words, 24))
                return TimeConversion(shift, mult, zero)
    raise InputError(
        f"{source.name}: SPE samples, and nothing that makes perf's time of theirs; record with "
        f"arm_spe_0/ts_enable=1/ and a perf of 5.12 or later"
    )


def _owners(file: PerfFile) -> dict[int, int]:
    """Process by thread."""
    owners = {}
    for part in file.stretches:
        for _at, body in part.records(abi.RECORD_COMM):
            if len(body) >= 8:
                pid, tid = struct.unpack_from("<ii", body[:8].tobytes())
                owners[tid] = pid
        for _at, body in part.records(abi.RECORD_FORK):
            if len(body) >= 16:
                pid, _parent, tid, _thread = struct.unpack_from("<iiii", body[:16].tobytes())
                owners[tid] = pid
    return owners


def _traces(part: Stretch) -> Iterator[tuple[Bytes, int, int]]:
    """The packets of each AUXTRACE record, its thread and its CPU, -1 for any."""
    for at, body in part.records(abi.RECORD_AUXTRACE):
        if len(body) < _TRACE.size:
            continue
        size, _offset, _reference, _index, tid, cpu = _TRACE.unpack(body[: _TRACE.size].tobytes())
        start = at + 8 + len(body)
        yield (
            part.data[start : start + size],
            -1 if tid == _ANY else tid,
            -1 if cpu == _ANY else cpu,
        )


def _rows(
    source: Source,
    packets: Bytes,
    tid: int,
    cpu: int,
    clock: TimeConversion,
    owners: dict[int, int],
    tally: ConvertTally,
) -> Columns:
    packets = np.ascontiguousarray(packets)
    found = SpeSamples.room_for(packets)
    counts = np.zeros(COUNTS, np.int64)
    filled = scan(packets, found, counts)
    tally.rows_in += filled + int(counts[[OTHER, CUT_OFF, NO_TIME]].sum())
    tally.leave_out("no load or store", int(counts[OTHER]))
    tally.leave_out("cut off", int(counts[CUT_OFF]))
    tally.leave_out("no time", int(counts[NO_TIME]))
    if counts[UNKNOWN] > filled:
        raise InputError(f"{source.name}: corrupt: what SPE wrote is no packets")
    threads = found.contexts[:filled]
    named, places = np.unique(threads, return_inverse=True)
    nobody = np.uint64((1 << 64) - 1)
    pids = [
        owners.get(thread, thread) if thread != -1 else -1
        for thread in (tid if word == nobody else int(word) for word in named)
    ]
    return {
        "time": clock.times(found.ticks[:filled]),
        "vaddr": found.virtual[:filled],
        "phys": found.physical[:filled],
        "pid": np.array(pids, np.int64).astype(np.int32)[places.reshape(-1)]
        if filled
        else np.zeros(0, np.int32),
        "cpu": np.full(filled, cpu if cpu < 1 << 15 else -1, np.int16),
        "op": np.where(found.operations[:filled] & np.uint64(1), _OP_STORE, _OP_LOAD).astype(
            np.uint8
        ),
    }


class SpeSamples(NamedTuple):
    """Room for the loads and stores in a stretch of packets.

    Times as counted, addresses, and what the packets of operation, context, events and data
    source say; of the last three all bits where there was none.
    """

    ticks: U64Array
    virtual: U64Array
    physical: U64Array
    operations: U64Array
    contexts: U64Array
    events: U64Array
    sources: U64Array

    @classmethod
    def room_for(cls, packets: Bytes) -> SpeSamples:
        """Room for all that a stretch of packets can hold."""
        room = len(packets) // _SMALLEST_ROW + 1
        return cls(*(np.empty(room, np.uint64) for _field in cls._fields))


def scan(packets: Bytes, found: SpeSamples, counted: npt.NDArray[np.int64]) -> int:
    """Write down every record that has a data address and a time; how many there are."""
    data: cython.p_uchar = u8(packets)
    ticks: cython.p_ulong = u64(found.ticks)
    virtual: cython.p_ulong = u64(found.virtual)
    physical: cython.p_ulong = u64(found.physical)
    operations: cython.p_ulong = u64(found.operations)
    contexts: cython.p_ulong = u64(found.contexts)
    events: cython.p_ulong = u64(found.events)
    sources: cython.p_ulong = u64(found.sources)
    counts: cython.p_long = i64(counted)
    words = np.zeros(_WORDS, np.uint64)
    word: cython.p_ulong = u64(words)
    end: cython.long = len(packets)
    filled: cython.long = 0
    at: cython.long = 0
    after: cython.long
    with cython.nogil:
        _clear(word)
        while at < end:
            if data[at] == _PAD:
                at += 1
                continue
            after = _packet(data, at, end, word, counts)
            if after < 0:
                counts[_AT_CUT_OFF] += 1
                break
            if data[at] in (_END, _TIMESTAMP):
                if not word[_VIRTUAL] and not word[_PHYSICAL]:
                    if word[_HAS]:
                        counts[_AT_OTHER] += 1
                elif not word[_WHEN]:
                    counts[_AT_NO_TIME] += 1
                else:
                    ticks[filled] = word[_WHEN]
                    virtual[filled] = word[_VIRTUAL]
                    physical[filled] = word[_PHYSICAL]
                    operations[filled] = word[_OPERATION]
                    contexts[filled] = word[_CONTEXT]
                    events[filled] = word[_EVENTS]
                    sources[filled] = word[_SOURCE]
                    filled += 1
                _clear(word)
            at = after
    return filled


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _clear(word: cython.p_ulong) -> cython.void:
    word[_HAS] = word[_WHEN] = word[_VIRTUAL] = word[_PHYSICAL] = word[_OPERATION] = 0
    word[_CONTEXT] = word[_EVENTS] = word[_SOURCE] = _NOBODY


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _packet(
    data: cython.p_uchar,
    at: cython.long,
    end: cython.long,
    word: cython.p_ulong,
    counts: cython.p_long,
) -> cython.long:
    """Take note of the packet at `at`; the byte after it, -1 where it is cut off."""
    head: cython.int = data[at]
    body: cython.long = at + 1
    index: cython.int = head & 7
    if head == _END:
        return body
    if head & 0xFC == 0x20:  # a longer header
        if body >= end:
            return -1
        index |= (head & 3) << 3
        head = data[body]
        index = (index & 0x18) | (head & 7)
        body += 1
        if head == 0:
            return _aligned(at, data[at])
    size: cython.long = 1 << ((head >> 4) & 3)
    if body + size > end:
        return -1
    if not _known(head):
        counts[_AT_UNKNOWN] += 1
        return at + 1
    _take(head, index, _value(data, body, size), word)
    return body + size


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _take(
    head: cython.int, index: cython.int, value: cython.ulong, word: cython.p_ulong
) -> cython.void:
    """Keep what a packet says, where a row has it."""
    word[_HAS] = 1
    if head == _TIMESTAMP:
        word[_WHEN] = value
    elif head & 0xF8 == 0xB0 and index == _DATA_VIRTUAL:
        word[_VIRTUAL] = _canonical(value)
    elif head & 0xF8 == 0xB0 and index == _DATA_PHYSICAL:
        word[_PHYSICAL] = value & _ADDRESS_BITS
    elif head & 0xFC == 0x48 and index & 3 == _LOAD_STORE:
        word[_OPERATION] = value
    elif head & 0xFC == 0x64:
        word[_CONTEXT] = value
    elif head & 0xCF == 0x42:
        word[_EVENTS] = value
    elif head & 0xCF == 0x43:
        word[_SOURCE] = value


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _known(head: cython.int) -> cython.bint:
    """Whether there is such a packet: events, source, context, operation, address, counter."""
    return (
        head == _TIMESTAMP
        or head & 0xCF in (0x42, 0x43)
        or head & 0xFC in (0x64, 0x48)
        or head & 0xF8 in (0xB0, 0x98)
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _aligned(at: cython.long, head: cython.int) -> cython.long:
    """Where an alignment packet ends."""
    size: cython.long = 1 << ((head & 0xF) + 1)
    return (at + size) & -size


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _value(data: cython.p_uchar, at: cython.long, size: cython.long) -> cython.ulong:
    value: cython.ulong = 0
    byte: cython.long = size - 1
    while byte >= 0:
        value = (value << 8) | data[at + byte]
        byte -= 1
    return value


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _canonical(value: cython.ulong) -> cython.ulong:
    """A virtual address: the top byte is a tag, and the kernel's half has all bits set above."""
    value = value & _ADDRESS_BITS
    return value | _HIGH_BITS if value >> 52 == 0xF else value
