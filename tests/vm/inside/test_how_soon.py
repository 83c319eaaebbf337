"""How soon hot pages are fast: `pghot run` beside what the kernel has, in one boot.

The load is the same each time.  No second is asserted: a machine may be slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.vm import daemon, damon, load
from tests.vm.layout import FAST, SLOW
from tests.vm.promotion import fast, share_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

TOTAL_MIB, HOT_MIB = 64, 16
PATIENCE_S = 30
PAUSED = "1 ms between rounds"
BUSY = "no pause"


def measure(process: load.Load, since: float | None = None) -> tuple[str, int]:
    """Wait for 99 % of the hot pages: words for the table, and the cold pages moved.

    `since` is on CLOCK_MONOTONIC; the load's start where not given.
    """
    hot, cold = process.addresses(TOTAL_MIB)
    since = process.started if since is None else since
    end = time.monotonic() + PATIENCE_S
    while (share := share_fast(process, hot)) < 0.99 and time.monotonic() < end:
        time.sleep(0.1)  # looking takes the processor from whoever is looked at
    seconds = time.monotonic() - since
    cold_moved = fast(process.pid, cold)
    when = f"{seconds:6.2f} s" if share >= 0.99 else f"{share:.1%} after {seconds:.0f} s"
    return f"{when}  {cold_moved:6} of {len(cold)}", cold_moved


@contextmanager
def kernel_alone() -> Iterator[None]:
    daemon.BALANCING.write_text("2")
    try:
        yield
    finally:
        daemon.BALANCING.write_text("0")


def test_how_soon_beside_the_kernels_own_promotion_and_damon() -> None:
    rows = []

    def row(who: str, words: str) -> None:
        rows.append(f"{who:52}  {words}")

    launched = (daemon.PGHOT, "run", "--")
    with load.running(TOTAL_MIB, HOT_MIB, prefix=launched) as process:
        words, cold = measure(process)
        process.stop()  # and so the run, which puts the settings back
        row(f"pghot run -- load, {PAUSED}", words)
        assert cold <= 0.01 * (TOTAL_MIB - HOT_MIB) * 256
    with load.running(TOTAL_MIB, HOT_MIB, options=("--pause-us", "0")) as process:
        with daemon.running("-p", str(process.pid)) as pghot:
            words, cold = measure_attached(process, pghot)
            pghot.stop()
        row(f"pghot run -p on a running load, {BUSY}", words)
        assert cold <= 0.01 * (TOTAL_MIB - HOT_MIB) * 256
    with kernel_alone(), load.running(TOTAL_MIB, HOT_MIB) as process:
        row(f"numa_balancing=2, {PAUSED}", measure(process)[0])
    try:
        with damon.promoting(SLOW, FAST), load.running(TOTAL_MIB, HOT_MIB) as process:
            row(f"DAMON {damon.ACTION}, {PAUSED}", measure(process)[0])
    except damon.NotOfferedError as reason:
        row(f"DAMON {damon.ACTION}", str(reason))
    print("99 % of the hot pages fast after, cold pages moved by then:", *rows, sep="\n")


def measure_attached(process: load.Load, pghot: daemon.Daemon) -> tuple[str, int]:
    """Measure from when it watches a load that has been running."""
    hot, _cold = process.addresses(TOTAL_MIB)
    assert np.count_nonzero(process.nodes(hot) == FAST) == 0
    return measure(process, pghot.wait_until_watching())
