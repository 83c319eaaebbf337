"""`pghot convert`: an access log from another tool's trace."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_QUIET_SECONDS = 2.0
"""No progress bar for what is over sooner."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("source", metavar="IN", help="the trace; - reads text from standard input")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the log to write")
    parser.add_argument(
        "--format",
        help="perf-data, perf-script, page-faults, perf-mem, damon, lackey, drmemtrace, champsim "
        "or csv (by the file's content)",
    )
    parser.add_argument("--machine", metavar="FILE", help="machine file (a two-tier machine)")
    parser.add_argument(
        "--addresses",
        choices=("auto", "physical", "virtual"),
        default="auto",
        help="which addresses to take (physical where the trace has them)",
    )
    parser.add_argument(
        "--sample", type=int, default=1, metavar="N", help="keep one access in N (1)"
    )
    parser.add_argument(
        "--nid", type=int, help="accessing node where the trace does not tell it (-1, unknown)"
    )
    parser.add_argument(
        "--source",
        choices=("hintfault", "hwhint"),
        dest="source_name",
        help="what the log says saw the accesses (hintfault for page faults, hwhint for others)",
    )
    parser.add_argument(
        "--start",
        choices=("first-touch", "slow"),
        default="first-touch",
        help="where virtual pages start: the fast node while it has room, or the slow one "
        "(first-touch)",
    )
    parser.add_argument(
        "--fast-share",
        type=float,
        metavar="SHARE",
        help="of all pages, those that the fast node of a machine made to fit has room for (1/3)",
    )
    parser.add_argument(
        "--page-size",
        default="4KiB",
        metavar="SIZE",
        help="pages of the trace's machine: 4KiB, 16KiB, 64KiB (4KiB)",
    )
    parser.add_argument(
        "--order-as-time",
        type=int,
        metavar="RATE",
        help="accesses a second, for a trace whose order is its only time",
    )
    _add_format_arguments(parser)
    parser.add_argument(
        "--skip-bad", action="store_true", help="count and leave out bad lines and samples"
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _add_format_arguments(parser: argparse.ArgumentParser) -> None:
    perf = parser.add_argument_group("perf script")
    perf.add_argument(
        "--fields", metavar="LIST", help="what perf script -F was given, where that is not plain"
    )
    csv = parser.add_argument_group("CSV")
    csv.add_argument(
        "--columns", metavar="LIST", help="names of the columns, - for one to pass over (header)"
    )
    csv.add_argument(
        "--time-unit",
        choices=("s", "ms", "us", "ns"),
        help="unit of times (as the column's name ends; us)",
    )
    csv.add_argument("--delimiter", default=",", metavar="CHAR", help="between columns (,)")
    lackey = parser.add_argument_group("lackey, drmemtrace, champsim")
    lackey.add_argument(
        "--llc-size", default="8MiB", metavar="SIZE", help="last-level cache; 0 for none (8MiB)"
    )
    lackey.add_argument("--llc-ways", type=int, default=16, metavar="N", help="its ways (16)")
    lackey.add_argument("--llc-line", type=int, default=64, metavar="N", help="bytes a line (64)")
    lackey.add_argument(
        "--ips",
        type=int,
        default=1_000_000_000,
        metavar="N",
        help="instructions a second of virtual time (1000000000)",
    )


def run(args: argparse.Namespace) -> int:
    """Convert a trace; what came of it."""
    from pghot.engine.sizes import parse_size
    from pghot.errors import InputError
    from pghot.log.convert import FAST_SHARE, Llc, convert

    def size(option: str, text: str) -> int:
        try:
            return parse_size(text)
        except ValueError as error:
            raise InputError(f"{option}: {error}") from error

    llc = Llc(size("--llc-size", args.llc_size), args.llc_ways, args.llc_line)
    with _progress() as progress:
        report = convert(
            args.source,
            args.output,
            format=args.format,
            machine=args.machine,
            sample=args.sample,
            nid=args.nid,
            source_name=args.source_name,
            addresses=args.addresses,
            skip_bad=args.skip_bad,
            time_unit=args.time_unit,
            delimiter=args.delimiter,
            llc=llc,
            ips=args.ips,
            fields=args.fields,
            columns=args.columns,
            order_as_time=args.order_as_time,
            page_size=size("--page-size", args.page_size),
            start=args.start,
            fast_share=FAST_SHARE if args.fast_share is None else args.fast_share,
            force=args.force,
            progress=progress,
        )
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    for reason, rows in report.left_out.items():
        print(f"note: {rows} left out: {reason}", file=sys.stderr)
    if args.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        print(
            f"{args.output}: {report.rows_out} accesses to {report.pages} pages, from "
            f"{report.rows_in} in {report.format} ({report.addresses} addresses)"
        )
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None] | None]:
    """Show a bar on a terminal once the work takes more than a moment."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        TextColumn("converting"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("converting", total=None)
    begin = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        if time.monotonic() - begin > _QUIET_SECONDS:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        bar.stop()
