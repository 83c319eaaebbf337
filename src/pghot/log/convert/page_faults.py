"""Page-fault tracepoints as ftrace, trace-cmd and perf print them.

`page_fault_user: address=0x7f... ip=0x... error_code=0x7`: where the fault was, in the
line's own words.  Of a NUMA hint fault and of a first touch they look alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import ConvertOptions, ConvertTally, Opened, with_address
from pghot.log.convert.source import Source
from pghot.log.convert.text import (
    Fields,
    LineKind,
    SmallIntegers,
    TimeOrder,
    decimal_numbers,
    hex_numbers,
    match_block,
    other_events,
)
from pghot.log.schema import SOURCES, Columns

NAME = "page-faults"

_COMM = rb"^[ \t]*+(?:[^ \t\n]{1,32}+[ \t]++){0,9}?"
_TRACE = (
    rb"([0-9]{1,11}+)\.([0-9]{6}(?:[0-9]{3})?+):[ \t]++"
    rb"(?:[0-9]{1,20}+[ \t]++)?+(?:exceptions:)?(page_fault_(?:user|kernel)):[ \t]++"
    # An address of the kernel may be a symbol's name.
    rb"address=(?:0x([0-9a-f]{1,16}+)|[^ \t\n]++)[ \t]++"
    rb"ip=[^ \t\n]++[ \t]++error_code=0x([0-9a-f]{1,16})"
    rb"[^\n]*+$"
)
_SAMPLE = re.compile(
    # perf: comm pid[/tid] [cpu]; ftrace: comm-tid [(tgid)] [cpu] flags
    _COMM + rb"(?:(?:[^\n]{1,64}?-)?([0-9]{1,9})"
    rb"(?:/[0-9]{1,9}|[ \t]++\([ \t]*([0-9]{1,9}|-{1,9})\))?[ \t]++)?"
    rb"(?:\[(-?[0-9]{1,5})\][ \t]++)?(?:[a-zA-Z0-9.#]{1,8}[ \t]++)?" + _TRACE,
    re.MULTILINE,
)
_CHATTER = re.compile(
    rb"^(?:#[^\n]*|[ \t\r]*|cpus=[0-9]+|version = [0-9]+|CPU [0-9]+ is empty"
    rb"|[^\n]*\[(?:LOST [0-9]+ EVENTS|EVENTS DROPPED)\][^\n]*"
    rb"|[ \t]+[0-9a-f]{1,16}(?:[ \t][^\n]*)?)$",
    re.MULTILINE,
)
_LOST = re.compile(rb"\[LOST ([0-9]{1,18}) EVENTS\]")
_KIND = LineKind(
    _SAMPLE,
    _CHATTER,
    "page fault such as '... page_fault_user: address=0x7f00 ...'",
    other_events(rb"(?:exceptions:)?page_fault_(?:user|kernel):"),
)
_PID, _TGID, _CPU, _SECONDS, _FRACTION, _EVENT, _ADDRESS, _CODE = range(8)
_WRITE = 2


def looks_like_page_fault(line: bytes) -> bool:
    """Whether a line is a page fault."""
    return b"page_fault_" in line and bool(_SAMPLE.match(line))


def open_page_faults(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Take the faulting addresses; they are virtual."""
    if options.addresses == "physical":
        raise InputError(
            f"{source.name}: has no physical addresses; page faults have virtual ones"
        )
    tally.note(
        "a first touch and a NUMA hint fault look alike here: what was touched for the first time "
        "while it was traced counts too"
    )
    return Opened(
        NAME,
        False,
        ("vaddr", "pid", "cpu", "write"),
        _chunks(source, options, tally),
        "converted from page-fault tracepoints",
        tool="page-fault tracepoints",
    )


def _chunks(source: Source, options: ConvertOptions, tally: ConvertTally) -> Iterator[Columns]:
    order = TimeOrder(source, _KIND, tally, skip_bad=options.skip_bad)
    numbers = SmallIntegers()
    for line, block in source.blocks():
        tally.tell("events lost, as the trace says", sum(map(int, _LOST.findall(block))))
        found = match_block(source, line, block, _KIND, tally, skip_bad=options.skip_bad)
        if not found:
            continue
        rows = _rows(found, numbers)
        for fields in found:
            tally.events[fields[_EVENT].decode()] += 1
        if any(fields[_PID] and not fields[_TGID] for fields in found) and b"-" in block[:200]:
            tally.note(
                "ftrace names threads, not processes, without its option record-tgid: each "
                "thread is taken for a process"
            )
        keep = order.keep(line, block, rows["time_us"])
        if keep is not None:
            rows = {name: array[keep] for name, array in rows.items()}
        yield with_address(rows, tally, physical=False)


def _rows(found: list[Fields], numbers: SmallIntegers) -> Columns:
    fields = list(zip(*found, strict=True))
    micros = decimal_numbers([digits[:6] for digits in fields[_FRACTION]], 6)
    addresses = hex_numbers(fields[_ADDRESS])
    pids = [
        numbers[tgid if tgid.isdigit() else tid]
        for tid, tgid in zip(fields[_PID], fields[_TGID], strict=True)
    ]
    cpus = np.array([numbers[digits] for digits in fields[_CPU]], np.int64)
    codes = hex_numbers(fields[_CODE])
    return {
        "time_us": decimal_numbers(fields[_SECONDS], 11) * np.uint64(1_000_000) + micros,
        "address": addresses,
        "vaddr": addresses,
        "pid": np.array(pids, np.int32),
        "cpu": np.where(cpus < 1 << 15, cpus, -1).astype(np.int16),
        "write": (codes & np.uint64(_WRITE)) != 0,
        "source": np.full(len(found), SOURCES["hintfault"], np.int8),
    }
