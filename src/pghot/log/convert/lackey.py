"""What `valgrind --tool=lackey --trace-mem=yes` prints, through a last-level cache.

The tool lists every load and store of a program.  Most of them hit a cache and never
reach memory, so the trace passes a set-associative cache with true LRU replacement; what
misses becomes a row.  Instruction fetches and write-backs do not.  There is no clock: each
instruction line is one step of a virtual one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.errors import InputError
from pghot.log.convert.samples import BoolArray, Llc, Opened, Options, Tally, U64Array
from pghot.log.convert.source import Source
from pghot.log.convert.text import NOT_BAD
from pghot.log.schema import Columns

NAME = "lackey"

MAX_LLC = 1 << 30
MAX_WAYS = 1024
LINE_SIZES = tuple(1 << bit for bit in range(3, 13))
MAX_IPS = 10**12
MAX_ACCESS = 4096
"""Bytes of the largest access taken for one; vector saves stay well below."""

_ROWS = 1 << 17
_LINE = re.compile(rb"(?:I  | [LSM] )[0-9a-f]{1,16},[0-9]{1,4}\r?$")
_CHATTER = re.compile(rb"(?:==|--|\*\*)[0-9]{1,10}(?:==|--|\*\*)")

_INSTRUCTIONS, _TOUCHES, _LINES, _BAD, _FIRST_BAD = range(5)
_NEWLINE, _RETURN, _COMMA, _SPACE = 10, 13, 44, 32
_EQUALS, _DASH, _STAR = 61, 45, 42
_I, _L, _M, _S = 73, 76, 77, 83


_I64Array = npt.NDArray[np.int64]
_Text = npt.NDArray[np.uint8]


def _digit_values() -> _I64Array:
    values = np.full(256, 255, dtype=np.int64)
    for value, digit in enumerate("0123456789abcdef"):
        values[ord(digit)] = values[ord(digit.upper())] = value
    return values


_DIGITS = _digit_values()


def looks_like_lackey(line: bytes) -> bool:
    """Tell whether a line is an event, or the chatter that valgrind opens with."""
    return bool(_LINE.match(line) or _CHATTER.match(line))


def open_lackey(source: Source, options: Options, tally: Tally) -> Opened:
    """Check the cache's shape; InputError where it makes no sense."""
    llc = options.llc
    if options.addresses == "physical":
        raise InputError(f"{source.name}: has no physical addresses; lackey sees virtual ones")
    check_llc(llc, options.ips)
    cache = f"a cache of {llc.size} bytes, {llc.ways} ways, {llc.line} bytes a line"
    taken = (
        f"converted from lackey through {cache if llc.size else 'no cache'}; virtual time, "
        f"{options.ips} instructions a second"
    )
    return Opened(NAME, False, ("vaddr", "write"), _chunks(source, options, tally), taken)


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


def _chunks(source: Source, options: Options, tally: Tally) -> Iterator[Columns]:
    llc = options.llc
    shift = llc.line.bit_length() - 1
    tags = np.full((llc.size >> shift) // llc.ways * llc.ways, -1, dtype=np.int64)
    counts = np.zeros(5, dtype=np.int64)
    for _line, block in source.blocks():
        for rows in _filtered(block, counts, tags, llc.ways, shift):
            if counts[_BAD] and not options.skip_bad:
                raise InputError(
                    f"{source.name}: line {counts[_FIRST_BAD]}: no lackey event such as "
                    f"' L 1ffeffe7e0,8'; {NOT_BAD}"
                )
            instructions, addresses, writes = rows
            yield {
                "time_us": instructions * np.uint64(1_000_000) // np.uint64(options.ips),
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
    tags: _I64Array,
    ways: int,
    shift: int,
) -> Iterator[tuple[U64Array, U64Array, BoolArray]]:
    """Give the misses of a block: instructions so far, address, whether written."""
    text = np.frombuffer(block, dtype=np.uint8)
    at = 0
    while at < len(text):
        instructions = np.empty(_ROWS, dtype=np.uint64)
        addresses = np.empty(_ROWS, dtype=np.uint64)
        writes = np.empty(_ROWS, dtype=np.bool_)
        at, rows = scan(
            text, at, counts, _DIGITS, tags, ways, shift, instructions, addresses, writes
        )
        yield instructions[:rows], addresses[:rows], writes[:rows]


@compiled
def _miss(tags: _I64Array, ways: int, line: np.int64) -> bool:
    """Touch a cache line; tags of a set stand in the order of use, the latest first."""
    if len(tags) == 0:
        return True
    first = (line % (len(tags) // ways)) * ways
    if tags[first] == line:
        return False
    at = first + 1
    while at < first + ways and tags[at] != line:
        at += 1
    missed: bool = at == first + ways
    if missed:
        at -= 1
    while at > first:
        tags[at] = tags[at - 1]
        at -= 1
    tags[first] = line
    return missed


@compiled
def _kind(text: _Text, at: int) -> int:
    """Give the letter of the event that starts at byte `at`, 0 for none.

    A newline ends every line, so a test that fails on it keeps the next from running past.
    """
    if text[at] == _I:
        return _I if text[at + 1] == _SPACE and text[at + 2] == _SPACE else 0
    if text[at] != _SPACE:
        return 0
    for letter in (_L, _S, _M):
        if text[at + 1] == letter:
            return letter if text[at + 2] == _SPACE else 0
    return 0


@compiled
def _number(text: _Text, at: int, digits: _I64Array, base: int) -> tuple[int, np.uint64]:
    """Read up to 16 digits from byte `at`; give where they end and the number."""
    number = np.uint64(0)
    first = at
    while at < first + 16 and digits[text[at]] < base:
        number = number * np.uint64(base) + np.uint64(digits[text[at]])
        at += 1
    return at, number


@compiled
def _event(text: _Text, at: int, digits: _I64Array) -> tuple[int, int, np.uint64, np.uint64]:
    """Read a line: where its newline is, its letter (0 for no event), address and size."""
    kind = _kind(text, at)
    address = size = np.uint64(0)
    if kind:
        first = at + 3
        at, address = _number(text, first, digits, 16)
        if at > first and text[at] == _COMMA:
            at, size = _number(text, at + 1, digits, 10)
        if text[at] == _RETURN:
            at += 1
    wraps = address + size - np.uint64(1) < address
    if text[at] != _NEWLINE or size < 1 or size > MAX_ACCESS or wraps:
        kind = 0
    while text[at] != _NEWLINE:
        at += 1
    return at, kind, address, size


@compiled
def _note_bad(text: _Text, at: int, counts: _I64Array) -> None:
    """Count the line at byte `at` as bad unless valgrind speaks: ==, -- or **, or nothing."""
    if text[at] in (_NEWLINE, _RETURN):
        return
    if text[at + 1] == text[at] and text[at] in (_EQUALS, _DASH, _STAR):
        return
    counts[_BAD] += 1
    if counts[_FIRST_BAD] == 0:
        counts[_FIRST_BAD] = counts[_LINES]


@compiled
def scan(
    text: _Text,
    at: int,
    counts: _I64Array,
    digits: _I64Array,
    tags: _I64Array,
    ways: int,
    shift: int,
    instructions: U64Array,
    addresses: U64Array,
    writes: BoolArray,
) -> tuple[int, int]:
    """Go through whole lines from byte `at`; stop at the end or where the rows are full.

    Gives where it stopped and how many rows it filled.
    """
    full = len(addresses) - ((MAX_ACCESS >> shift) + 2)
    rows = 0
    while at < len(text) and rows < full:
        counts[_LINES] += 1
        newline, kind, address, size = _event(text, at, digits)
        last = (address + size - np.uint64(1)) >> np.uint64(shift)
        line = address >> np.uint64(shift)
        if kind == 0:
            _note_bad(text, at, counts)
        elif kind == _I:
            counts[_INSTRUCTIONS] += 1
        else:
            while line <= last:
                counts[_TOUCHES] += 1
                if _miss(tags, ways, np.int64(line)):
                    instructions[rows] = counts[_INSTRUCTIONS]
                    addresses[rows] = max(address, line << np.uint64(shift))
                    writes[rows] = kind != _L
                    rows += 1
                line += np.uint64(1)
        at = newline + 1
    return at, rows
