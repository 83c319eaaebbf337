"""Foreign traces become access logs (R7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.log.convert.formats import open_format
from pghot.log.convert.perf_fields import parse_fields
from pghot.log.convert.placement import FAST_SHARE, STARTS, FramePlacement, plan
from pghot.log.convert.samples import (
    ADDRESSES,
    INSTRUCTIONS_PER_SECOND,
    TIME_UNITS,
    ConvertOptions,
    ConvertTally,
    Llc,
    Opened,
)
from pghot.log.convert.source import Progress, open_source
from pghot.log.convert.spool import open_spool
from pghot.log.machine import Machine
from pghot.log.regions import to_extra
from pghot.log.schema import PAGE_SIZE, REQUIRED, SOURCES, Columns, Metadata
from pghot.log.write import LogWriter, create_log

_NO_USABLE = "has no usable access"
MAX_RATE = 10**12
PAGE_SIZES = (4 << 10, 16 << 10, 64 << 10)
_RETRIED_US = 100
"""A fault this soon after one on the same page is the same one, retried."""

_FEW_WAKE_UPS_US = 500_000
_LONG_ENOUGH_US = 10_000_000
_EVENTS_NAMED = 4


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What a conversion did.  `rows_in` is `rows_out` and all of `left_out` together."""

    format: str
    addresses: str
    """`physical` or `virtual`."""
    machine: str
    """`given`, `synthetic`, or `none`."""
    rows_in: int
    rows_out: int
    left_out: dict[str, int]
    """Rows by the reason why they are not in the log."""
    pages: int
    """Distinct pages in the log."""
    notes: tuple[str, ...]
    """Remarks for the user."""


def convert(
    source: Path | str,
    out: Path | str,
    *,
    format: str | None = None,  # noqa: A002 - the option's name
    machine: Machine | Path | str | None = None,
    sample: int = 1,
    nid: int | None = None,
    source_name: str | None = None,
    addresses: str = "auto",
    skip_bad: bool = False,
    time_unit: str | None = None,
    delimiter: str = ",",
    llc: Llc | None = None,
    ips: int = INSTRUCTIONS_PER_SECOND,
    fields: str | None = None,
    columns: str | None = None,
    order_as_time: int | None = None,
    page_size: int = PAGE_SIZE,
    start: str = "first-touch",
    fast_share: float = FAST_SHARE,
    force: bool = False,
    progress: Progress | None = None,
) -> ConvertReport:
    """Write the accesses of `source` (`-` is standard input) as an access log.

    One in `sample` is kept.  Virtual pages get PFNs in the order of their first touch, on
    the machine or on a two-tier one made to fit: from `start` "first-touch" on the fast
    node as long as it has room (`fast_share` of all pages on a machine that is made), then
    on the slow one; from "slow" all on the slow one.  InputError where the file, an option
    or the machine cannot be used; nothing is left behind then.
    """
    _check_options(sample, source_name, addresses, time_unit)
    _check_placement(start, fast_share, order_as_time, page_size)
    options = ConvertOptions(
        addresses,
        skip_bad,
        time_unit,
        delimiter,
        llc or Llc(),
        ips,
        parse_fields(fields) if fields is not None else None,
        tuple(columns.split(",")) if columns is not None else None,
        order_as_time,
        page_size,
    )
    if machine is not None and not isinstance(machine, Machine):
        machine = Machine.load(machine)
    _refuse_itself(source, Path(out))
    tally = ConvertTally()
    with open_source(source, progress) as stream:
        opened = open_format(stream, format, options, tally)
        placement = plan(
            stream.name,
            machine,
            nid,
            tally,
            physical=opened.physical,
            skip_bad=skip_bad,
            start=start,
            fast_share=fast_share,
            page_size=page_size,
        )
        metadata = _metadata(opened, machine, sample)
        optional = tuple(name for name in opened.columns if name not in REQUIRED)
        with create_log(out, metadata, optional=optional, force=force) as log:
            rows = _rows(opened, placement, sample, source_name, tally)
            last = _Last()
            if machine is None and not opened.physical:
                _write_when_counted(last.of(rows), log, placement, Path(out).parent, optional)
            else:
                for chunk in last.of(rows):
                    log.write(chunk)
            if not log.rows:
                raise InputError(f"{stream.name}: {_NO_USABLE}{_why(tally)}")
            _remark_on_machine(opened, machine, Path(out), tally)
            _remark_on_length(opened, options, last.time_us, tally)
            placement.remark()
            if machine is not None and not opened.physical:
                log.metadata = replace(log.metadata, machine=placement.started().to_dict())
            log.metadata = replace(
                log.metadata, taken_by=_taken_by(opened, tally), notes=tally.remarks()
            )
    return ConvertReport(
        format=opened.format,
        addresses="physical" if opened.physical else "virtual",
        machine="given" if machine else "none" if opened.physical else "synthetic",
        rows_in=tally.rows_in,
        rows_out=log.rows,
        left_out=dict(tally.left_out),
        pages=placement.pages.count,
        notes=tally.remarks(),
    )


def _refuse_itself(source: Path | str, out: Path) -> None:
    """Refuse to write a log over the trace that it is made of, whatever --force says."""
    if str(source) != "-" and out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError(f"{out}: is the trace itself; choose another name for the log")


def _check_options(
    sample: int, source_name: str | None, addresses: str, time_unit: str | None
) -> None:
    if sample < 1:
        raise InputError(f"--sample {sample}: wants 1 or more")
    for option, value, known in (
        ("--source", source_name, (None, *SOURCES)),
        ("--addresses", addresses, ADDRESSES),
        ("--time-unit", time_unit, (None, *TIME_UNITS)),
    ):
        if value not in known:
            names = ", ".join(filter(None, known))
            raise InputError(f"{option} {value!r}: wants one of {names}")


def _check_placement(
    start: str, fast_share: float, order_as_time: int | None, page_size: int
) -> None:
    if start not in STARTS:
        raise InputError(f"--start {start!r}: wants one of {', '.join(STARTS)}")
    if not 0 < fast_share < 1:
        raise InputError(f"--fast-share {fast_share}: wants more than 0 and less than 1")
    if order_as_time is not None and not 1 <= order_as_time <= MAX_RATE:
        raise InputError(f"--order-as-time {order_as_time}: wants 1 to {MAX_RATE}")
    if page_size not in PAGE_SIZES:
        sizes = ", ".join(str(size >> 10) for size in PAGE_SIZES)
        raise InputError(f"--page-size {page_size}: wants one of {sizes} KiB")


def _metadata(opened: Opened, machine: Machine | None, sample: int) -> Metadata:
    taken = opened.taken + (f"; one access in {sample} kept" if sample > 1 else "")
    # A simulator's trace lists every access; how many a sample of others stands for, none says.
    extra = to_extra(opened.regions)
    if opened.every_access:
        extra |= {"accesses_a_row": sample}
    if machine is None:
        return Metadata(taken=taken, extra=extra)
    return Metadata(taken=taken, hz=machine.hz, machine=machine.to_dict(), extra=extra)


def _rows(
    opened: Opened, placement: FramePlacement, sample: int, source: str | None, tally: ConvertTally
) -> Iterator[Columns]:
    """The rows of the log; time starts at the first of them."""
    zero: np.uint64 | None = None
    skip = 0  # rows to leave out before the next one that is kept
    for fresh in opened.chunks:
        chunk = _merged_faults(fresh, tally)
        count = len(chunk["time_us"])
        kept = {name: array[skip::sample] for name, array in chunk.items()}
        taken = len(kept["time_us"])
        skip = (skip - count) % sample
        tally.leave_out("not sampled", count - taken)
        placed = placement.pfns(kept)
        rows = len(placed["time_us"])
        if not rows:
            continue
        if zero is None:
            zero = placed["time_us"][0]
        sources = np.full(rows, SOURCES[source or "hwhint"], dtype=np.int8)
        yield {
            **{name: placed[name] for name in opened.columns},
            "time_us": placed["time_us"] - zero,
            "pfn": placed["pfn"],
            "nid": placement.nids(placed),
            "source": placed["source"] if source is None and "source" in placed else sources,
        }


def _merged_faults(rows: Columns, tally: ConvertTally) -> Columns:
    """Rows without those of a fault that was retried: same page and process, at once after."""
    if "source" not in rows or (rows["source"] != SOURCES["hintfault"]).all():
        return rows
    page = rows["address"] >> np.uint64(PAGE_SHIFT)
    again = np.zeros(len(page), np.bool_)
    again[1:] = (
        (page[1:] == page[:-1])
        & (rows["source"][1:] == SOURCES["hintfault"])
        & (rows["source"][:-1] == SOURCES["hintfault"])
        & (rows["time_us"][1:] - rows["time_us"][:-1] <= _RETRIED_US)
    )
    if "pid" in rows:
        again[1:] &= rows["pid"][1:] == rows["pid"][:-1]
    if not again.any():
        return rows
    tally.leave_out("the same fault again", int(np.count_nonzero(again)))
    return {name: array[~again] for name, array in rows.items()}


class _Last:
    """Time of the last row that went by."""

    time_us = 0

    def of(self, chunks: Iterator[Columns]) -> Iterator[Columns]:
        for chunk in chunks:
            self.time_us = int(chunk["time_us"][-1])
            yield chunk


def _taken_by(opened: Opened, tally: ConvertTally) -> str:
    """The program that took the trace, and of what events."""
    events = [name for name, _rows in tally.events.most_common(_EVENTS_NAMED)]
    more = len(tally.events) - len(events)
    words = ", ".join(events) + (f" and {more} more" if more > 0 else "")
    return f"{opened.tool}: {words}" if words and opened.tool else words or opened.tool


def _remark_on_length(
    opened: Opened, options: ConvertOptions, lasts_us: int, tally: ConvertTally
) -> None:
    """Warn of a log that ends before kmigrated has woken a few times."""
    if not opened.virtual_clock or lasts_us >= _FEW_WAKE_UPS_US:
        return
    rate = options.ips if opened.virtual_clock == "--ips" else options.order_as_time or 1
    lasts = f"{lasts_us / 1000:g} ms of virtual time"
    said = f"the log lasts {lasts}, and kmigrated wakes up every 100 ms"
    slower = rate * lasts_us // _LONG_ENOUGH_US
    if slower:
        said += f": {opened.virtual_clock} {slower} would make it last some 10 s"
    tally.note(said)


def _write_when_counted(
    rows: Iterator[Columns],
    log: LogWriter,
    placement: FramePlacement,
    directory: Path,
    columns: tuple[str, ...],
) -> None:
    """Write rows whose PFNs start where the slow node does, which its size decides."""
    with open_spool(directory, (*REQUIRED, *columns)) as spool:
        for chunk in rows:
            spool.write(chunk)
        machine = placement.made()
        log.metadata = replace(log.metadata, hz=machine.hz, machine=machine.to_dict())
        for chunk in spool.read():
            log.write({**chunk, "pfn": placement.placed(chunk["pfn"])})


def _why(tally: ConvertTally) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in tally.left_out.items())
    return f" ({reasons})" if reasons else ""


def _remark_on_machine(
    opened: Opened, machine: Machine | None, out: Path, tally: ConvertTally
) -> None:
    known = machine is not None or not opened.physical
    if known and out.name.endswith((".csv", ".csv.zst")):
        tally.note("CSV has no place for the machine: replay it with --machine FILE")
