"""Zone watermarks as the kernel sets them (mm/page_alloc.c, __setup_per_zone_wmarks())."""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

from pghot.engine.units import PAGE_SHIFT

WATERMARK_SCALE_FACTOR = 10
"""vm.watermark_scale_factor: the distance between two marks, in parts of 10,000."""

MIN_FREE_KBYTES = range(128, 262_144 + 1)
"""What init_per_zone_wmark_min() keeps vm.min_free_kbytes within."""

_KIB_SHIFT = PAGE_SHIFT - 10


class Watermarks(NamedTuple):
    """Free pages of a zone: reserve, allocations fall back, kswapd rests, promotion rests."""

    min: int
    low: int
    high: int
    promo: int


def min_free_pages(all_pages: int) -> int:
    """vm.min_free_kbytes of a machine of so many pages, in pages."""
    kbytes = isqrt((all_pages << _KIB_SHIFT) * 16)
    return min(max(kbytes, MIN_FREE_KBYTES.start), MIN_FREE_KBYTES.stop - 1) >> _KIB_SHIFT


def watermarks(pages: int, all_pages: int) -> Watermarks:
    """The marks of a node's one zone of `pages`, on a machine of `all_pages`."""
    least = min_free_pages(all_pages) * pages // max(all_pages, 1)
    step = max(least >> 2, pages * WATERMARK_SCALE_FACTOR // 10_000)
    return Watermarks(least, least + step, least + 2 * step, least + 3 * step)
