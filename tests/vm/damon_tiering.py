"""DAMON as the manager of two tiers, under its own goals.

As damo sets it up (its manual's tiering example, and samples/damon/mtier.c of the kernel): one
kdamond over the slow node promotes what is hot (`migrate_hot`) until the fast node is nearly full,
one over the fast node demotes what is cold (`migrate_cold`) until a little of it is free.  The
intervals tune themselves.

With such goals a quota begins at a byte a second and grows by the distance from its goal, so on
a node that is nearly full at first it stays below a page for minutes.  Without them, by quotas
alone (QUOTA_BYTES), what this kernel has of the rest is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pghot.linux.host import Host
from pghot.linux.nodes.zoneinfo import read_zoneinfo
from tests.vm.damon import ADMIN, NotOfferedError, no_statistics
from tests.vm.layout import FAST

PAGE = 4096
ANY = (1 << 64) - 1
SAMPLE_US, AGGREGATION_US = 5_000, 100_000
TUNING = {"access_bp": 400, "aggrs": 3, "min_sample_us": 5_000, "max_sample_us": 10_000_000}
"""Intervals such that 4 % of the samples see an access."""

QUOTA_BYTES, QUOTA_MS = 200 << 20, 1_000


class Scheme(NamedTuple):
    """What one kdamond does: an action on a node's pages that are accessed so, up to a goal."""

    node: int
    action: str
    target: int
    accesses: tuple[int, int]
    metric: str
    value_bp: int
    young: bool


def schemes(fast: int, slow: int) -> tuple[Scheme, Scheme]:
    """Promotion and demotion between two nodes: of the pages that were accessed, and were not."""
    most = AGGREGATION_US // SAMPLE_US
    return (
        Scheme(slow, "migrate_hot", fast, (1, most), "node_mem_used_bp", 9_970, young=True),
        Scheme(fast, "migrate_cold", slow, (0, 0), "node_mem_free_bp", 50, young=False),
    )


@contextlib.contextmanager
def managing(fast: int, slow: int, *, goals: bool) -> Iterator[None]:
    """Have DAMON promote and demote; NotOfferedError where this kernel's cannot."""
    if not ADMIN.exists():
        raise NotOfferedError("no DAMON in this kernel (CONFIG_DAMON_SYSFS)")
    with no_statistics():
        both = schemes(fast, slow)
        write(ADMIN, "nr_kdamonds", len(both))
        try:
            for number, scheme in enumerate(both):
                _kdamond(ADMIN / str(number), scheme, goals=goals)
            for number in range(len(both)):
                write(ADMIN / str(number), "state", "on")
            yield
            for number in range(len(both)):
                write(ADMIN / str(number), "state", "off")
        finally:
            write(ADMIN, "nr_kdamonds", 0)


def stats() -> list[dict[str, int]]:
    """What each of the two did so far, while they manage: schemes' stats, and the sample's us."""
    found = []
    for kdamond in (ADMIN / "0", ADMIN / "1"):
        write(kdamond, "state", "update_schemes_stats")
        with contextlib.suppress(NotOfferedError):
            write(kdamond, "state", "update_tuned_intervals")
        files = sorted((kdamond / "contexts/0/schemes/0/stats").iterdir())
        of_one = {file.name: int(file.read_text()) for file in files if file.is_file()}
        intervals = kdamond / "contexts/0/monitoring_attrs/intervals"
        found.append(of_one | {"sample_us": int((intervals / "sample_us").read_text())})
    return found


def write(directory: Path, name: str, value: object) -> None:
    """Write a setting; NotOfferedError where it is refused or not there."""
    try:
        (directory / name).write_text(str(value))
    except OSError as error:
        words = f"this kernel's DAMON takes no {value} for {name}: {error.strerror}"
        raise NotOfferedError(words) from error


def _kdamond(kdamond: Path, scheme: Scheme, *, goals: bool) -> None:
    write(kdamond, "contexts/nr_contexts", 1)
    context = kdamond / "contexts/0"
    write(context, "operations", "paddr")
    intervals = context / "monitoring_attrs/intervals"
    write(intervals, "sample_us", SAMPLE_US)
    write(intervals, "aggr_us", AGGREGATION_US)
    if goals or (intervals / "intervals_goal").exists():
        for name, value in TUNING.items():
            write(intervals, f"intervals_goal/{name}", value)
    _regions(context, scheme.node)
    write(context, "schemes/nr_schemes", 1)
    directory = context / "schemes/0"
    _scheme(directory, scheme)
    if goals:
        _goal(directory / "quotas", scheme)
    with contextlib.nullcontext() if goals else contextlib.suppress(NotOfferedError):
        _young(directory, young=scheme.young)


def _regions(context: Path, node: int) -> None:
    write(context, "targets/nr_targets", 1)
    zones = [zone for zone in read_zoneinfo(Host()) if zone.node == node]
    regions = context / "targets/0/regions"
    write(regions, "nr_regions", len(zones))
    for number, zone in enumerate(sorted(zones, key=lambda zone: zone.start_pfn)):
        write(regions, f"{number}/start", zone.start_pfn * PAGE)
        write(regions, f"{number}/end", zone.end_pfn * PAGE)


def _scheme(directory: Path, scheme: Scheme) -> None:
    write(directory, "action", scheme.action)
    write(directory, "target_nid", scheme.target)
    write(directory, "apply_interval_us", QUOTA_MS * 1_000)
    pattern = {"sz": (0, ANY), "nr_accesses": scheme.accesses, "age": (0, ANY)}
    for name, (least, most) in pattern.items():
        write(directory, f"access_pattern/{name}/min", least)
        write(directory, f"access_pattern/{name}/max", most)
    quotas = directory / "quotas"
    write(quotas, "bytes", QUOTA_BYTES)
    write(quotas, "reset_interval_ms", QUOTA_MS)


def _goal(quotas: Path, scheme: Scheme) -> None:
    write(quotas, "goals/nr_goals", 1)
    goal = quotas / "goals/0"
    write(goal, "target_metric", scheme.metric)
    write(goal, "target_value", scheme.value_bp)
    write(goal, "nid", FAST)


def _young(directory: Path, *, young: bool) -> None:
    """Let only pages through that were accessed since the last look, or only the others."""
    filters = next(
        (found for name in ("ops_filters", "filters") if (found := directory / name).exists()),
        directory / "filters",
    )
    write(filters, "nr_filters", 1)
    write(filters, "0/type", "young")
    write(filters, "0/matching", "Y")
    write(filters, "0/allow", "Y" if young else "N")
