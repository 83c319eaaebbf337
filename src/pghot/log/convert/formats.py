"""Which foreign format a file has, by its content."""

from __future__ import annotations

from collections.abc import Callable

from pghot.errors import InputError
from pghot.log.convert import csv_pairs, lackey, perf_data, perf_script
from pghot.log.convert.samples import Opened, Options, Tally
from pghot.log.convert.source import Source

Opener = Callable[[Source, Options, Tally], Opened]

FORMATS: dict[str, Opener] = {
    perf_data.NAME: perf_data.open_perf_data,
    perf_script.NAME: perf_script.open_perf_script,
    lackey.NAME: lackey.open_lackey,
    csv_pairs.NAME: csv_pairs.open_csv,
}

_LINES_LOOKED_AT = 200


def open_format(source: Source, name: str | None, options: Options, tally: Tally) -> Opened:
    """Open a file as the named format, or as the one that it looks like."""
    if name is not None and name not in FORMATS:
        raise InputError(f"--format {name!r}: wants one of {', '.join(FORMATS)}")
    return FORMATS[name or sniff(source, options)](source, options, tally)


def sniff(source: Source, options: Options) -> str:
    """Give the name of the format that the first bytes show; InputError where none does."""
    if not source.head:
        raise InputError(f"{source.name}: is empty")
    if perf_data.looks_like_perf_data(source.head):
        return perf_data.NAME
    for line in source.head.split(b"\n")[:_LINES_LOOKED_AT]:
        if lackey.looks_like_lackey(line):
            return lackey.NAME
        if perf_script.looks_like_perf_script(line):
            return perf_script.NAME
        if csv_pairs.looks_like_csv(line, options):
            return csv_pairs.NAME
    raise InputError(
        f"{source.name}: is none of {', '.join(FORMATS)} by its looks; name it with --format"
    )
