"""A directory that `pghot curve`, `sweep` or `advise` wrote, as what a report says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pghot.errors import InputError
from pghot.exploring.advice_files import ADVICE
from pghot.exploring.curve_files import CURVE
from pghot.exploring.store import TABLE
from pghot.report.page.advice_page import advice_content
from pghot.report.page.curve_page import curve_content
from pghot.report.page.page import Content
from pghot.report.page.sweep_page import sweep_content

READERS: dict[str, Callable[[Path], Content]] = {
    CURVE: curve_content,
    TABLE: sweep_content,
    ADVICE: advice_content,
}
"""By the file that tells what a directory is."""


def read_explored(paths: Sequence[Path]) -> Content | None:
    """What a report says of a curve, a sweep or advice; None where there is none of them.

    InputError where it cannot be read, or there are other results beside it.
    """
    kinds = [(path, name) for path in paths for name in READERS if (path / name).is_file()]
    if not kinds:
        return None
    if len(paths) > 1:
        raise InputError(f"{kinds[0][0]}: a curve, a sweep or advice has a report of its own")
    path, name = kinds[0]
    return READERS[name](path / name)
