"""Text that `perf script` prints.

Its columns stand in a fixed order, whatever the order of `-F`: comm, pid/tid, [cpu], time,
period, event, addr, data_src, ip, phys_addr, page size.  Numbers are hex without 0x.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import Opened, Options, Tally, U64Array, use_physical, with_address
from pghot.log.convert.source import Source
from pghot.log.convert.text import (
    Fields,
    LineKind,
    SmallIntegers,
    TimeOrder,
    decimal_numbers,
    hex_numbers,
    match_block,
)
from pghot.log.schema import Columns

NAME = "perf-script"

# The command name may hold spaces and digits, so the line is anchored on what follows it.
# Every part is bounded: a hostile line costs no more than a long one.
_SAMPLE = re.compile(
    rb"^[ \t]*+(?:[^ \t\n]{1,32}+[ \t]++){0,9}?"
    rb"(?:(-?[0-9]{1,9}+)(/-?[0-9]{1,9}+)?[ \t]++)?"  # pid, /tid
    rb"(?:\[([0-9]{1,4})\][ \t]++)?"  # cpu
    rb"([0-9]{1,11}+)\.([0-9]{6}|[0-9]{9}):[ \t]++"  # seconds, fraction
    rb"(?:(?:[0-9]{1,20}+[ \t]++)?[^ \t\n]{1,256}+(?<=:)[ \t]++)?"  # period, event
    rb"([0-9a-f]{1,16}+)(?![^ \t\r\n])"  # address
    rb"([^\n]*+)$",
    re.MULTILINE,
)
_PID, _TID, _CPU, _SECONDS, _FRACTION, _ADDRESS, _REST = range(7)
_KIND = LineKind(
    _SAMPLE,
    # Comments of --header, blank lines, and the lines of a call chain.
    re.compile(rb"^(?:#[^\n]*|[ \t\r]*|[ \t]+[0-9a-f]{1,16}(?:[ \t][^\n]*)?)$", re.MULTILINE),
    "perf script sample with a time and an address "
    "(perf script -F comm,pid,tid,cpu,time,event,addr,phys_addr,data_src)",
)
_HEX = re.compile(rb"[0-9a-f]{1,16}")
_PAGE_SIZE = re.compile(rb"[0-9]{1,4}[BKMGT]|N/A")
_DATA_SRC = b" |OP "
# What `perf script` prints when it is not asked for addr: the instruction's own address.
_ONLY_IP = re.compile(rb"^[ \t][^ \t][^\n]*\+0x[0-9a-f]+ \([^\n]*\)[ \t\r]*$")
_HEX_COLUMN = re.compile(rb"[ \t][0-9a-f]{6,16}(?:[ \t\r]|$)")
_OP_LOAD, _OP_STORE = 2, 4
_OFFSET = 0xFFF


def looks_like_perf_script(line: bytes) -> bool:
    """Tell whether a line is a sample."""
    return bool(_SAMPLE.match(line))


def open_perf_script(source: Source, options: Options, tally: Tally) -> Opened:
    """Read until the first samples show which columns there are."""
    blocks = source.blocks()
    seen: list[tuple[int, bytes, list[Fields]]] = []
    found: list[Fields] = []
    for line, block in blocks:
        found = match_block(source, line, block, _KIND, tally, skip_bad=options.skip_bad)
        seen.append((line, block, found))
        if found:
            break
    _refuse_instruction_pointers(source, found)
    has_physical = _has_physical(found)
    physical = use_physical(
        source.name,
        options.addresses,
        physical=has_physical,
        virtual=True,
        remedy="record with --phys-data, and print with -F pid,tid,cpu,time,event,addr,phys_addr",
    )
    columns = _columns(found)
    _remark_on_pids(found, tally, physical=physical)
    rest = (
        (line, block, match_block(source, line, block, _KIND, tally, skip_bad=options.skip_bad))
        for line, block in blocks
    )
    chunks = _chunks(source, itertools.chain(seen, rest), columns, options, tally, physical)
    return Opened(NAME, physical, columns, chunks, "converted from perf script text")


def _refuse_instruction_pointers(source: Source, found: list[Fields]) -> None:
    for fields in found:
        if _ONLY_IP.match(fields[_REST]) and not _HEX_COLUMN.search(fields[_REST]):
            raise InputError(
                f"{source.name}: the samples show instruction pointers, not data addresses; "
                f"print with perf script -F comm,pid,tid,cpu,time,event,addr,phys_addr"
            )


def _has_physical(found: list[Fields]) -> bool:
    """Tell whether the last column is a physical address.

    It looks like an instruction pointer, but has the same offset within the page as the
    virtual address, on every line; 0 stands for unknown.
    """
    last = _last_column(found)
    addresses = hex_numbers([fields[_ADDRESS] for fields in found])
    known = last != 0
    return bool(known.any()) and not ((last ^ addresses)[known] & np.uint64(_OFFSET)).any()


def _last_column(found: list[Fields]) -> U64Array:
    """Give the last hex column of every sample, but for a page size; 0 where there is none."""
    texts = []
    for fields in found:
        last = fields[_REST].rsplit(None, 2)
        if last and _PAGE_SIZE.fullmatch(last[-1]):
            last.pop()
        texts.append(last[-1] if last and _HEX.fullmatch(last[-1]) else b"")
    return hex_numbers(texts)


def _columns(found: list[Fields]) -> tuple[str, ...]:
    columns = ["vaddr"]
    if any(fields[_PID] for fields in found):
        columns.append("pid")
    if any(fields[_CPU] for fields in found):
        columns.append("cpu")
    if any(_operation(fields[_REST]) & (_OP_LOAD | _OP_STORE) for fields in found):
        columns.append("write")
    return tuple(columns)


def _remark_on_pids(found: list[Fields], tally: Tally, *, physical: bool) -> None:
    if physical or not found:
        return
    if not found[0][_PID]:
        tally.notes.append("no pid is printed: all samples are taken to be of one process")
    elif not found[0][_TID]:
        tally.notes.append(
            "the number before the time may be a thread's, and threads share their pages; "
            "print with perf script -F pid,tid,..."
        )


def _operation(rest: bytes) -> int:
    """Give the operation bits of data_src; 0 where it is not printed."""
    before, found, _words = rest.partition(_DATA_SRC)
    bits = before[before.rfind(b" ") + 1 :]
    return int(bits, 16) & 0x1F if found and _HEX.fullmatch(bits) else 0


def _chunks(
    source: Source,
    blocks: Iterator[tuple[int, bytes, list[Fields]]],
    columns: tuple[str, ...],
    options: Options,
    tally: Tally,
    physical: bool,
) -> Iterator[Columns]:
    order = TimeOrder(source, _KIND, tally, skip_bad=options.skip_bad)
    for line, block, found in blocks:
        if not found:
            continue
        rows = _rows(found, columns)
        rows["address"] = _last_column(found) if physical else rows["vaddr"]
        keep = order.keep(line, block, rows["time_us"])
        if keep is not None:
            rows = {name: array[keep] for name, array in rows.items()}
        yield with_address(rows, tally, physical=physical)


def _rows(found: list[Fields], columns: tuple[str, ...]) -> Columns:
    fields = list(zip(*found, strict=True))
    seconds = decimal_numbers(fields[_SECONDS], 11)
    micros = decimal_numbers([digits[:6] for digits in fields[_FRACTION]], 6)
    rows: Columns = {
        "time_us": seconds * np.uint64(1_000_000) + micros,
        "vaddr": hex_numbers(fields[_ADDRESS]),
    }
    numbers = SmallIntegers()
    if "pid" in columns:
        rows["pid"] = np.array([numbers[digits] for digits in fields[_PID]], dtype=np.int32)
    if "cpu" in columns:
        rows["cpu"] = np.array([numbers[digits] for digits in fields[_CPU]], dtype=np.int16)
    if "write" in columns:
        operations = [_operation(rest) for rest in fields[_REST]]
        rows["write"] = (np.array(operations, dtype=np.uint8) & _OP_STORE) != 0
    return rows
