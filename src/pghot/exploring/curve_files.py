"""The files of `pghot curve -o DIR`: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet

from pghot.exploring.curve_result import Curve
from pghot.files.whole import whole_directory

TABLE, CURVE = "curve.parquet", "curve.json"


@contextmanager
def curve_directory(path: Path | None, *, force: bool) -> Iterator[Callable[[Curve], None]]:
    """A function that writes a curve; its files appear in `path` at a clean end.

    Without a `path` it writes nothing.  Errors are those of `whole_directory`.
    """
    if path is None:
        yield lambda _curve: None
        return
    with whole_directory(path, (TABLE, CURVE), force=force) as staging:

        def write(curve: Curve) -> None:
            text = json.dumps(curve.to_dict(), indent=2) + "\n"
            pyarrow.parquet.write_table(
                curve.to_arrow(), staging.create(TABLE), compression="zstd"
            )
            staging.create(CURVE).write(text.encode())

        yield write
