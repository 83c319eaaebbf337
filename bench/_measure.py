"""What every benchmark here needs: CPU time, interleaved rounds, medians of ratios, a table.

Clocks of a shared machine drift, so nothing is compared across runs: in every round each
variant runs once, a ratio is taken against the yardstick of the same round, and the
median of the rounds is shown.  Times are CPU time of this thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

MI = 1 << 20
HINTS_A_JIFFY = 8192
"""Accesses that share one value of jiffies: 8 million a second at HZ=1000."""

Timing = dict[str, list[float]]
"""Seconds by variant, one item a round."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the result: nanoseconds an item, and the ratio to the yardstick."""

    case: str
    variant: str
    ns: float
    ratio: float
    target: float | None = None


def options(doc: str | None) -> argparse.Namespace:
    """Parse the options that every benchmark has."""
    return parser(doc).parse_args()


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return made


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time that this thread spends in `work`."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def interleave(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    before: Callable[[str, int], object] | None = None,
    clock: Callable[[Callable[[], object]], float] = cpu_seconds,
    warm_up: bool = True,
) -> Timing:
    """Time variants in turns, A B A B; `before(name, round)` prepares a turn, untimed.

    `warm_up` makes one round more, the first, that does not count (round -1).
    """
    timing: Timing = {name: [] for name in variants}
    for turn in range(-1 if warm_up else 0, rounds):
        for name, work in variants.items():
            if before:
                before(name, turn)
            seconds = clock(work)
            if turn >= 0:
                timing[name].append(seconds)
    return timing


def rows(
    case: str,
    timing: Timing,
    items: int,
    yardsticks: Mapping[str, str],
    targets: Mapping[str, float] | None = None,
) -> list[Row]:
    """Make rows of `items` items a round; `yardsticks` maps a variant to its yardstick."""
    targets = targets or {}
    made = []
    for name, seconds in timing.items():
        against = timing[yardsticks.get(name, name)]
        ratio = median(mine / theirs for mine, theirs in zip(seconds, against, strict=True))
        made.append(Row(case, name, median(seconds) / items * 1e9, ratio, targets.get(name)))
    return made


def show(
    title: str,
    found: list[Row],
    *,
    as_json: bool,
    unit: str = "ns",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print the result as a table or as JSON; `more` is said beside it."""
    if as_json:
        data = {"title": title, "machine": _machine(), "unit": unit, **(more or {})}
        print(json.dumps({**data, "rows": [asdict(row) for row in found]}, indent=1))
        return
    print(title)
    wide = [max(len(getattr(row, name)) for row in found) for name in ("case", "variant")]
    print(f"{'case':<{wide[0]}}  {'variant':<{wide[1]}}  {unit:>9}  {'ratio':>7}  target")
    for row in found:
        verdict = ""
        if row.target is not None:
            verdict = f"<= {row.target:g}" + ("" if row.ratio <= row.target else "  MISSED")
        line = f"{row.case:<{wide[0]}}  {row.variant:<{wide[1]}}  {row.ns:9.3f}  {row.ratio:7.2f}"
        print(f"{line}  {verdict}".rstrip())
    for name, value in (more or {}).items():
        print(f"{name}: {value}")


def one_core() -> None:
    """Keep this process on one processor, one that it may use anyway."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def uniform(count: int, pages: int, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    """Give page numbers, each as likely as the other."""
    return rng.integers(0, pages, count, dtype=np.uint32)


def zipf(
    count: int, pages: int, rng: np.random.Generator, theta: float = 0.99
) -> npt.NDArray[np.uint32]:
    """Give page numbers as YCSB draws them: Zipf, the ranks scattered over the pages.

    By Gray et al., "Quickly generating billion-record synthetic databases".  `pages` is a
    power of two, so that multiplying by an odd number scatters ranks one to one.
    """
    head = np.arange(1, min(pages, 1_000_000) + 1, dtype=np.float64)
    zeta = float((head**-theta).sum())
    if pages > len(head):  # the tail as an integral
        zeta += ((pages + 0.5) ** (1 - theta) - (len(head) + 0.5) ** (1 - theta)) / (1 - theta)
    alpha = 1 / (1 - theta)
    eta = (1 - (2 / pages) ** (1 - theta)) / (1 - (1 + 0.5**theta) / zeta)
    drawn = np.empty(count, np.uint32)
    for start in range(0, count, MI):
        uniform_draw = rng.random(min(MI, count - start))
        rank = (pages * (eta * uniform_draw - eta + 1) ** alpha).astype(np.uint64)
        rank[uniform_draw * zeta < 1 + 0.5**theta] = 1
        rank[uniform_draw * zeta < 1] = 0
        drawn[start : start + len(rank)] = scattered(np.minimum(rank, np.uint64(pages - 1)), pages)
    return drawn


def scattered(rank: npt.NDArray[np.uint64], pages: int) -> npt.NDArray[np.uint32]:
    """Send ranks to page numbers, one to one."""
    bits = np.uint64(pages.bit_length() - 1)
    low = np.uint64(pages - 1)
    mixed = (rank * np.uint64(0x9E3779B97F4A7C15)) & low
    mixed ^= mixed >> (bits - bits // np.uint64(2))
    return ((mixed * np.uint64(0xD6E8FEB86659FD93)) & low).astype(np.uint32)


DRAWS = {"uniform": uniform, "zipf 0.99": zipf}


def sizes(quick: bool) -> dict[str, int]:
    """The pages of the maps to measure, by name."""
    chosen = (2, 16) if quick else (2, 64, 256)
    return {f"{mebi} Mi": mebi * MI for mebi in chosen}


def jiffies(count: int) -> npt.NDArray[np.uint64]:
    """The time of `count` accesses that follow each other without a pause."""
    return np.arange(count, dtype=np.uint64) // np.uint64(HINTS_A_JIFFY)


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
    }
