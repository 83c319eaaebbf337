"""Text that `perf script` prints; perf_fields.py says which columns it has.

A line is split where its columns begin, after the time and the event's name: the command's
name may hold anything, so that place is found by what comes after it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pghot.errors import InputError
from pghot.log.convert import perf_fields
from pghot.log.convert.perf_fields import Body, Head
from pghot.log.convert.samples import (
    BoolArray,
    ConvertOptions,
    ConvertTally,
    Opened,
    U64Array,
    ordinal_times,
    source_of,
    use_physical,
    with_address,
)
from pghot.log.convert.source import Source
from pghot.log.convert.text import (
    Fields,
    LineKind,
    SmallIntegers,
    TimeOrder,
    decimal_numbers,
    hex_numbers,
    match_block,
    printable,
)
from pghot.log.schema import Columns

NAME = "perf-script"

_VM, _PID, _TID, _CPU, _SECONDS, _FRACTION, _EVENT, _BODY = range(8)
_MANY_CPUS = 1 << 15
_OP_LOAD, _OP_STORE = 2, 4
_OFFSET = np.uint64(0xFFF)
_DATA_SRC = re.compile(rb"(?:^|[ \t])([0-9a-f]{1,16})[ \t]+\|OP ")

# Comments of --header, blank lines, call chains (nothing with a time: a command may be called
# dd), side-band records, and what perf says on stderr.
_CHATTER = re.compile(
    rb"^(?:#[^\n]*|[ \t\r]*|[^\n]*PERF_RECORD_[A-Z][^\n]*"
    rb"|[ \t]+[0-9a-f]{1,16}(?![^\n]*[ \t][-+]?[0-9]{1,11}\.[0-9]{1,9}:(?:[ \t\r]|$))"
    rb"(?:[ \t][^\n]*)?"
    rb"|Failed to open [^\n]*|[0-9]{1,20} out of order events recorded\.[ \t\r]*"
    rb"|'[a-z_]+' not valid for [^\n]*|Processed [0-9]+ events and lost [0-9]+ chunks![ \t\r]*"
    rb"|Check IO/CPU overload![ \t\r]*|Warning:[^\n]*)$",
    re.MULTILINE,
)
_LOST = re.compile(rb"PERF_RECORD_LOST(?:_SAMPLES)?:?[ \t]+(?:lost[ \t]+)?([0-9]{1,18})\b")
_LOST_CHUNKS = re.compile(
    rb"^Processed [0-9]+ events and lost ([0-9]{1,18}) chunks!", re.MULTILINE
)
_THROTTLED = re.compile(rb"PERF_RECORD_THROTTLE\b")
# A sample without a time, with columns or a call chain to come.
_NO_TIME = re.compile(
    rb"^[ \t]*+(?:[^ \t\n]{1,32}+[ \t]++){0,9}?[0-9]{1,9}(?:/[0-9]{1,9})?[ \t]++"
    rb"(?:\[[0-9]{1,5}\][ \t]++)?(?:[0-9]{1,20}[ \t]++)?[a-zA-Z][^ \t\n]{0,255}:"
    rb"(?:[ \t]+[0-9a-f]{4,16}(?:[ \t][^\n]*)?)?[ \t\r]*$"
)
_CANNOT_TELL = (
    "cannot tell which column is the data address; say what perf script -F was given with "
    "--fields LIST, or convert perf.data itself"
)


def _sample(head: Head) -> re.Pattern[bytes]:
    """Pattern of a sample; every part is bounded, and so is what a hostile line costs."""
    time = (
        # The last that looks like a time is it: a command may be called like one.
        rb"([0-9]{1,11}+)\.([0-9]{6}(?:[0-9]{3})?+):(?:[ \t]++|(?=\r?$))"
        rb"(?=[^.\n]*+(?:\.(?![0-9]{6}(?:[0-9]{3})?:(?:[ \t\r]|$))[^.\n]*+)*+$)(?!PERF_RECORD_)"
    )
    event = (
        rb"(?:[0-9]{1,20}+[ \t]++)?([^ \t\n]{1,256}+(?<=:))"
        rb"(?:[ \t]++|(?=\r?$))"
    )
    if head.event is None:
        event = rb"(?:" + event + rb")?+"
    elif not head.event:
        event = rb"()" + (rb"[0-9]{1,20}+[ \t]++" if head.period else rb"")
    return re.compile(
        rb"^[ \t]*+(?:VM:[ \t]*+([0-9]{1,10})[ \t]++(?:VCPU:[0-9]{1,5}[ \t]++)?)?+"
        rb"(?:[^ \t\n]{1,32}+[ \t]++){0,9}?"
        rb"(?:(-?[0-9]{1,9}+)(/-?[0-9]{1,9}+)?[ \t]++)?"  # pid, /tid
        rb"(?:\[(-?[0-9]{1,10})\][ \t]++)?(?:[KUHGgMESp?]{1,6}+[ \t]++)?"  # cpu, misc
        + (time if head.time else rb"()()")
        + event
        + rb"([^\n]*+)$",
        re.MULTILINE,
    )


_SAMPLE = _sample(Head())


def looks_like_perf_script(line: bytes) -> bool:
    """Whether a line is a sample."""
    return bool(_SAMPLE.match(line))


_FTRACE = re.compile(
    rb"^[^\n]*?-[0-9]{1,9}[ \t]++(?:\([^\n)]{1,12}\)[ \t]++)?\[[0-9]{1,6}\][ \t]++"
    rb"(?:[a-zA-Z0-9.#]{1,8}[ \t]++)?[0-9]{1,11}\.[0-9]{6}"
)


def has_trace_text(line: bytes) -> bool:
    """Whether a sample is of a tracepoint, as perf, ftrace or trace-cmd print it."""
    found = _SAMPLE.match(line)
    event = found.groups(b"")[_EVENT].removesuffix(b":") if found else b""
    return bool(perf_fields.TRACEPOINT.fullmatch(event) or _FTRACE.match(line))


def lacks_time(line: bytes) -> bool:
    """Whether a line is a sample that was printed without its time."""
    return bool(_NO_TIME.match(line))


def open_perf_script(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Read until the first samples show which columns there are."""
    reader = _Reader(source, options, tally)
    blocks = reader.blocks()
    seen = list(itertools.islice(blocks, 1))
    columns = reader.columns(seen[0].found if seen else [])
    chunks = reader.chunks(itertools.chain(seen, blocks), columns)
    return Opened(
        NAME, reader.physical, columns, chunks, "converted from perf script text", tool="perf"
    )


@dataclass(slots=True)
class _Block:
    line: int
    text: bytes
    found: list[Fields]


@dataclass(slots=True)
class _Reader:
    """Reads the samples of one file, each event's by its own columns."""

    source: Source
    options: ConvertOptions
    tally: ConvertTally
    physical: bool = False
    _kind: LineKind = field(init=False)
    _given: Body | None = None
    _bodies: dict[bytes, Body] = field(default_factory=dict)
    _rows: int = 0

    def __post_init__(self) -> None:
        head = Head()
        if self.options.fields is not None:
            head, self._given = perf_fields.of_fields(
                self.source.name,
                self.options.fields,
                ordered=self.options.order_as_time is not None,
            )
        self._kind = LineKind(
            _sample(head) if self._given else _SAMPLE,
            _CHATTER,
            "perf script sample with a time and an address (perf script -F "
            f"{perf_fields.EXAMPLE})",
        )

    def blocks(self) -> Iterator[_Block]:
        """Blocks that have samples."""
        for line, text in self.source.blocks():
            self._tell(text)
            found = match_block(
                self.source, line, text, self._kind, self.tally, skip_bad=self.options.skip_bad
            )
            if found:
                yield _Block(line, text, found)

    def _tell(self, text: bytes) -> None:
        if b"PERF_RECORD_" in text:
            lost = sum(map(int, _LOST.findall(text)))
            self.tally.tell("samples lost, as perf says: the log lacks them", lost)
            self.tally.tell("times the kernel throttled sampling", len(_THROTTLED.findall(text)))
        if b" chunks!" in text:
            lost = sum(map(int, _LOST_CHUNKS.findall(text)))
            self.tally.tell("chunks of samples lost, as perf says", lost)

    def columns(self, found: list[Fields]) -> tuple[str, ...]:
        """Names of the log's optional columns, by the first samples."""
        bodies = self._learn(found)
        self._decide(bodies)
        self._remark_on_pids(found)
        names = ["vaddr"] if any(body.virtual for body in bodies) else []
        if any(fields[_PID] for fields in found):
            names.append("pid")
        if any(fields[_CPU] for fields in found):
            names.append("cpu")
        if any(_operation(fields[_BODY]) & (_OP_LOAD | _OP_STORE) for fields in found):
            names.append("write")
        return tuple(names)

    def _learn(self, found: list[Fields]) -> list[Body]:
        """What the columns of the events in these samples are; all that are known then."""
        if self._given:
            return [self._given]
        fresh: dict[bytes, list[bytes]] = {}
        for fields in found:
            if fields[_EVENT] not in self._bodies:
                fresh.setdefault(fields[_EVENT], []).append(fields[_BODY])
        for event, bodies in fresh.items():
            name = event.removesuffix(b":")
            body = perf_fields.inferred(name, bodies[:_LOOKED_AT], self.options.addresses)
            if body is None:
                what = printable(name) or "the samples"
                raise InputError(f"{self.source.name}: {what}: {_CANNOT_TELL}")
            self._bodies[event] = body
        return list(self._bodies.values())

    def _decide(self, bodies: Sequence[Body]) -> None:
        """Take physical or virtual addresses; refuse what has neither."""
        reasons = sorted({body.why for body in bodies if body.why})
        if reasons and not any(body.virtual or body.physical for body in bodies):
            raise InputError(
                f"{self.source.name}: the samples have no data address ({', '.join(reasons)}); "
                f"print with perf script -F {perf_fields.EXAMPLE}, and if that is how it was "
                f"printed, say so with --fields; perf.data itself is the surest"
            )
        if self.options.addresses != "virtual" and any(body.hidden for body in bodies):
            self.tally.note(
                "the last column is 0 throughout: where that is phys_addr, perf had no right to "
                "see it (root has), so virtual addresses are taken"
            )
        self.physical = use_physical(
            self.source.name,
            self.options.addresses,
            physical=any(body.physical for body in bodies),
            virtual=any(body.virtual for body in bodies) or not bodies,
            remedy=f"record with --phys-data, and print with -F {perf_fields.EXAMPLE}",
        )

    def _remark_on_pids(self, found: list[Fields]) -> None:
        if self.physical or not found:
            return
        if not found[0][_PID]:
            self.tally.note("no pid is printed: all samples are taken to be of one process")
        elif not found[0][_TID] and "pid" not in (self.options.fields or ()):
            self.tally.note(
                "the number before the time may be a thread's, and threads share their pages; "
                "print with perf script -F pid,tid,..."
            )

    def chunks(self, blocks: Iterator[_Block], columns: tuple[str, ...]) -> Iterator[Columns]:
        """Rows of the log."""
        order = TimeOrder(self.source, self._kind, self.tally, skip_bad=self.options.skip_bad)
        for block in blocks:
            self._learn(block.found)
            fields = list(zip(*block.found, strict=True))
            times = self._times(fields, len(block.found))
            kept = order.keep(block.line, block.text, times)
            if kept is None:
                kept = np.ones(len(times), np.bool_)
            rows = self._rows_of(block, columns, times, kept)
            self._count_events(block.found)
            if not kept.all():
                rows = {name: array[kept] for name, array in rows.items()}
            yield with_address(rows, self.tally, physical=self.physical)

    def _count_events(self, found: list[Fields]) -> None:
        for event, number in _counted(fields[_EVENT] for fields in found).items():
            if event:
                name = printable(event.removesuffix(b":"))
                self.tally.events[name] += number
        guests = sum(1 for fields in found if fields[_VM])
        self.tally.tell("samples are of guests: their addresses are the guest's own", guests)

    def _rows_of(
        self, block: _Block, columns: tuple[str, ...], times: U64Array, kept: BoolArray
    ) -> Columns:
        """Rows of all samples; `kept` becomes False for those to leave out."""
        fields = list(zip(*block.found, strict=True))
        virtual, physical = self._addresses(block, fields, kept)
        rows: Columns = {
            "time_us": times,
            "address": physical if self.physical else virtual,
            "source": np.array([_SOURCES[event] for event in fields[_EVENT]], dtype=np.int8),
        }
        numbers = SmallIntegers()
        if "vaddr" in columns:
            rows["vaddr"] = virtual
        if "pid" in columns:
            rows["pid"] = np.array([numbers[digits] for digits in fields[_PID]], dtype=np.int32)
        if "cpu" in columns:
            cpus = np.array([numbers[digits] for digits in fields[_CPU]], dtype=np.int64)
            if (cpus >= _MANY_CPUS).any():
                raise InputError(
                    f"{self.source.name}: CPU {cpus.max()}: a log has room for CPUs up to "
                    f"{_MANY_CPUS - 1}; print without cpu"
                )
            rows["cpu"] = cpus.astype(np.int16)
        if "write" in columns:
            operations = [_operation(body) for body in fields[_BODY]]
            rows["write"] = (np.array(operations, dtype=np.uint8) & _OP_STORE) != 0
        self._once(block.found, rows, kept)
        return rows

    def _times(self, fields: list[Fields], rows: int) -> U64Array:
        if self.options.order_as_time is not None:
            times = ordinal_times(self._rows, rows, self.options.order_as_time)
            self._rows += rows
            return times
        seconds = decimal_numbers(fields[_SECONDS], 11)
        micros = decimal_numbers([digits[:6] for digits in fields[_FRACTION]], 6)
        return seconds * np.uint64(1_000_000) + micros

    def _addresses(
        self, block: _Block, fields: list[Fields], kept: BoolArray
    ) -> tuple[U64Array, U64Array]:
        """Virtual and physical address of every sample; those that have none are not kept."""
        virtual, physical = np.zeros((2, len(block.found)), np.uint64)
        events = fields[_EVENT]
        for event in {b""} if self._given else set(events):
            body = self._given or self._bodies[event]
            at = (
                slice(None)
                if self._given or len(self._bodies) == 1
                else np.array([number for number, name in enumerate(events) if name == event])
            )
            if not (body.virtual or body.physical):
                self.tally.leave_out(f"event without address ({body.why})", int(kept[at].sum()))
                kept[at] = False
                continue
            bodies = fields[_BODY] if isinstance(at, slice) else [fields[_BODY][n] for n in at]
            one, two = self._numbers(block, body, bodies)
            virtual[at], physical[at] = one, two
        return virtual, physical

    def _numbers(
        self, block: _Block, body: Body, bodies: Sequence[bytes]
    ) -> tuple[U64Array, U64Array]:
        pattern = body.pattern
        found = pattern.findall(b"\n".join(bodies))
        if len(found) != len(bodies):
            bad = next(text for text in bodies if not pattern.match(text))
            self._refuse(block, bad)
        one = hex_numbers([texts[0] for texts in found])
        two = hex_numbers([texts[2] for texts in found])
        if not body.certain and body.physical:
            wrong = (two != 0) & (((one ^ two) & _OFFSET != 0) | (one == two))
            if wrong.any():
                self._refuse(block, bodies[int(np.argmax(wrong))])
        return one, two

    def _refuse(self, block: _Block, body: bytes) -> None:
        at = next(n for n, fields in enumerate(block.found) if fields[_BODY] == body)
        samples = self._kind.sample.finditer(block.text)
        start = next(itertools.islice(samples, at, None)).start()
        line = block.line + block.text.count(b"\n", 0, start)
        if self._given:
            raise InputError(
                f"{self.source.name}: line {line}: has not the columns that --fields names, or "
                f"more than they print"
            )
        raise InputError(
            f"{self.source.name}: line {line}: has not the columns of the lines before it; "
            f"{_CANNOT_TELL}"
        )

    def _once(self, found: list[Fields], rows: Columns, kept: BoolArray) -> None:
        """Keep one of the lines that perf prints for each event of one sample.

        Of Arm SPE it makes an event each of what happened to one sampled access: same time,
        CPU, thread and address, other name.
        """
        times = rows["time_us"]
        if len({fields[_EVENT] for fields in found}) < 2 or self.options.order_as_time is not None:
            return
        before = int(kept.sum())
        seen: dict[tuple[object, ...], dict[bytes, int]] = {}
        last = -1
        for at in np.flatnonzero(times[1:] == times[:-1]).tolist():
            rows_here = (at + 1,) if at == last else (at, at + 1)
            if at != last:
                seen = {}
            last = at + 1
            for row in rows_here:
                fields = found[row]
                key = (*fields[:_EVENT], int(rows["address"][row]))
                names = seen.setdefault(key, {})
                most = max(names.values(), default=0)
                names[fields[_EVENT]] = number = names.get(fields[_EVENT], 0) + 1
                kept[row] &= number > most
        gone = before - int(kept.sum())
        self.tally.leave_out("one sample, printed once for each of its events", gone)


_LOOKED_AT = 2000


class _Sources(dict[bytes, int]):
    def __missing__(self, event: bytes) -> int:
        number = self[event] = source_of(event.removesuffix(b":"))
        return number


_SOURCES = _Sources()


def _counted(events: Iterator[bytes]) -> dict[bytes, int]:
    counts: dict[bytes, int] = {}
    for event in events:
        counts[event] = counts.get(event, 0) + 1
    return counts


def _operation(body: bytes) -> int:
    """The operation bits of data_src; 0 where it is not printed."""
    found = _DATA_SRC.search(body) if b"|OP " in body else None
    return int(found[1], 16) & 0x1F if found else 0
