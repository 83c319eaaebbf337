"""/proc/kpageflags and /proc/kpagecgroup: the facts of page frames, for many at once.

Documentation/admin-guide/mm/pagemap.rst, fs/proc/page.c.  Both belong to root.
"""

from __future__ import annotations

import numpy as np

from pghot.engine.memory import U64Array
from pghot.errors import InputError
from pghot.linux.closing import Closing
from pghot.linux.host import Host
from pghot.linux.pages.entries import EntryFile
from pghot.linux.pages.kpf import KPF_COMPOUND_HEAD, KPF_COMPOUND_TAIL, KPF_NOPAGE, has, mask

KPAGEFLAGS = "/proc/kpageflags"
KPAGECGROUP = "/proc/kpagecgroup"

HIGHEST_ORDER = 20
"""Above any folio: a gigantic page is of order 18 (1 GiB of 4 KiB, 16 GiB of 64 KiB)."""


class KPages(Closing):
    """Both files, kept open.

    InputError where kpageflags is not there or may not be read; without kpagecgroup (no
    CONFIG_MEMCG) every page is of memcg 0.
    """

    def __init__(self, host: Host) -> None:
        self._flags = _open(host, KPAGEFLAGS, "the kernel needs CONFIG_PROC_PAGE_MONITOR")
        self._cgroups: EntryFile | None = None
        if host.exists(KPAGECGROUP):
            self._cgroups = _open(host, KPAGECGROUP, "")

    def close(self) -> None:
        """Close both."""
        self._flags.close()
        if self._cgroups is not None:
            self._cgroups.close()

    def flags(self, pfns: U64Array) -> U64Array:
        """The flags of page frames; after the last one, KPF_NOPAGE as in a hole."""
        values, there = self._flags.gather(pfns)
        return np.where(there, values, mask(KPF_NOPAGE))

    def cgroups(self, heads: U64Array) -> U64Array:
        """The inode number of the memcg that each folio, by its head, is charged to.

        Of its nearest ancestor where that memcg has been removed; 0 where it has none.
        """
        if self._cgroups is None:
            return np.zeros(len(heads), np.uint64)
        return self._cgroups.gather(heads)[0]

    def heads(self, pfns: U64Array, flags: U64Array | None = None) -> U64Array:
        """The first PFN of the folio that each page belongs to; its own if of none.

        `flags` are those of `pfns`, where they have been read already.  A folio of order n
        starts at a multiple of 2^n, so its head is the first that is no tail among the
        page's PFN rounded down to 2, 4, 8... pages.  A folio that is split or freed
        meanwhile leaves the page on its own.
        """
        pfns = np.asarray(pfns, np.uint64)
        flags = self.flags(pfns) if flags is None else flags
        heads = pfns.copy()
        seeking = np.flatnonzero(has(flags, KPF_COMPOUND_TAIL))
        for order in range(1, HIGHEST_ORDER):
            if not len(seeking):
                break
            rounded = pfns[seeking] & ~np.uint64((1 << order) - 1)
            found = self.flags(rounded)
            at_head = has(found, KPF_COMPOUND_HEAD)
            heads[seeking[at_head]] = rounded[at_head]
            seeking = seeking[has(found, KPF_COMPOUND_TAIL)]
        return heads

    def folio_pages(self, heads: U64Array, flags: U64Array | None = None) -> U64Array:
        """The number of pages of the folios that start at `heads`: 2^order, or 1.

        `flags` are those of `heads`, where they have been read already.  The page 2^n after
        the head is a tail as long as n is below the folio's order.
        """
        heads = np.asarray(heads, np.uint64)
        flags = self.flags(heads) if flags is None else flags
        pages = np.ones(len(heads), np.uint64)
        growing = np.flatnonzero(has(flags, KPF_COMPOUND_HEAD))
        while len(growing) and int(pages[growing[0]]) < 1 << HIGHEST_ORDER:
            after = self.flags(heads[growing] + pages[growing])
            growing = growing[has(after, KPF_COMPOUND_TAIL)]
            pages[growing] *= np.uint64(2)
        return pages


def _open(host: Host, name: str, without: str) -> EntryFile:
    try:
        return EntryFile(host.path(name))
    except FileNotFoundError:
        raise InputError(f"{name}: not there; {without}") from None
    except PermissionError:
        raise InputError(f"{name}: not readable; only root may read it") from None
