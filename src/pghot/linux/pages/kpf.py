"""The bits of /proc/kpageflags by the kernel's names, and what they say of a page.

Numbers: include/uapi/linux/kernel-page-flags.h; from 32 on include/linux/kernel-page-flags.h
("kernel hacking assistance", yet unchanged since 2.6.31).  Which bits are set and when:
stable_page_flags() of fs/proc/page.c.

Bits that say something of a folio (LRU, unevictable, memcg) are to be read at its head:
older kernels leave them out of the tails, newer ones repeat them there.

KPF_THP is no measure of size.  It marks a compound page that is on the LRU or anonymous
(older kernels), or any large folio that can be mapped (newer), of whatever order: 16 KiB as
well as 2 MiB.  The size is told by the head and tail bits alone, and it is they that are
used here; a large folio of the page cache may even be without KPF_THP.
"""

from __future__ import annotations

import numpy as np

from pghot.engine.memory import BoolArray, U64Array

KPF_LOCKED = 0
KPF_REFERENCED = 2
KPF_UPTODATE = 3
KPF_DIRTY = 4
KPF_LRU = 5
KPF_ACTIVE = 6
KPF_SLAB = 7
KPF_WRITEBACK = 8
KPF_RECLAIM = 9
KPF_BUDDY = 10
KPF_MMAP = 11
KPF_ANON = 12
KPF_SWAPCACHE = 13
KPF_SWAPBACKED = 14
KPF_COMPOUND_HEAD = 15
KPF_COMPOUND_TAIL = 16
KPF_HUGE = 17
KPF_UNEVICTABLE = 18
KPF_HWPOISON = 19
KPF_NOPAGE = 20
KPF_KSM = 21
KPF_THP = 22
KPF_OFFLINE = 23
KPF_ZERO_PAGE = 24
KPF_IDLE = 25
KPF_PGTABLE = 26
KPF_RESERVED = 32
KPF_MLOCKED = 33

_NEVER_MOVED = (
    KPF_HUGE,
    KPF_HWPOISON,
    KPF_NOPAGE,
    KPF_OFFLINE,
    KPF_ZERO_PAGE,
    KPF_PGTABLE,
    KPF_RESERVED,
)


def mask(*bits: int) -> np.uint64:
    """The word in which these bits are set."""
    return np.uint64(sum(1 << bit for bit in bits))


def has(flags: U64Array, bit: int) -> BoolArray:
    """Where a bit is set."""
    found: BoolArray = (flags & mask(bit)) != 0
    return found


def on_lru(flags: U64Array) -> BoolArray:
    """Which folios, by the flags of their heads, are on an LRU list."""
    return has(flags, KPF_LRU)


def movable(flags: U64Array) -> BoolArray:
    """Which folios, by the flags of their heads, move_pages may be asked to move.

    Those on an LRU list, mlocked ones too.  And mapped anonymous ones that are not there
    yet: a page just faulted in waits in a per-CPU batch, which move_pages drains before it
    begins (lru_cache_disable).  Not hugetlb, poisoned, zero, offline or reserved ones.
    """
    waiting = has(flags, KPF_MMAP) & has(flags, KPF_ANON)
    never: BoolArray = (flags & mask(*_NEVER_MOVED)) != 0
    return (on_lru(flags) | waiting) & ~never


def freed(flags: U64Array) -> BoolArray:
    """Which page frames are free.

    In the buddy allocator (every page of a free block says so), without a struct page, or
    without any flag: a page on a CPU's list of free ones has none, nor has one that the
    kernel just took for itself.
    """
    free: BoolArray = (flags == 0) | ((flags & mask(KPF_BUDDY, KPF_NOPAGE)) != 0)
    return free
