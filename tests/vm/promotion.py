"""Watching the pages of a load become fast."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pghot.linux.host import Host
from tests.vm.daemon import START_S
from tests.vm.layout import FAST
from tests.vm.load import Load

Addresses = npt.NDArray[np.uint64]


def fast(pid: int, addresses: Addresses) -> int:
    """How many of a process's pages are on the fast node."""
    return int(np.count_nonzero(Host().move_pages(pid, addresses, None) == FAST))


def share_fast(process: Load, addresses: Addresses) -> float:
    """The share of a load's pages that is on the fast node."""
    return fast(process.pid, addresses) / len(addresses)


def wait_until_fast(process: Load, hot: Addresses, timeout: float = START_S) -> float:
    """Wait until 99 % of the hot addresses are fast; give when, in seconds from its start."""
    wait_until_pages_fast(process.pid, hot, timeout)
    return time.monotonic() - process.started


def wait_until_pages_fast(pid: int, hot: Addresses, timeout: float = START_S) -> None:
    """Wait until 99 % of a process's hot pages are fast."""

    def missing() -> str:
        share = fast(pid, hot) / len(hot)
        return "" if share >= 0.99 else f"{share:.1%} of the hot pages fast"

    wait_for(missing, timeout)


def wait_for(missing: Callable[[], str], timeout: float = START_S, every: float = 0.02) -> None:
    """Wait until nothing is missing; fail with what still is."""
    end = time.monotonic() + timeout
    while lacks := missing():
        assert time.monotonic() < end, f"{lacks} after {timeout:.0f} s"
        time.sleep(every)
