"""Which foreign format a file has, by its content."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from pghot.errors import InputError
from pghot.log.convert import (
    champsim,
    csv_rows,
    damon,
    drmemtrace,
    lackey,
    page_faults,
    perf_data,
    perf_fields,
    perf_mem,
    perf_script,
)
from pghot.log.convert.samples import ConvertOptions, ConvertTally, Opened
from pghot.log.convert.source import Source
from pghot.log.file_kinds import named_kind

Opener = Callable[[Source, ConvertOptions, ConvertTally], Opened]

FORMATS: dict[str, Opener] = {
    perf_data.NAME: perf_data.open_perf_data,
    perf_script.NAME: perf_script.open_perf_script,
    page_faults.NAME: page_faults.open_page_faults,
    perf_mem.NAME: perf_mem.open_perf_mem,
    damon.NAME: damon.open_damon,
    lackey.NAME: lackey.open_lackey,
    drmemtrace.NAME: drmemtrace.open_drmemtrace,
    champsim.NAME: champsim.open_champsim,
    csv_rows.NAME: csv_rows.open_csv,
}

# The narrower first: a page fault's line and DAMON's are samples of perf script as well.
_BY_LINE: dict[str, Callable[[bytes], bool]] = {
    damon.NAME: damon.looks_like_damon,
    page_faults.NAME: page_faults.looks_like_page_fault,
    perf_mem.NAME: perf_mem.looks_like_perf_mem,
    drmemtrace.NAME: drmemtrace.looks_like_drmemtrace,
    lackey.NAME: lackey.looks_like_lackey,
    perf_script.NAME: perf_script.looks_like_perf_script,
}

_LINES_LOOKED_AT = 200


def open_format(
    source: Source, name: str | None, options: ConvertOptions, tally: ConvertTally
) -> Opened:
    """Open a file as the named format, or as the one that it looks like."""
    if name is not None and name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        hint = f"perhaps {near[0]}; " if near else ""
        raise InputError(f"--format {name!r}: {hint}wants one of {', '.join(FORMATS)}")
    return FORMATS[name or sniff(source, options)](source, options, tally)


def sniff(source: Source, options: ConvertOptions) -> str:
    """The name of the format that the first bytes show; InputError where none does."""
    if not source.head:
        raise InputError(f"{source.name}: is empty")
    if perf_data.looks_like_perf_data(source.head):
        return perf_data.NAME
    if damon.looks_like_damon_data(source.head):
        return damon.NAME
    kind = named_kind(source.head)
    if kind is not None and champsim.looks_like_champsim(source.head):
        return champsim.NAME
    if kind is not None:
        raise InputError(f"{source.name}: is {kind}; no trace that convert reads")
    lines = source.head.split(b"\n")[:_LINES_LOOKED_AT]
    name = _first_named(lines)
    if name is not None:
        return name
    if options.fields is not None:
        return perf_script.NAME
    if any(map(perf_script.lacks_time, lines)):
        raise InputError(
            f"{source.name}: perf script text without times; print with perf script -F "
            f"{perf_fields.EXAMPLE}"
        )
    if any(csv_rows.looks_like_csv(line, options) for line in lines):
        return csv_rows.NAME
    raise InputError(
        f"{source.name}: is none of {', '.join(FORMATS)} by its looks; name it with --format"
    )


def _first_named(lines: list[bytes]) -> str | None:
    """The format of the first line that has one; tracepoints of no format of ours count last."""
    name = None
    for line in lines:
        found = _by_line(line)
        if found != perf_script.NAME or not perf_script.has_trace_text(line):
            if found:
                return found
        else:
            name = found
    return name


def _by_line(line: bytes) -> str | None:
    """The format that has lines like this one and no other."""
    return next((name for name, looks_like in _BY_LINE.items() if looks_like(line)), None)
