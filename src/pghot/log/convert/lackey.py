"""What `valgrind --tool=lackey --trace-mem=yes` prints, through a last-level cache.

The tool lists every load and store of a program.  Most of them hit a cache and never
reach memory, so the trace passes a set-associative cache with true LRU replacement; what
misses becomes a row.  Instruction fetches and write-backs do not.  There is no clock: each
instruction line is one step of a virtual one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.convert.samples import (
    BoolArray,
    ConvertOptions,
    ConvertTally,
    Llc,
    Opened,
    U64Array,
)
from pghot.log.convert.source import Source
from pghot.log.convert.text import NOT_BAD
from pghot.log.schema import Columns

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, u8, u64
else:
    from pghot.engine.arrays import i64, u8, u64

NAME = "lackey"

MAX_LLC = 1 << 30
MAX_WAYS = 1024
LINE_SIZES = tuple(1 << bit for bit in range(3, 13))
MAX_IPS = 10**12
MAX_ACCESS = 4096
"""Bytes of the largest access taken for one; vector saves stay well below."""

_ROWS = 1 << 17
_LINE = re.compile(rb"(?:I  | [LSM] )[0-9a-fA-F]{1,16},[0-9]{1,4}[ \t\r]*$")
_CHATTER = re.compile(rb"(?:==|--|\*\*)[0-9]{1,10}(?:==|--|\*\*)")

_COUNTS = 6
_INSTRUCTIONS = cython.declare(cython.int, 0)
_TOUCHES = cython.declare(cython.int, 1)
_LINES = cython.declare(cython.int, 2)
_BAD = cython.declare(cython.int, 3)
_FIRST_BAD = cython.declare(cython.int, 4)
_ALL_TOUCHES = cython.declare(cython.int, 5)

_NEWLINE = cython.declare(cython.uchar, ord("\n"))
_TAB = cython.declare(cython.uchar, ord("\t"))
_RETURN = cython.declare(cython.uchar, ord("\r"))
_COMMA = cython.declare(cython.uchar, ord(","))
_SPACE = cython.declare(cython.uchar, ord(" "))
_EQUALS = cython.declare(cython.uchar, ord("="))
_DASH = cython.declare(cython.uchar, ord("-"))
_STAR = cython.declare(cython.uchar, ord("*"))
_I = cython.declare(cython.uchar, ord("I"))
_B = cython.declare(cython.uchar, ord("B"))
_L = cython.declare(cython.uchar, ord("L"))
_M = cython.declare(cython.uchar, ord("M"))
_S = cython.declare(cython.uchar, ord("S"))

_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)
_LARGEST = cython.declare(cython.ulong, MAX_ACCESS)

_I64Array = npt.NDArray[np.int64]
_Text = npt.NDArray[np.uint8]


class Misses(NamedTuple):
    """Room for the rows of a block: what the clock shows, address, whether it was written."""

    moments: U64Array
    addresses: U64Array
    writes: BoolArray


def _digit_values() -> _Text:
    values = np.full(256, 255, dtype=np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        values[ord(digit)] = values[ord(digit.upper())] = value
    return values


_DIGITS = _digit_values()


def looks_like_lackey(line: bytes) -> bool:
    """Whether a line is an event, or the chatter that valgrind opens with."""
    return bool(_LINE.match(line) or _CHATTER.match(line))


def open_lackey(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Check the cache's shape; InputError where it makes no sense."""
    llc = options.llc
    if options.addresses == "physical":
        raise InputError(f"{source.name}: has no physical addresses; lackey sees virtual ones")
    check_llc(llc, options.ips)
    rate = options.order_as_time
    clock = f"{options.ips} instructions" if rate is None else f"{rate} loads and stores"
    return Opened(
        NAME,
        False,
        ("vaddr", "write"),
        _chunks(source, options, tally),
        f"converted from lackey through {llc.words}; virtual time, {clock} a second",
        tool="valgrind --tool=lackey",
        virtual_clock="--ips" if rate is None else "--order-as-time",
        every_access=True,
    )


def check_llc(llc: Llc, ips: int) -> None:
    """Raise InputError where the cache or the clock makes no sense."""
    if llc.line not in LINE_SIZES:
        raise InputError(f"--llc-line {llc.line}: wants a power of two, 8 to 4096")
    if not 1 <= llc.ways <= MAX_WAYS:
        raise InputError(f"--llc-ways {llc.ways}: wants 1 to {MAX_WAYS}")
    if llc.size % (llc.ways * llc.line) or not 0 <= llc.size <= MAX_LLC:
        raise InputError(
            f"--llc-size {llc.size}: wants a multiple of ways times line, "
            f"{llc.ways * llc.line} bytes, up to 1GiB; 0 for no cache"
        )
    if not 1 <= ips <= MAX_IPS:
        raise InputError(f"--ips {ips}: wants 1 to {MAX_IPS}")


def _chunks(source: Source, options: ConvertOptions, tally: ConvertTally) -> Iterator[Columns]:
    llc = options.llc
    rate = options.order_as_time or options.ips
    clock = _INSTRUCTIONS if options.order_as_time is None else _ALL_TOUCHES
    shift = llc.line.bit_length() - 1
    tags = np.full((llc.size >> shift) // llc.ways * llc.ways, -1, dtype=np.int64)
    counts = np.zeros(_COUNTS, dtype=np.int64)
    for _line, block in source.blocks():
        for rows in _filtered(block, counts, clock, tags, llc.ways, shift):
            if counts[_BAD] and not options.skip_bad:
                raise InputError(
                    f"{source.name}: line {counts[_FIRST_BAD]}: no lackey event such as "
                    f"' L 1ffeffe7e0,8'; output of the program, perhaps, which --log-file=FILE "
                    f"of valgrind keeps apart; {NOT_BAD}"
                )
            moments, addresses, writes = rows
            if options.order_as_time is None and counts[_TOUCHES] and not counts[_INSTRUCTIONS]:
                raise InputError(
                    f"{source.name}: has no instruction lines ('I  0401ab70,3'), which are its "
                    f"clock; trace with them, or give --order-as-time RATE, loads and stores a "
                    f"second"
                )
            yield {
                "time_us": moments * np.uint64(1_000_000) // np.uint64(rate),
                "address": addresses,
                "vaddr": addresses,
                "write": writes,
            }
            touches = int(counts[_TOUCHES])
            tally.rows_in += touches + int(counts[_BAD])
            tally.leave_out("hit the cache", touches - len(addresses))
            tally.leave_out("bad line", int(counts[_BAD]))
            counts[_TOUCHES] = counts[_BAD] = 0


def _filtered(
    block: bytes,
    counts: _I64Array,
    clock: int,
    tags: _I64Array,
    ways: int,
    shift: int,
) -> Iterator[tuple[U64Array, U64Array, BoolArray]]:
    """The misses of a block: their moments, address, whether written."""
    text = np.frombuffer(block, dtype=np.uint8)
    at = 0
    while at < len(text):
        rows = Misses(
            np.empty(_ROWS, dtype=np.uint64),
            np.empty(_ROWS, dtype=np.uint64),
            np.empty(_ROWS, dtype=np.bool_),
        )
        at, filled = scan(text, at, counts, clock, tags, ways, shift, rows)
        yield rows.moments[:filled], rows.addresses[:filled], rows.writes[:filled]


def scan(
    block: _Text,
    at: cython.long,
    counted: _I64Array,
    clock: cython.int,
    cache: _I64Array,
    ways: cython.long,
    shift: cython.int,
    rows: Misses,
) -> tuple[int, int]:
    """Go through whole lines from byte `at`; stop at the end or where the rows are full.

    The clock is one of the counts: of instructions, or of loads and stores.  Gives where it
    stopped and how many rows it filled.
    """
    text: cython.p_uchar = u8(block)
    digits: cython.p_uchar = u8(_DIGITS)
    counts: cython.p_long = i64(counted)
    tags: cython.p_long = i64(cache)
    moments: cython.p_ulong = u64(rows.moments)
    addresses: cython.p_ulong = u64(rows.addresses)
    writes: cython.p_uchar = u8(rows.writes)
    read = np.zeros(3, np.uint64)
    event: cython.p_ulong = u64(read)
    sets: cython.long = len(cache) // ways
    end: cython.long = len(block)
    full: cython.long = len(rows.addresses) - ((MAX_ACCESS >> shift) + 2)
    filled: cython.long = 0
    newline: cython.long
    line: cython.ulong
    last: cython.ulong
    kind: cython.int
    with cython.nogil:
        while at < end and filled < full:
            counts[_LINES] += 1
            kind = _event(text, at, digits, event)
            newline = event[0]
            if kind == _I:
                counts[_INSTRUCTIONS] += 1
            elif kind == 0:
                _note_bad(text, at, counts)
            else:
                counts[_ALL_TOUCHES] += 1
                line = event[1] >> shift
                last = (event[1] + event[2] - 1) >> shift
                while line <= last:
                    counts[_TOUCHES] += 1
                    if sets == 0 or _miss(tags, sets, ways, line):
                        moments[filled] = counts[clock]
                        addresses[filled] = max(event[1], line << shift)
                        writes[filled] = kind != _L
                        filled += 1
                    line += 1
            at = newline + 1
    return at, filled


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _miss(
    tags: cython.p_long, sets: cython.long, ways: cython.long, line: cython.long
) -> cython.bint:
    """Touch a cache line; tags of a set stand in the order of use, the latest first."""
    first: cython.long = (line % sets) * ways
    at: cython.long
    missed: cython.bint
    if tags[first] == line:
        return False
    at = first + 1
    while at < first + ways and tags[at] != line:
        at += 1
    missed = at == first + ways
    if missed:
        at -= 1
    while at > first:
        tags[at] = tags[at - 1]
        at -= 1
    tags[first] = line
    return missed


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _event(
    text: cython.p_uchar, at: cython.long, digits: cython.p_uchar, event: cython.p_ulong
) -> cython.int:
    """Read a line: its letter, 0 for no event.

    `event` gets where the line's newline is, the address and the size.
    """
    kind: cython.int = _kind(text, at)
    address: cython.ulong = 0
    size: cython.ulong = 0
    first: cython.long = at + 3
    if kind:
        at = first
        while at < first + 16 and digits[text[at]] < 16:
            address = (address << 4) | digits[text[at]]
            at += 1
        if at > first and text[at] == _COMMA:
            at += 1
            first = at
            while at < first + 16 and digits[text[at]] < 10:
                size = size * 10 + digits[text[at]]
                at += 1
        while text[at] in (_SPACE, _TAB, _RETURN):
            at += 1
        if text[at] != _NEWLINE or size < 1 or size > _LARGEST or address > _U64 - (size - 1):
            kind = 0
    while text[at] != _NEWLINE:
        at += 1
    event[0] = at
    event[1] = address
    event[2] = size
    return kind


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _kind(text: cython.p_uchar, at: cython.long) -> cython.int:
    """The letter of the event that starts at byte `at`, 0 for none.

    A newline ends every line, so a test that fails on it keeps the next from running past.
    """
    letter: cython.int
    if text[at] == _I:
        return _I if text[at + 1] == _SPACE and text[at + 2] == _SPACE else 0
    if text[at] != _SPACE:
        return 0
    letter = text[at + 1]
    if letter not in (_L, _S, _M):
        return 0
    return letter if text[at + 2] == _SPACE else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _note_bad(text: cython.p_uchar, at: cython.long, counts: cython.p_long) -> cython.void:
    """Count the line at byte `at` as bad unless valgrind speaks: ==, -- or **, or nothing."""
    mark: cython.int = text[at]
    if mark in (_NEWLINE, _RETURN):
        return
    if mark == _S and text[at + 1] == _B and text[at + 2] == _SPACE:
        return  # --trace-superblocks
    if text[at + 1] == mark and mark in (_EQUALS, _DASH, _STAR):
        return
    counts[_BAD] += 1
    if counts[_FIRST_BAD] == 0:
        counts[_FIRST_BAD] = counts[_LINES]
