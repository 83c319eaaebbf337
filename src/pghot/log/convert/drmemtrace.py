"""What DynamoRIO's drmemtrace prints with `-tool view` (`-simulator_type view`).

A line an instruction or access, with the thread; markers among them give the time.  All
loads and stores are there, so they pass a last-level cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.cache import Cache
from pghot.log.convert.lackey import check_llc
from pghot.log.convert.samples import (
    ConvertOptions,
    ConvertTally,
    Opened,
    ordinal_times,
    with_address,
)
from pghot.log.convert.source import Source
from pghot.log.convert.text import LineKind, match_block
from pghot.log.schema import Columns

NAME = "drmemtrace"

# The thread, in newer versions with the number of its workload before it.
_WHERE = (
    rb"^[ \t]*(?:[0-9]{1,20}[ \t]+[0-9]{1,20}:[ \t]+)?"
    rb"(?:W([0-9]{1,6})\.)?(?:T[ \t]*)?([0-9]{1,10})[ \t]+"
)
_SAMPLE = re.compile(
    _WHERE + rb"(?:(read|write)[ \t]+[0-9]{1,10} byte\(s\) @ 0x([0-9a-f]{1,16})[^\n]*"
    rb"|<marker: timestamp ([0-9]{1,19})>[^\n]*"
    rb"|<marker: (?:tid |W[0-9]{1,6}\.T)[0-9]{1,10} on core ([0-9]{1,6})>[^\n]*)$",
    re.MULTILINE,
)
# Instructions (with or without their disassembly), prefetches, other markers, the header.
_CHATTER = re.compile(
    rb"^(?:[ \t\r]*|Output format:[^\n]*|<--record#->[^\n]*|-{5,}[ \t\r]*|View tool results:[^\n]*"
    rb"|[ \t]*[0-9]+ : [^\n]*"
    rb"|[ \t]*(?:[0-9]{1,20}[ \t]+[0-9]{1,20}:[ \t]+)?"
    rb"(?:W[0-9]{1,6}\.)?T?[ \t]*[0-9]{1,10}[ \t]+[^\n]*)$",
    re.MULTILINE,
)
_KIND = LineKind(_SAMPLE, _CHATTER, "record of drmemtrace's view tool")
_MARKS = (b"byte(s) @ 0x", b"<marker: ")


def looks_like_drmemtrace(line: bytes) -> bool:
    """Whether a line is a record that nothing else prints."""
    if line.startswith(b"<--record#->"):
        return True
    return any(mark in line for mark in _MARKS) and bool(_CHATTER.match(line))


def open_drmemtrace(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Check the cache; times are those of the trace's timestamps."""
    if options.addresses == "physical":
        raise InputError(f"{source.name}: has no physical addresses that convert takes")
    check_llc(options.llc, options.ips)
    rate = options.order_as_time
    tally.note(
        "threads of a workload are taken to be of one process; their accesses have the time of "
        "the last timestamp before them"
        if rate is None
        else "threads of a workload are taken to be of one process"
    )
    clock = "times of its timestamps" if rate is None else f"{rate} loads and stores a second"
    return Opened(
        NAME,
        False,
        ("vaddr", "cpu", "write"),
        _chunks(source, options, tally),
        f"converted from drmemtrace through {options.llc.words}; {clock}",
        tool="drmemtrace",
        virtual_clock="" if rate is None else "--order-as-time",
        every_access=True,
    )


def _chunks(source: Source, options: ConvertOptions, tally: ConvertTally) -> Iterator[Columns]:
    cache = Cache(options.llc)
    now = 0
    cores: dict[bytes, int] = {}
    seen = 0
    for line, block in source.blocks():
        found = match_block(source, line, block, _KIND, tally, skip_bad=options.skip_bad)
        times, addresses, writes, cpus, owners = [], [], [], [], []
        for workload, thread, operation, address, time, core in found:
            if operation:
                if not now and options.order_as_time is None:
                    raise InputError(
                        f"{source.name}: accesses before any timestamp; print the trace whole, "
                        f"or give --order-as-time RATE, loads and stores a second"
                    )
                times.append(now)
                addresses.append(int(address, 16))
                writes.append(operation == b"write")
                cpus.append(cores.get(thread, -1))
                owners.append(int(workload or b"0"))
            elif time:
                now = max(now, int(time))
            elif len(cores) < 1 << 20:
                cores[thread] = int(core) if int(core) < 1 << 15 else -1
        tally.rows_in -= len(found) - len(addresses)
        if not addresses:
            continue
        flat = np.array(addresses, np.uint64)
        moments = np.array(times, np.uint64)
        if options.order_as_time is not None:
            moments = ordinal_times(seen, len(flat), options.order_as_time)
        seen += len(flat)
        missed = cache.misses(flat)
        tally.leave_out("hit the cache", int(np.count_nonzero(~missed)))
        chunk: Columns = {
            "time_us": moments,
            "address": flat,
            "vaddr": flat,
            "cpu": np.array(cpus, np.int16),
            "write": np.array(writes, np.bool_),
            "owner": np.array(owners, np.int32),
        }
        kept = {name: array[missed] for name, array in chunk.items()}
        yield with_address(kept, tally, physical=False)
