"""The packets of Arm's Statistical Profiling Extension (SPE), in a file or an AUX buffer.

The processor writes packets: addresses, what kind of operation it was, whose, and when; one
record of them is one sampled operation, and one row (Arm ARM, "Statistical Profiling
Extension sample record specification").
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.log.convert.perf_file import Bytes
from pghot.log.convert.samples import U64Array

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, u8, u64
else:
    from pghot.engine.arrays import i64, u8, u64

_SMALLEST_ROW = 9
"""Bytes of an address packet, without which there is no row."""

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
