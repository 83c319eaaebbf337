"""Foreign traces become access logs (replay.md, "Access log")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.formats import open_format
from pghot.log.convert.placement import Placement, plan, two_tier
from pghot.log.convert.samples import (
    ADDRESSES,
    INSTRUCTIONS_PER_SECOND,
    TIME_UNITS,
    Llc,
    Opened,
    Options,
    Tally,
)
from pghot.log.convert.source import Progress, open_source
from pghot.log.convert.spool import open_spool
from pghot.log.machine import Machine
from pghot.log.schema import REQUIRED, SOURCES, Columns, Metadata
from pghot.log.write import LogWriter, create_log

_NO_USABLE = "has no usable access"


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
    source_name: str = "hwhint",
    addresses: str = "auto",
    skip_bad: bool = False,
    time_unit: str = "us",
    delimiter: str = ",",
    llc: Llc | None = None,
    ips: int = INSTRUCTIONS_PER_SECOND,
    force: bool = False,
    progress: Progress | None = None,
) -> ConvertReport:
    """Write the accesses of `source` (`-` is standard input) as an access log.

    One in `sample` is kept.  Virtual pages are placed on the machine's first lower-tier
    node, or on a two-tier machine made to fit.  InputError where the file, an option or
    the machine cannot be used; nothing is left behind then.
    """
    _check_options(sample, source_name, addresses, time_unit)
    options = Options(addresses, skip_bad, time_unit, delimiter, llc or Llc(), ips)
    if machine is not None and not isinstance(machine, Machine):
        machine = Machine.load(machine)
    tally = Tally()
    with open_source(source, progress) as stream:
        opened = open_format(stream, format, options, tally)
        placement = plan(
            stream.name, machine, nid, tally, physical=opened.physical, skip_bad=skip_bad
        )
        metadata = _metadata(opened, machine, sample)
        columns = tuple(name for name in opened.columns if name not in REQUIRED)
        with create_log(out, metadata, optional=columns, force=force) as log:
            rows = _rows(opened, placement, sample, SOURCES[source_name], tally)
            if machine is None and not opened.physical:
                _write_when_counted(rows, log, placement, Path(out).parent, columns)
            else:
                for chunk in rows:
                    log.write(chunk)
            if not log.rows:
                raise InputError(f"{stream.name}: {_NO_USABLE}{_why(tally)}")
    _remark_on_machine(opened, machine, Path(out), tally)
    return ConvertReport(
        format=opened.format,
        addresses="physical" if opened.physical else "virtual",
        machine="given" if machine else "none" if opened.physical else "synthetic",
        rows_in=tally.rows_in,
        rows_out=log.rows,
        left_out=dict(tally.left_out),
        pages=placement.pages.count,
        notes=tuple(tally.notes),
    )


def _check_options(sample: int, source_name: str, addresses: str, time_unit: str) -> None:
    if sample < 1:
        raise InputError(f"--sample {sample}: wants 1 or more")
    for option, value, known in (
        ("--source", source_name, tuple(SOURCES)),
        ("--addresses", addresses, ADDRESSES),
        ("--time-unit", time_unit, TIME_UNITS),
    ):
        if value not in known:
            raise InputError(f"{option} {value!r}: wants one of {', '.join(known)}")


def _metadata(opened: Opened, machine: Machine | None, sample: int) -> Metadata:
    taken = opened.taken + (f"; one access in {sample} kept" if sample > 1 else "")
    if machine is None:
        return Metadata(taken=taken)
    return Metadata(taken=taken, hz=machine.hz, machine=machine.to_dict())


def _rows(
    opened: Opened, placement: Placement, sample: int, source: int, tally: Tally
) -> Iterator[Columns]:
    """Give the rows of the log; time starts at the first of them."""
    zero: np.uint64 | None = None
    skip = 0  # rows to leave out before the next one that is kept
    for chunk in opened.chunks:
        count = len(chunk["time_us"])
        kept = {name: array[skip::sample] for name, array in chunk.items()}
        taken = len(kept["time_us"])
        skip = (skip - count) % sample
        tally.leave_out("not sampled", count - taken)
        placed = placement.pfns(kept)
        if not len(placed["time_us"]):
            continue
        if zero is None:
            zero = placed["time_us"][0]
        yield {
            **{name: placed[name] for name in opened.columns},
            "time_us": placed["time_us"] - zero,
            "pfn": placed["pfn"],
            "nid": placement.nids(placed),
            "source": np.full(len(placed["pfn"]), source, dtype=np.int8),
        }


def _write_when_counted(
    rows: Iterator[Columns],
    log: LogWriter,
    placement: Placement,
    directory: Path,
    columns: tuple[str, ...],
) -> None:
    """Write rows whose PFNs start where the slow node does, which its size decides."""
    with open_spool(directory, (*REQUIRED, *columns)) as spool:
        for chunk in rows:
            spool.write(chunk)
        machine = two_tier(placement.pages.count)
        log.metadata = Metadata(taken=log.metadata.taken, hz=machine.hz, machine=machine.to_dict())
        start = np.uint64(machine.nodes[1].start_pfn)
        for chunk in spool.read():
            log.write({**chunk, "pfn": chunk["pfn"] + start})


def _why(tally: Tally) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in tally.left_out.items())
    return f" ({reasons})" if reasons else ""


def _remark_on_machine(opened: Opened, machine: Machine | None, out: Path, tally: Tally) -> None:
    if machine is None and opened.physical:
        tally.notes.append("the log names no machine: replay it with --machine FILE")
    elif out.name.endswith((".csv", ".csv.zst")):
        tally.notes.append("CSV has no place for the machine: replay it with --machine FILE")
