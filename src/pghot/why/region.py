"""The name of the region that an address is in, as far as an event log knows it."""

from __future__ import annotations

import numpy as np

from pghot.log.event_schema import Said
from pghot.log.regions import KEY, RegionNames, regions_of
from pghot.log.schema import Metadata


def region_name(said: Said, pid: int, vaddr: int) -> str:
    """The region of an address of a process; empty where nothing is known to be there."""
    regions = [r for r in regions_of(Metadata(extra={KEY: said.regions})) if r.pid == pid]
    names = RegionNames(regions)
    number = int(names.of(np.array([pid]), np.array([vaddr], np.uint64))[0])
    return names.names[number] if number else ""
