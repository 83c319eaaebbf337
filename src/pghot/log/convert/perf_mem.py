"""What `perf mem report -D` dumps: a header that names its columns, a line a sample, no time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import (
    ConvertOptions,
    ConvertTally,
    Opened,
    ordinal_times,
    use_physical,
    with_address,
)
from pghot.log.convert.source import Source
from pghot.log.convert.text import LineKind, SmallIntegers, hex_numbers, match_block
from pghot.log.schema import Columns

NAME = "perf-mem"

_HEADER = re.compile(rb"# ?PID, ?TID, ?IP, ?ADDR, ?[A-Z_, ]*\r?$")
_NAMES = (b"PID", b"TID", b"IP", b"ADDR", b"PHYS ADDR")
_CHATTER = re.compile(rb"^(?:#[^\n]*|[ \t\r]*)$", re.MULTILINE)
_NO_FRAME = b"0"


def looks_like_perf_mem(line: bytes) -> bool:
    """Whether a line is the header."""
    return bool(_HEADER.match(line))


def open_perf_mem(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Read the header; the order of the lines is the only time, so its rate must be given."""
    header = next((line for line in source.head.split(b"\n") if _HEADER.match(line)), b"")
    if not header:
        raise InputError(f"{source.name}: has no header '# PID, TID, IP, ADDR, ...'")
    if options.order_as_time is None:
        raise InputError(
            f"{source.name}: perf mem report dumps no times; give --order-as-time RATE, samples a "
            f"second, or convert perf.data itself"
        )
    names = [name.strip() for name in header.lstrip(b"# ").split(b",")]
    physical = use_physical(
        source.name,
        options.addresses,
        physical=b"PHYS ADDR" in names,
        virtual=True,
        remedy="record with perf mem record -p, and report with --phys-data",
    )
    return Opened(
        NAME,
        physical,
        ("vaddr", "pid"),
        _chunks(source, _kind(names), options, tally, physical=physical),
        f"converted from perf mem report; virtual time, {options.order_as_time} samples a second",
        tool="perf mem",
        virtual_clock="--order-as-time",
    )


def _kind(names: list[bytes]) -> LineKind:
    """Pattern of a line: pid, address, and the physical one, which may be missing."""
    after = rb"(?:[ \t]*,[ \t]*|[ \t]+)"
    number = rb"(?:0x)?[0-9a-f]{1,16}"
    frame = after + rb"0x([0-9a-f]{1,16})" if names[4:5] == [b"PHYS ADDR"] else rb"()"
    row = (
        rb"^[ \t]*([0-9]{1,9})" + after + rb"[0-9]{1,9}" + after + number + after
        + rb"0x([0-9a-f]{1,16})" + frame + rb"(?:" + after + rb"[^\n]*)?$"
    )  # fmt: skip
    return LineKind(re.compile(row, re.MULTILINE), _CHATTER, "sample of perf mem report -D")


def _chunks(
    source: Source, kind: LineKind, options: ConvertOptions, tally: ConvertTally, *, physical: bool
) -> Iterator[Columns]:
    numbers = SmallIntegers()
    seen = 0
    for line, block in source.blocks():
        found = match_block(source, line, block, kind, tally, skip_bad=options.skip_bad)
        if not found:
            continue
        pids, addresses, frames = zip(*found, strict=True)
        virtual = hex_numbers(addresses)
        yield with_address(
            {
                "time_us": ordinal_times(seen, len(found), options.order_as_time or 1),
                "address": hex_numbers([frame or _NO_FRAME for frame in frames])
                if physical
                else virtual,
                "vaddr": virtual,
                "pid": np.array([numbers[pid] for pid in pids], np.int32),
            },
            tally,
            physical=physical,
        )
        seen += len(found)
