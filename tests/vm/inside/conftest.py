"""In the guest: each test's outcome goes to the shared directory as soon as it is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import daemon
from tests.vm.machine import SHARED


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that locks the kernel down last, whatever the order: that cannot be undone."""
    items.sort(key=lambda item: item.path.name == "test_under_lockdown.py")


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


@pytest.fixture
def settings_come_back() -> Iterator[None]:
    """Whatever a test does, all settings are in the end what they were.

    NUMA balancing is off at first: it would bring the load's pages nearer while Python starts,
    and look at it less and less often.
    """
    Path(daemon.BALANCING).write_text("0")
    before = daemon.settings()
    yield
    after = daemon.settings()
    for path, value in before.items():
        Path(path).write_text(value)  # the next test starts from here in any case
    assert after == before
