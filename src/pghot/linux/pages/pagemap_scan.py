"""PAGEMAP_SCAN: which parts of a process's memory have pages (Linux 6.7).

include/uapi/linux/fs.h, struct pm_scan_arg; Documentation/admin-guide/mm/pagemap.rst.  The kernel
steps over page tables that are not there, where reading pagemap makes an entry of each page.
"""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Iterator

import numpy as np

_ARGUMENT = struct.Struct("=12Q")
"""size, flags, start, end, walk_end, vec, vec_len, max_pages, four masks of categories."""

_REGION = 3
"""Words of a struct page_region: start, end, categories."""

_REGIONS = 512
_PRESENT = 1 << 3
PAGEMAP_SCAN = 3 << 30 | _ARGUMENT.size << 16 | ord("f") << 8 | 16


def present_parts(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) that have pages: first byte, one after the last.

    `descriptor` is the process's pagemap.  OSError where the kernel has no such call, or the
    memory has gone.
    """
    regions = np.zeros((_REGIONS, _REGION), np.uint64)
    while start < end:
        argument = bytearray(
            _ARGUMENT.pack(
                *(_ARGUMENT.size, 0, start, end, 0, regions.ctypes.data, _REGIONS),
                *(0, 0, _PRESENT, 0, _PRESENT),
            )
        )
        found = fcntl.ioctl(descriptor, PAGEMAP_SCAN, argument)
        for first, after, _categories in regions[:found].tolist():
            yield first, after
        walked = _ARGUMENT.unpack(argument)[4]
        start = walked if walked > start else end
