"""perf.data as `perf record` writes it (perf.data-file-format.txt, linux/perf_event.h).

perf_file.py finds events and records, perf_samples.py and perf_spe.py decode them.  Samples
of one buffer are in time order, buffers are not, so all are sorted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.convert import perf_layout as layout
from pghot.log.convert import perf_samples, perf_spe
from pghot.log.convert.perf_file import MAGIC, Attr, PerfFile, is_fault, open_perf_file
from pghot.log.convert.perf_maps import mappings
from pghot.log.convert.perf_samples import Layouts
from pghot.log.convert.samples import (
    ConvertOptions,
    ConvertTally,
    Opened,
    use_physical,
    with_address,
)
from pghot.log.convert.source import Source
from pghot.log.schema import SOURCES, Columns

NAME = "perf-data"
_SWAPPED = MAGIC[::-1]
_OLD_MAGIC = b"PERFFILE"

_ROWS = 1 << 18
_OP_LOAD, _OP_STORE = 2, 4
_NO_EVENT = np.iinfo(np.uint16).max
"""Stands for the event of what Arm SPE sampled."""

_AGAIN = "record again with perf record -e EVENT -d --phys-data --sample-cpu -o FILE"


_IN_WORDS = re.compile(
    r"(?:exceptions:page_fault_(?:user|kernel)|damon:damon_aggregated)(?::\w*)?"
)
"""Tracepoints whose text has the addresses."""


def looks_like_perf_data(head: bytes) -> bool:
    """Whether a file opens as any perf.data does, readable here or not."""
    return head.startswith((MAGIC, _SWAPPED, _OLD_MAGIC))


def open_perf_data(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Read the header and the samples, in the order of their times."""
    _refuse_other_kinds(source)
    file = open_perf_file(source)
    for part in file.stretches:
        tally.tell("samples lost, as the kernel says: the log lacks them", int(part.told[0]))
        tally.tell("times the kernel throttled sampling", int(part.told[1]))
        tally.tell("samples are of guests: their addresses are the guest's own", int(part.told[2]))
    rows, order = _samples(source, file, options, tally)
    if source.size is not None:
        source.tick(source.size)
    _remark_on_hidden(file, rows, options, tally)
    physical = use_physical(
        source.name,
        options.addresses,
        physical=bool(rows["phys"].any()),
        virtual=bool(rows["vaddr"].any()),
        remedy=_remedy(file.attrs),
    )
    columns = _columns(file.attrs, rows)
    _count_events(file.attrs, rows, tally)
    return Opened(
        NAME,
        physical,
        columns,
        _chunks(rows, order, columns, tally, file.attrs, physical),
        "converted from perf.data",
        tool="perf",
        regions=tuple(mappings(file)),
    )


def _refuse_other_kinds(source: Source) -> None:
    head = source.head
    if head.startswith(_SWAPPED):
        raise InputError(
            f"{source.name}: written on a machine of the other byte order; convert the output "
            f"of perf script instead"
        )
    if head.startswith(_OLD_MAGIC):
        raise InputError(
            f"{source.name}: perf.data of a kernel before 3.0; convert the output of perf script"
        )
    if not head.startswith(MAGIC):
        raise InputError(f"{source.name}: not a perf.data file: it does not start with PERFILE2")


def _samples(
    source: Source, file: PerfFile, options: ConvertOptions, tally: ConvertTally
) -> tuple[Columns, npt.NDArray[np.intp]]:
    """All samples of events that have a time and an address, and their order in time."""
    parts = [rows for rows in [perf_spe.samples(source, file, options, tally)] if rows]
    for rows in parts:
        rows["event"] = np.full(len(rows["time"]), _NO_EVENT, np.uint16)
    if not parts or any(_usable(attr) for attr in file.attrs):
        parts += _kernel_samples(source, file, options, tally, alone=not parts)
    names = parts[0]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return rows, np.argsort(rows["time"], kind="stable")


def _remedy(attrs: list[Attr]) -> str:
    """How the addresses are to be had, where the samples have none."""
    named = next((attr.name for attr in attrs if _IN_WORDS.fullmatch(attr.name)), None)
    if named is None:
        return _AGAIN
    return f"{named} has them in its text: convert what perf script -i FILE prints"


def _kernel_samples(
    source: Source, file: PerfFile, options: ConvertOptions, tally: ConvertTally, *, alone: bool
) -> list[Columns]:
    """The samples that the kernel took; `alone` where nothing else has any."""
    if not alone and not any(_usable(attr) for attr in file.attrs):
        return []
    layouts = _layouts(source, file.attrs)
    tallied = np.zeros(4, dtype=np.int64)
    parts = []
    for part in file.stretches:
        total = int(part.kinds[layout.RECORD_SAMPLE])
        rows = perf_samples.empty_rows(total)
        kept = perf_samples.decode(part.data, part.begin, part.end, layouts, rows, tallied)
        tally.rows_in += total
        parts.append({name: array[:kept] for name, array in rows.items()})
    bad, first_bad, useless, unknown = (int(number) for number in tallied)
    if bad and not options.skip_bad:
        raise InputError(
            f"{source.name}: byte {first_bad}: the sample is shorter than its event says; "
            f"--skip-bad leaves such samples out"
        )
    tally.leave_out("bad sample", bad)
    tally.leave_out("event without address or time", useless)
    tally.leave_out("unknown event", unknown)
    return parts


def _usable(attr: Attr) -> bool:
    return attr.has(layout.TIME) and (attr.has(layout.ADDR) or attr.has(layout.PHYS_ADDR))


def _layouts(source: Source, attrs: list[Attr]) -> Layouts:
    usable = [_usable(attr) for attr in attrs]
    if not any(attr.has(layout.TIME) for attr in attrs):
        raise InputError(f"{source.name}: the samples have no time; record with -T")
    if not any(usable):
        raise InputError(f"{source.name}: the samples have no address; {_remedy(attrs)}")
    pairs = sorted((ident, at) for at, attr in enumerate(attrs) for ident in attr.ids)
    return Layouts(
        np.array([attr.sample_type for attr in attrs], dtype=np.uint64),
        np.array([attr.read_format for attr in attrs], dtype=np.uint64),
        np.array([attr.branch_type for attr in attrs], dtype=np.uint64),
        np.array([attr.regs_user.bit_count() for attr in attrs], dtype=np.int64),
        np.array([attr.regs_intr.bit_count() for attr in attrs], dtype=np.int64),
        np.array(usable, dtype=np.bool_),
        np.array([ident for ident, _at in pairs], dtype=np.uint64),
        np.array([at for _ident, at in pairs], dtype=np.int64),
        _id_offset(source, attrs),
    )


def _id_offset(source: Source, attrs: list[Attr]) -> int:
    """Where in a sample its event's id stands; -1 where there is no need to look.

    Events that look the same need not be told apart, unless some are faults and some not.
    """
    offsets = {_id_offset_of(attr) for attr in attrs}
    alike = len({attr.shape for attr in attrs}) == 1
    if alike and (len(attrs) == 1 or -1 in offsets or not all(attr.ids for attr in attrs)):
        return -1
    if len(offsets) > 1 or -1 in offsets:
        raise InputError(
            f"{source.name}: the samples do not say of which event they are; record one event"
        )
    return offsets.pop()


def _id_offset_of(attr: Attr) -> int:
    if attr.has(layout.IDENTIFIER):
        return 0
    before = (layout.IP, layout.TID, layout.TIME, layout.ADDR)
    return sum(8 for bit in before if attr.has(bit)) if attr.has(layout.ID) else -1


def _remark_on_hidden(
    file: PerfFile, rows: Columns, options: ConvertOptions, tally: ConvertTally
) -> None:
    """Why there is no physical address where they were asked for."""
    asked = any(attr.has(layout.PHYS_ADDR) for attr in file.attrs)
    if not asked or options.addresses == "virtual" or not len(rows["phys"]) or rows["phys"].any():
        return
    if any(attr.name.startswith("page-faults") for attr in file.attrs if is_fault(attr)):
        why = "a page-faults sample is taken before the page is mapped (minor-faults is after)"
    else:
        why = "perf had no right to see it (root has)"
    tally.note(f"phys_addr is 0 in all samples, for {why}: virtual addresses are taken")


def _count_events(attrs: list[Attr], rows: Columns, tally: ConvertTally) -> None:
    numbers, counts = np.unique(rows["event"], return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        name = "arm_spe" if number == _NO_EVENT else attrs[number].name
        tally.events[name] += count


def _columns(attrs: list[Attr], rows: Columns) -> tuple[str, ...]:
    spe = bool((rows["event"] == _NO_EVENT).any())
    columns = ["vaddr"] if spe or any(attr.has(layout.ADDR) for attr in attrs) else []
    if spe or any(attr.has(layout.TID) for attr in attrs):
        columns.append("pid")
    if spe or any(attr.has(layout.CPU) for attr in attrs):
        columns.append("cpu")
    if (rows["op"] & (_OP_LOAD | _OP_STORE)).any():
        columns.append("write")
    return tuple(columns)


def _chunks(
    rows: Columns,
    order: npt.NDArray[np.intp],
    columns: tuple[str, ...],
    tally: ConvertTally,
    attrs: list[Attr],
    physical: bool,
) -> Iterator[Columns]:
    sources = np.full(1 << 16, SOURCES["hwhint"], np.int8)
    for number, attr in enumerate(attrs[:_NO_EVENT]):
        if is_fault(attr):
            sources[number] = SOURCES["hintfault"]
    for start in range(0, len(order), _ROWS):
        part = {name: array[order[start : start + _ROWS]] for name, array in rows.items()}
        chunk: Columns = {
            "time_us": part["time"] // np.uint64(1000),
            "address": part["phys"] if physical else part["vaddr"],
            "write": (part["op"] & _OP_STORE) != 0,
            "source": sources[part["event"]],
        }
        chunk |= {name: part[name] for name in ("vaddr", "pid", "cpu")}
        wanted = {"time_us", "address", "source", *columns}
        yield with_address(
            {name: array for name, array in chunk.items() if name in wanted},
            tally,
            physical=physical,
        )
