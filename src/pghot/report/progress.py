"""A progress bar on stderr, where stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rows_progress(log: Path) -> Iterator[Callable[[int], None] | None]:
    """Give a function that takes the rows done so far, or None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from pghot.errors import InputError
    from pghot.log.read import open_log

    total = None
    try:
        with open_log(log) as opened:
            total = opened.rows
    except InputError:
        pass  # the replay itself will say it
    with Progress(
        TextColumn("replaying"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.update(task, completed=rows)
