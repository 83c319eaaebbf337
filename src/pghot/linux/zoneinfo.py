"""The zones of every node with their watermarks: /proc/zoneinfo (mm/vmstat.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pghot.errors import PghotError
from pghot.linux.host import Host

ZONEINFO = "/proc/zoneinfo"

_ZONE = re.compile(r"Node\s+(\d+), zone\s+(\S+)", re.ASCII)
_VALUE = re.compile(r"(?:pages )?([a-z]+)\s+(\d+)|(start_pfn):\s+(\d+)", re.ASCII)
_PROTECTION = re.compile(r"protection: \([\d, ]*\b(\d+)\)", re.ASCII)
_NAMES = {
    *("free", "min", "low", "high", "promo"),
    *("spanned", "present", "managed", "start_pfn"),
}


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
    """Give the populated zones of the host; PghotError where they cannot be known."""
    try:
        text = host.text(ZONEINFO)
    except OSError as error:
        raise PghotError(f"{ZONEINFO}: {error.strerror or error}") from error
    return parse_zoneinfo(text)


def parse_zoneinfo(text: str) -> tuple[ZoneInfo, ...]:
    """Give the zones of the file's text that are populated (present > 0), in its order."""
    zones = []
    for node, name, values in _zones(text):
        if not values.get("present"):
            continue
        try:
            zones.append(ZoneInfo(node=node, name=name, **({"promo": None} | values)))  # type: ignore[arg-type]
        except TypeError as error:
            lacks = ", ".join(sorted(_NAMES - {"promo"} - values.keys()))
            raise PghotError(f"{ZONEINFO}: node {node}, zone {name}: lacks {lacks}") from error
    return tuple(zones)


def _zones(text: str) -> list[tuple[int, str, dict[str, int]]]:
    """Give node, name and values of each zone.

    Node-wide counters come before `pages free` and the zone's own after the watermarks; both
    have names with underscores, and what is per CPU has colons.
    """
    zones: list[tuple[int, str, dict[str, int]]] = []
    for line in text.splitlines():
        if match := _ZONE.match(line):
            zones.append((int(match[1]), match[2], {}))
        elif zones and (match := _VALUE.fullmatch(line.strip())):
            name, value = match[1] or match[3], match[2] or match[4]
            if name in _NAMES:
                zones[-1][2].setdefault(name, int(value))
        elif zones and (match := _PROTECTION.fullmatch(line.strip())):
            zones[-1][2]["protection"] = int(match[1])
    return zones
