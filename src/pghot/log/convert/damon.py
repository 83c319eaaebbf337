"""DAMON's view of memory: how often regions were accessed, as damo and the kernel write it.

Three forms: the `damon_aggregated` tracepoint in the text of perf, ftrace or trace-cmd;
what `damo report raw` prints; `damon.data` of damo, JSON or JSON packed with zlib.

DAMON looks at one page of a region at a time and takes it for all.  So each access that it
saw is a row, on a page of its region: evenly in turn, for which page it was is not told.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.log.convert.samples import ConvertOptions, ConvertTally, Opened
from pghot.log.convert.source import Source
from pghot.log.convert.text import NOT_BAD, other_events
from pghot.log.schema import Columns

NAME = "damon"

_MOST_SEEN = 1 << 20
"""Accesses to a region in a snapshot: DAMON samples at most once each microsecond or so."""

_MOST_BYTES = 1 << 29
"""Of JSON, which is read whole."""

_ROWS = 1 << 18
_TURN = 0.6180339887498949
"""Fraction of a region from one snapshot's first page to the next one's: never the same."""

_TRACEPOINT = re.compile(
    rb"[^\n]*?[ \t]([0-9]{1,11})\.([0-9]{6}(?:[0-9]{3})?):[ \t]+(?:damon:)?damon_aggregated:[ \t]+"
    rb"target_id=([0-9]{1,20})[ \t]+nr_regions=[0-9]{1,10}[ \t]+"
    rb"([0-9]{1,20})-([0-9]{1,20}):[ \t]+(-?[0-9]{1,10})(?:[ \t]+-?[0-9]{1,10})?[ \t\r]*$"
)
_OTHER_EVENT = other_events(rb"(?:damon:)?damon_aggregated:")
_RAW_BASE = re.compile(rb"(?:base_time_absolute|monitoring_start):[ \t]+[0-9][^\n]*$")
_RAW_END = re.compile(rb"monitoring_end:[ \t]+([^\n]+)$")
_RAW_TARGET = re.compile(rb"target_id:[ \t]+([0-9]{1,20})[ \t\r]*$")
_RAW_REGION = re.compile(
    rb"[ \t]*([0-9a-f]{1,16})-([0-9a-f]{1,16})[ \t]*\([^\n)]*\):[ \t]*(-?[0-9][0-9,]{0,12})"
    rb"(?:[ \t][^\n]*)?$"
)
# What trace-cmd says of CPUs and losses, and what damo prints between regions.
_CHATTER = re.compile(
    rb"(?:#[^\n]*|[ \t\r]*|cpus=[0-9]+|version = [0-9]+|CPU [0-9]+ is empty"
    rb"|[^\n]*\[(?:LOST [0-9]+ EVENTS|EVENTS DROPPED)\][^\n]*|[a-z_ ]+:[^\n]*)[ \t\r]*$",
    re.IGNORECASE,
)
_SPAN = re.compile(rb"([0-9][0-9,]*(?:\.[0-9]+)?)[ \t]*(ns|us|ms|sec|s|min|m|hour|h|day|d)?\b")
_NANOSECONDS = {
    b"ns": 1, b"us": 10**3, b"ms": 10**6, b"s": 10**9, b"sec": 10**9, b"m": 60 * 10**9,
    b"min": 60 * 10**9, b"h": 3600 * 10**9, b"hour": 3600 * 10**9, b"d": 86400 * 10**9,
    b"day": 86400 * 10**9, b"": 1,
}  # fmt: skip


class _Region(NamedTuple):
    time_us: int
    target: int
    start: int
    end: int
    seen: int


def looks_like_damon(line: bytes) -> bool:
    """Whether a line is of the tracepoint or of damo's raw report."""
    return bool(_TRACEPOINT.match(line) or _RAW_BASE.match(line))


def looks_like_damon_data(head: bytes) -> bool:
    """Whether bytes open as a damon.data does."""
    if head[:1] == b"\x78" and len(head) > 2 and int.from_bytes(head[:2], "big") % 31 == 0:
        try:
            head = zlib.decompressobj().decompress(head, 4096)
        except zlib.error:
            return False
    return head.lstrip()[:1] in (b"[", b"{") and b'"snapshots"' in head[:4096]


def open_damon(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Take regions as virtual addresses, unless the user says that they are physical."""
    physical = options.addresses == "physical"
    tally.note(
        "DAMON tells regions, not pages: each access that it saw is on a page of its region, "
        "evenly in turn, at the end of the interval"
    )
    if not physical:
        tally.note("DAMON's targets are taken for processes; --addresses physical for its paddr")
    regions = (
        _of_data(source)
        if looks_like_damon_data(source.head)
        else _of_text(source, options, tally)
    )
    return Opened(
        NAME,
        physical,
        () if physical else ("vaddr",),
        _chunks(source, regions, tally),
        "converted from DAMON's regions",
        tool="DAMON",
    )


def _of_text(source: Source, options: ConvertOptions, tally: ConvertTally) -> Iterator[_Region]:
    """Regions of the tracepoint's lines, or of the raw report's."""
    raw = _RawReport()
    for first, block in source.blocks():
        for number, line in enumerate(block[:-1].split(b"\n"), first):
            found = _TRACEPOINT.match(line)
            if found:
                seconds, fraction, *rest = found.groups()
                time = int(seconds) * 1_000_000 + int(fraction[:6])
                yield _Region(time, *map(int, rest))
                continue
            if raw.take(line):
                yield from raw.regions
            elif _OTHER_EVENT.match(line):
                tally.rows_in += 1
                tally.leave_out("another event", 1)
            elif not _CHATTER.match(line):
                if not options.skip_bad:
                    raise InputError(
                        f"{source.name}: line {number}: nothing of DAMON's; {NOT_BAD}"
                    )
                tally.rows_in += 1
                tally.leave_out("bad line", 1)


class _RawReport:
    """Where a raw report is: times and target stand in lines before the regions."""

    def __init__(self) -> None:
        self.regions: list[_Region] = []
        """The region of the line that was taken last, if it was of one."""
        self._time_us = 0
        self._target = 0

    def take(self, line: bytes) -> bool:
        """Take a line; False for one that is not of the report."""
        self.regions = []
        if found := _RAW_END.match(line):
            self._time_us = _span_ns(found[1]) // 1000
        elif found := _RAW_TARGET.match(line):
            self._target = int(found[1])
        elif found := _RAW_REGION.match(line):
            start, end, seen = found.groups()
            count = int(seen.replace(b",", b"") or b"0")
            self.regions = [
                _Region(self._time_us, self._target, int(start, 16), int(end, 16), count)
            ]
        return found is not None


def _span_ns(text: bytes) -> int:
    """Nanoseconds of a time as damo prints it: `23 h 20.852 s`, `100.469 ms`."""
    total = 0.0
    for number, unit in _SPAN.findall(text):
        total += float(number.replace(b",", b"")) * _NANOSECONDS[unit]
    return int(total) if total < 1 << 62 else 0


class _Samples(msgspec.Struct, gc=False):
    samples: int | str


class _RegionData(msgspec.Struct, gc=False):
    start: int | str
    end: int | str
    nr_accesses: _Samples | int | str


class _Snapshot(msgspec.Struct, gc=False):
    end_time: int | str
    regions: list[_RegionData]


class _Record(msgspec.Struct, gc=False):
    snapshots: list[_Snapshot]
    target_id: int | str | None = 0


def _of_data(source: Source) -> Iterator[_Region]:
    """Regions of a damon.data, by time."""
    content = _whole_content(source)
    try:
        # Only what is wanted becomes objects: the rest of a large file is passed over.
        records = msgspec.json.decode(content, type=list[_Record] | _Record)
        del content
        regions = list(_of_records([records] if isinstance(records, _Record) else records))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InputError(
            f"{source.name}: no damon.data as damo writes it: {' '.join(str(error).split())[:200]}"
        ) from error
    regions.sort()
    yield from regions


def _whole_content(source: Source) -> bytes:
    """The file's bytes, unpacked where they are packed with zlib."""
    content = bytearray()
    for piece in source.rest():
        content += piece
        if len(content) > _MOST_BYTES:
            raise _too_long(source)
    if content[:1] != b"\x78":
        return bytes(content)
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, _MOST_BYTES)
    except zlib.error as error:
        raise InputError(f"{source.name}: damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise _too_long(source)
    return unpacked


def _too_long(source: Source) -> InputError:
    return InputError(
        f"{source.name}: more than {_MOST_BYTES >> 20} MiB of JSON; "
        f"damo convert_record_format --format perf_script makes lines of it"
    )


def _of_records(records: Iterable[_Record]) -> Iterator[_Region]:
    for record in records:
        target = _whole(record.target_id or 0)
        for snapshot in record.snapshots:
            time = _whole(snapshot.end_time) // 1000
            for region in snapshot.regions:
                seen = region.nr_accesses
                samples = _whole(seen.samples if isinstance(seen, _Samples) else seen)
                if samples >= 0 <= time:  # a snapshot that is no more than a mark has -1
                    yield _Region(time, target, _whole(region.start), _whole(region.end), samples)


def _whole(number: object) -> int:
    """A number that damo may write as a text with commas."""
    value = int(str(number).replace(",", ""))
    if not -1 <= value < 1 << 64:
        raise ValueError(f"{value}: too large a number")
    return value


def _chunks(source: Source, regions: Iterable[_Region], tally: ConvertTally) -> Iterator[Columns]:
    waiting: list[Columns] = []
    rows = touched = 0
    snapshot = regions_seen = last = 0
    for region in regions:
        if region.time_us < last:
            raise InputError(
                f"{source.name}: time goes backwards, from {last} to {region.time_us} us: several "
                f"targets, perhaps; sort its lines by time, or convert one target at a time"
            )
        snapshot += region.time_us > last
        last = region.time_us
        regions_seen += 1
        if region.seen <= 0:
            continue
        _check(source, region)
        waiting.append(_touched(region, snapshot))
        rows += region.seen
        touched += region.seen
        tally.rows_in += region.seen
        if rows >= _ROWS:
            yield _joined(waiting)
            waiting, rows = [], 0
    if waiting:
        yield _joined(waiting)
    if regions_seen and not touched:
        raise InputError(
            f"{source.name}: DAMON saw no access in any of its {regions_seen} "
            f"{'region' if regions_seen == 1 else 'regions'}"
        )


def _check(source: Source, region: _Region) -> None:
    if region.seen > _MOST_SEEN or not region.start < region.end <= 1 << 64:
        raise InputError(
            f"{source.name}: {region.start:#x}-{region.end:#x} with {region.seen} accesses: no "
            f"region of DAMON's"
        )


def _touched(region: _Region, snapshot: int) -> Columns:
    """The pages that stand for what was seen of a region in a snapshot."""
    first = region.start >> PAGE_SHIFT
    pages = max((region.end - 1 >> PAGE_SHIFT) - first + 1, 1)
    phase = snapshot * _TURN % 1
    places = (np.arange(region.seen) + phase) / region.seen
    numbers = np.minimum((places * pages).astype(np.uint64), np.uint64(pages - 1))
    addresses = (np.uint64(first) + numbers) << np.uint64(PAGE_SHIFT)
    return {
        "time_us": np.full(region.seen, region.time_us, np.uint64),
        "address": addresses,
        "vaddr": addresses,
        "owner": np.full(region.seen, region.target & 0x7FFF_FFFF, np.int32),
    }


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
