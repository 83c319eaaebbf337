"""The zones of every node with their watermarks: /proc/zoneinfo (mm/vmstat.c)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pghot.errors import PghotError
from pghot.linux.host import Host

ZONEINFO = "/proc/zoneinfo"

MOST_PAGES = 1 << 52
"""No count and no PFN is larger: what is above is damaged."""

_COUNTS = ("free", "min", "low", "high", "promo", "spanned", "present", "managed")
_NAMES = {*_COUNTS, "start_pfn"}
_MARKS = ("free", "min", "low", "high", "promo")

_ZONE = re.compile(r"Node\s+(\d+), zone\s+(\S+)", re.ASCII)
_VALUE = re.compile(
    rf"^ +(?:pages )?({'|'.join(_COUNTS)}) +(\d+) *$|^ +(start_pfn): +(\d+) *$",
    re.ASCII | re.MULTILINE,
)
_PROTECTION = re.compile(r"^ +protection: \([\d, ]*\b(\d+)\) *$", re.ASCII | re.MULTILINE)
_CPUS, _AFTER_CPUS = "\n  pagesets", "\n  node_unreclaimable:"


@dataclass(frozen=True, slots=True)
class ZoneInfo:
    """One populated zone; all in pages of the host's own size.

    `promo` is None where the kernel shows no promo watermark.  The zone lies within PFNs
    `start_pfn` up to `end_pfn`; holes and other nodes' memory may lie there as well.
    `protection` is kept from memory that could as well come from a higher zone, as any page
    of a process could (lowmem_reserve of the highest zone).
    """

    node: int
    name: str
    free: int
    min: int
    low: int
    high: int
    promo: int | None
    spanned: int
    present: int
    managed: int
    start_pfn: int
    protection: int = 0

    @property
    def end_pfn(self) -> int:
        """First PFN after the zone's span."""
        return self.start_pfn + self.spanned


def read_zoneinfo(host: Host) -> tuple[ZoneInfo, ...]:
    """The populated zones of the host; PghotError where they cannot be known."""
    return parse_zoneinfo(_text(host))


def read_again(host: Host, zones: Iterable[ZoneInfo]) -> tuple[ZoneInfo, ...]:
    """Of zones that were read before those still there, with their free pages and watermarks now.

    All else stays as it was.  It fails as `read_zoneinfo` does, and takes a third of its time.
    """
    text = _text(host)
    known = {(f"{zone.node},", zone.name): zone for zone in zones}
    found = []
    for zone in f"\n{text}".split("\nNode ")[1:]:
        words = zone.partition(_CPUS)[0].split()
        before = known.get((words[0], words[2])) if len(words) > 2 else None
        if before is not None:
            try:
                found.append(replace(before, **_marks(words)))  # type: ignore[arg-type]
            except (ValueError, IndexError):  # damaged: who reads it all says what is
                return parse_zoneinfo(text)
    return tuple(found)


def _text(host: Host) -> str:
    try:
        return host.text(ZONEINFO)
    except OSError as error:
        raise PghotError(f"{ZONEINFO}: {error.strerror or error}") from error


def _marks(words: list[str]) -> dict[str, int]:
    """Free pages and watermarks among a zone's words; ValueError where one is not there."""
    names = _MARKS if "promo" in words else _MARKS[:-1]
    return {name: int(words[words.index(name) + 1]) for name in names}


def parse_zoneinfo(text: str) -> tuple[ZoneInfo, ...]:
    """The zones of the file's text that are populated (present > 0), in its order."""
    zones = []
    for node, name, values in _zones(text):
        if not values.get("present"):
            continue
        try:
            zones.append(ZoneInfo(node=node, name=name, **({"promo": None} | values)))  # type: ignore[arg-type]
        except TypeError as error:
            lacks = ", ".join(sorted(_NAMES - {"promo"} - values.keys()))
            raise PghotError(f"{ZONEINFO}: node {node}, zone {name}: lacks {lacks}") from error
        if too_large := [field for field, value in values.items() if value > MOST_PAGES]:
            raise PghotError(
                f"{ZONEINFO}: node {node}, zone {name}: {too_large[0]} "
                f"{values[too_large[0]]}: no machine has so many pages"
            )
    return tuple(zones)


def _zones(text: str) -> list[tuple[int, str, dict[str, int]]]:
    """Node, name and values of each zone.

    Node-wide counters come before `pages free` and the zone's own after the watermarks; both
    have names with underscores, and what is per CPU has colons.
    """
    return [
        (int(match[1]), match[2], _values(_without_cpus(zone)))
        for zone in re.split(r"^(?=Node )", text, flags=re.MULTILINE)
        if (match := _ZONE.match(zone))
    ]


def _without_cpus(zone: str) -> str:
    """Leave out a zone's lines about CPUs: with hundreds of these they are nearly all."""
    before, _pagesets, cpus = zone.partition(_CPUS)
    _cpus, found, after = cpus.rpartition(_AFTER_CPUS)
    return before + found + after if found else zone


def _values(zone: str) -> dict[str, int]:
    values: dict[str, int] = {}
    for match in _VALUE.finditer(zone):
        values.setdefault(match[1] or match[3], int(match[2] or match[4]))
    if kept := _PROTECTION.search(zone):
        values["protection"] = int(kept[1])
    return values
