"""DAMON's promotion of a node's hot memory, as its users set it up.

Documentation/admin-guide/mm/damon/usage.rst: one kdamond over the physical memory of the slow
node, one scheme.  Regions and quotas are the kernel's defaults.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pghot.linux.host import Host
from pghot.linux.nodes.zoneinfo import read_zoneinfo

ADMIN = Path("/sys/kernel/mm/damon/admin/kdamonds")
STATISTICS = Path("/sys/module/damon_stat/parameters/enabled")
SAMPLE_US, AGGREGATION_US = 20_000, 400_000
ACTION = "migrate_hot"
_ANY = str((1 << 64) - 1)
_PAGE = 4096


class NotOfferedError(Exception):
    """This kernel's DAMON cannot do it; the message says why."""


@contextlib.contextmanager
def promoting(source: int, target: int) -> Iterator[None]:
    """Have DAMON move what it finds hot on one node to another."""
    if not ADMIN.exists():
        raise NotOfferedError("this kernel has no DAMON (CONFIG_DAMON_SYSFS)")
    with no_statistics():
        yield from _promoting(source, target)


@contextlib.contextmanager
def no_statistics() -> Iterator[None]:
    """Have DAMON_STAT, which some kernels start at boot, make way: only one may watch."""
    before = STATISTICS.read_text().strip() if STATISTICS.exists() else "N"
    if before == "N":
        yield
        return
    STATISTICS.write_text("N")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


def _promoting(source: int, target: int) -> Iterator[None]:
    _write(ADMIN, "nr_kdamonds", 1)
    kdamond = ADMIN / "0"
    try:
        _write(kdamond, "contexts/nr_contexts", 1)
        _context(kdamond / "contexts/0", source, target)
        _write(kdamond, "state", "on")
        yield
        _write(kdamond, "state", "off")
    finally:
        _write(ADMIN, "nr_kdamonds", 0)


def _context(context: Path, source: int, target: int) -> None:
    _write(context, "operations", "paddr")
    _write(context, "monitoring_attrs/intervals/sample_us", SAMPLE_US)
    _write(context, "monitoring_attrs/intervals/aggr_us", AGGREGATION_US)
    _write(context, "targets/nr_targets", 1)
    zones = [zone for zone in read_zoneinfo(Host()) if zone.node == source]
    _write(context, "targets/0/regions/nr_regions", len(zones))
    for number, zone in enumerate(sorted(zones, key=lambda zone: zone.start_pfn)):
        _write(context, f"targets/0/regions/{number}/start", zone.start_pfn * _PAGE)
        _write(context, f"targets/0/regions/{number}/end", zone.end_pfn * _PAGE)
    _write(context, "schemes/nr_schemes", 1)
    _scheme(context / "schemes/0", target)


def _scheme(scheme: Path, target: int) -> None:
    try:
        _write(scheme, "action", ACTION)
        _write(scheme, "target_nid", target)
    except OSError as error:
        raise NotOfferedError(f"this kernel's DAMON has no {ACTION}: {error}") from error
    pattern = {
        "sz": (_PAGE, _ANY),
        "nr_accesses": (1, AGGREGATION_US // SAMPLE_US),
        "age": (0, _ANY),
    }
    for name, (least, most) in pattern.items():
        _write(scheme, f"access_pattern/{name}/min", least)
        _write(scheme, f"access_pattern/{name}/max", most)


def _write(directory: Path, name: str, value: object) -> None:
    (directory / name).write_text(str(value))
