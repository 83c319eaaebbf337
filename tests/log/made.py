"""Logs and machines that tests make up, small enough to be read.

Imported by name: `conftest.py` of every directory that uses it puts it on the path.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot.cli import main
from pghot.log.schema import DTYPES, Columns, Metadata
from pghot.log.write import create_log

MACHINE = """\
[[node]]
id = 0
start_pfn = 0
pages = 32768
toptier = true
cpus = "0-3"
free_pages = 30000
promo_wmark = 100
[[node]]
id = 1
start_pfn = 32768
pages = 65536
toptier = false
"""
"""Two nodes; PFNs from LOWER up to END are on the lower tier."""

LOWER, END = 32768, 98304
METADATA = Metadata(taken="made up by a test", hz=1000, machine=tomllib.loads(MACHINE))


def log_rows(pages: int = 40, rounds: int = 6) -> Columns:
    """Give rows that touch `pages` pages of the lower tier in turn, round after round.

    Every page is ready after its second touch; rounds last 60 ms.
    """
    count = pages * rounds
    at = np.arange(count, dtype=np.uint64)
    return {
        "time_us": at * np.uint64(60_000) // np.uint64(pages),
        "pfn": np.uint64(LOWER) + at % np.uint64(pages) * np.uint64(7),
        "nid": (at % np.uint64(2)).astype(np.int16) - np.int16(1),
        "source": (at // np.uint64(3) % np.uint64(2)).astype(np.int8),
    }


def optional_columns(rows: int) -> Columns:
    """Give a column of every optional kind, its extreme values among them."""
    values: Columns = {}
    for name in ("pid", "vaddr", "cpu", "write", "weight", "memcg", "latency_us", "nr"):
        dtype = np.dtype(DTYPES[name])
        if dtype == np.bool_:
            values[name] = np.arange(rows) % 3 == 0
            continue
        limits = np.iinfo(dtype)
        least = 1 if name == "nr" else limits.min
        values[name] = np.resize(np.array([least, limits.max, 1], dtype), rows)
    return values


def write_log(path: Path, rows: Columns, metadata: Metadata | None = METADATA) -> Path:
    """Write rows, in pieces, with every column they have."""
    optional = tuple(name for name in rows if name not in log_rows(1, 1))
    with create_log(path, metadata, optional=optional) as writer:
        for start in range(0, len(rows["time_us"]), 100):
            writer.write({name: values[start : start + 100] for name, values in rows.items()})
    return path


def write_table(
    path: Path,
    columns: dict[str, Any],
    metadata: Metadata = METADATA,
    row_group_size: int | None = None,
) -> Path:
    """Write a Parquet log as another tool would: any Arrow types, nulls and all."""
    table = pa.table(columns).replace_schema_metadata({"pghot": metadata.to_json()})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def write_csv(
    path: Path, rows: Columns, changes: dict[tuple[int, str], str] | None = None
) -> Path:
    """Write CSV text; `changes` puts text in the place of a row's value (rows count from 1)."""
    changes = changes or {}
    text = io.StringIO()
    print(",".join(rows), file=text)
    for i in range(len(rows["time_us"])):
        print(",".join(changes.get((i + 1, name), str(rows[name][i])) for name in rows), file=text)
    path.write_text(text.getvalue())
    return path


def write_machine(path: Path, text: str = MACHINE) -> Path:
    """Write a machine file."""
    path.write_text(text)
    return path


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    def refusal(self, status: int = 2) -> str:
        """Give the one line on stderr of a command that did nothing else."""
        assert (self.status, self.out) == (status, ""), self
        assert self.err.startswith("pghot: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("pghot: ").rstrip("\n")


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return Outcome(status, *capsys.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Lose the rights of root, who may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def pghot(*arguments: object, before: str = "", limit: int | None = None, **more: Any) -> Outcome:
    """Run the command in a process of its own, after the statements `before`."""
    done = subprocess.run(
        pghot_command(*arguments, before=before),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=file_size_limit(limit) if limit is not None else None,
        **more,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def pghot_command(*arguments: object, before: str = "") -> list[str]:
    """Give the command line of `pghot` with the interpreter that runs the tests."""
    code = f"import sys\n{before}\nfrom pghot.cli import main\nsys.exit(main())"
    return [sys.executable, "-c", code, *map(str, arguments)]


def file_size_limit(size: int) -> Callable[[], None]:
    """Give what a child does first so that its files cannot grow beyond `size`: a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def entries(directory: Path) -> list[str]:
    """Give the names in a directory, hidden ones too."""
    return sorted(path.name for path in directory.iterdir())
