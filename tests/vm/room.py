"""How full a node is, and filling it: huge pages in the kernel's pool are nobody's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pghot.linux.host import Host
from pghot.linux.zoneinfo import ZoneInfo, read_zoneinfo

HUGE_PAGES = 512
MIB_PAGES = 256
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_POOL = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"


def main_zone(node: int) -> ZoneInfo:
    """Give the node's largest zone as it is now."""
    zones = (zone for zone in read_zoneinfo(Host()) if zone.node == node)
    return max(zones, key=lambda zone: zone.managed)


@contextlib.contextmanager
def filled(node: int, *, leave_mib: int) -> Iterator[None]:
    """Take the node's free memory, but for so much above its high watermark.

    Caches are dropped first: what they hold is room too, once kswapd looks.
    """
    DROP_CACHES.write_text("1")
    pool = Path(_POOL.format(node))
    zones = [zone for zone in read_zoneinfo(Host()) if zone.node == node and zone.name != "DMA"]
    spare = sum(zone.free - zone.high for zone in zones) - leave_mib * MIB_PAGES
    pool.write_text(str(max(spare, 0) // HUGE_PAGES))
    try:
        yield
    finally:
        pool.write_text("0")
