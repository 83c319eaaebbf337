"""Sizes and times as the kernel counts them."""

from __future__ import annotations

PAGE_SHIFT = 12
"""log2 of the page size: 4 KiB, the page that every PFN here counts."""

PFN_SECTION_SHIFT = 15
PAGES_PER_SECTION = 1 << PFN_SECTION_SHIFT
"""PFNs in a section of the sparse memory model: 128 MiB on x86-64 (R1.1)."""

BLOCK_SHIFT = 12
"""log2 of the records in a block: what a search for ready ones passes over at once."""

NID_MAX = (1 << 10) - 1
"""Largest node id that a precision record can hold: PGHOT_NID_MAX (patch 4)."""

NUMA_NO_NODE = -1

HZ_RANGE = range(12, 12288)
"""HZ values for which the kernel builds (include/linux/jiffies.h)."""

MSEC_PER_SEC = 1000
USEC_PER_SEC = 1_000_000
_U32 = 0xFFFF_FFFF


def jiffies_to_msecs(jiffies: int, hz: int) -> int:
    """Turn jiffies into milliseconds, rounded up, as an unsigned 32-bit value.

    Kernel: kernel/time/time.c, jiffies_to_msecs().
    """
    return -(-jiffies * MSEC_PER_SEC // hz) & _U32


def jiffies_within(msecs: int, hz: int) -> int:
    """The most jiffies that last no longer than `msecs`.

    For any whole `j`: `jiffies_to_msecs(j) <= msecs` exactly when `j <= jiffies_within(msecs)`.
    """
    return msecs * hz // MSEC_PER_SEC


def usecs_to_jiffies(usecs: int, hz: int) -> int:
    """The jiffies of a time in microseconds, rounded down (R9.2)."""
    return usecs * hz // USEC_PER_SEC


def mb_to_pages(megabytes: int) -> int:
    """The pages in so many MiB: the kernel's MB_TO_PAGES of an unsigned int.

    The shift is made in 32 bits, so 16 TiB wrap to no page at all.
    """
    return megabytes << (20 - PAGE_SHIFT) & _U32
