"""In the guest: each test's outcome goes to the shared directory as soon as it is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.vm.machine import SHARED


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append one row a test: a failure of set-up or tear-down counts as the test's."""
    if SHARED not in os.environ or (report.passed and report.when != "call"):
        return
    text = report.capstdout
    if report.skipped:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    elif report.failed:
        text = f"{report.when}:\n{report.longreprtext}\n{report.capstdout}\n{report.capstderr}"
    row = {"test": report.nodeid, "outcome": report.outcome, "text": text}
    with (Path(os.environ[SHARED]) / "results").open("a") as file:
        file.write(json.dumps(row) + "\n")
