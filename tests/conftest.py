"""For every test: how they are shared out, what was left out, and that signals arrive."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from pghot.compiled import loops
from tests.left_out import NOT_RUN

settings.register_profile(
    "at any pace",
    settings(),
    deadline=None,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.too_slow],
)
settings.load_profile("at any pace")


class Worker(Protocol):
    """A process that ran some of the tests (pytest-xdist)."""

    config: pytest.Config
    workeroutput: dict[str, dict[str, str]]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = {}
    _heed_signals()


def _heed_signals() -> None:
    """Undo what nohup(1) and background jobs of a shell do: children inherit what is ignored."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Guests come first or last; some tests want compiled loops.

    How long a guest may take is its own affair.  Those that go by instructions take longest and
    mind no neighbours; those by the host's clock wait until no other test wants the CPUs.
    """
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(pytest.mark.timeout(0))
    if loops() == "interpreted":
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(pytest.mark.skip(reason="loops are interpreted"))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    guest = item.get_closest_marker("vm")
    if guest is None:
        return 1
    return 0 if guest.kwargs.get("by_instructions") else 2


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = session.config.stash[NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    not_run = getattr(node, "workeroutput", {}).get("not_run", {})
    node.config.stash[NOT_RUN].update(not_run)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the very last line what a run that must leave nothing out has left out."""
    left_out = config.stash.get(NOT_RUN, {})
    if left_out and os.environ.get("CI") == "true" and not hasattr(config, "workeroutput"):
        reasons = defaultdict(list)
        for what, reason in left_out.items():
            reasons[reason].append(what)
        told = "; ".join(f"{', '.join(all_)}: {why}" for why, all_ in reasons.items())
        print(f"NOT RUN: {told}", flush=True)
