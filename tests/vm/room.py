"""How full a node is, and filling it: huge pages in the kernel's pool are nobody's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pghot.linux.host import Host
from pghot.linux.nodes.zoneinfo import ZoneInfo, read_zoneinfo

HUGE_PAGES = 512
MIB_PAGES = 256
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_POOL = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"


def main_zone(node: int) -> ZoneInfo:
    """The node's largest zone as it is now."""
    zones = (zone for zone in read_zoneinfo(Host()) if zone.node == node)
    return max(zones, key=lambda zone: zone.managed)


class Filler:
    """Holds memory of a node, so that little is free."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._pool = Path(_POOL.format(node))

    def leave(self, mib: int, *, give_back: bool = True) -> None:
        """Leave so much free above the high watermarks.

        What had been taken is given back for it, or, without `give_back`, only ever more taken.
        """
        zones = [z for z in read_zoneinfo(Host()) if z.node == self._node and z.name != "DMA"]
        more = (sum(z.free - z.high for z in zones) - mib * MIB_PAGES) // HUGE_PAGES
        if more > 0 or give_back:
            self._pool.write_text(str(max(int(self._pool.read_text()) + more, 0)))


@contextlib.contextmanager
def filling(node: int) -> Iterator[Filler]:
    """What fills the node, which is as empty again at the end.

    Caches are dropped first: what they hold is room too, once kswapd looks.
    """
    DROP_CACHES.write_text("1")
    try:
        yield Filler(node)
    finally:
        Path(_POOL.format(node)).write_text("0")
