"""A progress bar on stderr, where stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

Progressed = Callable[[float, float], None]


@contextmanager
def rows_progress(log: Path, what: str = "replaying") -> Iterator[Callable[[int], None] | None]:
    """A function that takes the rows done so far, or None where nobody looks."""
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
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.update(task, completed=rows)


@contextmanager
def points_progress() -> Iterator[Callable[[int, int], None] | None]:
    """A function that takes the points that have ended and all; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("points"),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def lines_progress() -> Iterator[Callable[[str], None] | None]:
    """A function that takes what is under way; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


@contextmanager
def time_progress(policies: Sequence[str]) -> Iterator[Callable[[str], Progressed | None]]:
    """A function that takes the policy under way and gives what is told of its time.

    That takes the virtual time done and the end to be expected, in seconds; it is None
    where nobody looks.
    """
    if not sys.stderr.isatty():
        yield lambda _policy: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.1f}{task.fields[of]} s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=0.0, of="")

        def begin(policy: str) -> Progressed:
            number = policies.index(policy) + 1
            bar.reset(task, description=f"{policy} ({number} of {len(policies)})", total=0.0)

            def tell(done: float, end: float) -> None:
                """Show the end to be expected, where there is one."""
                total = max(done, end)
                known = isfinite(total)
                bar.update(
                    task,
                    completed=done,
                    total=total if known else None,
                    of=f" of {total:,.1f}" if known else "",
                )

            return tell

        yield begin
