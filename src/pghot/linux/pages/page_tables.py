"""A process's page tables, gone through for page frames that somebody looks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pghot.engine.memory import U64Array
from pghot.linux.host import Host
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.pages.pagemap_scan import present_parts

PIECE = 1 << 16
"""Pages that are looked through at a time, up to twice as many: 512 KiB of pagemap."""

_USER_END = 1 << 63


class Hits(NamedTuple):
    """Frames that a process maps, ascending, each once, and the address of each."""

    pfn: U64Array
    vaddr: U64Array


def mapped_ranges(host: Host, pid: int) -> list[tuple[int, int]]:
    """Start and end of a process's mappings (/proc/PID/maps); none where it has gone.

    Without those that nobody may access, as runtimes reserve by the terabyte, and the kernel's
    own (vsyscall), which no pagemap has.
    """
    ranges = []
    for line in host.text_or(f"/proc/{pid}/maps").splitlines():
        span, rights = line.split(maxsplit=2)[:2]
        start, _dash, end = span.partition("-")
        if not rights.startswith("---") and int(end, 16) < _USER_END:
            ranges.append((int(start, 16), int(end, 16)))
    return ranges


def find_frames(
    host: Host, pagemap: Pagemap, pid: int, starttime: int, wanted: U64Array, page_size: int
) -> Iterator[Hits]:
    """Go through the page tables of a process for the frames `wanted` (ascending, not none).

    An item a piece of them, empty where that has none, so that the caller can stop in between.
    InputError as `Pagemap.lookup`.
    """
    for addresses in _pieces(host, pid, page_size):
        pfn = pagemap.lookup(pid, addresses, starttime).pfn
        place = np.searchsorted(wanted, pfn).clip(max=len(wanted) - 1)
        hit = (wanted[place] == pfn) & (pfn != 0)
        pfns, first = np.unique(pfn[hit], return_index=True)
        yield Hits(pfns, addresses[hit][first])


def _pieces(host: Host, pid: int, page_size: int) -> Iterator[U64Array]:
    """The addresses of a process's pages, at most PIECE at a time.

    Of those that are there, where the kernel tells; else of all that is mapped.
    """
    try:
        descriptor = os.open(host.path(f"/proc/{pid}/pagemap"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # gone, or not to be read: `Pagemap.lookup` says so of the first address
        descriptor = -1
    try:
        for start, end in mapped_ranges(host, pid):
            yield from _in_pieces(_there(descriptor, start, end), page_size)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _there(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a mapping that have pages; all of it where the kernel does not tell."""
    try:
        yield from present_parts(descriptor, start, end)
    except OSError:
        yield start, end


def _in_pieces(parts: Iterable[tuple[int, int]], page_size: int) -> Iterator[U64Array]:
    """The addresses of the pages of parts, many small ones together."""
    held: list[U64Array] = []
    room = PIECE
    for start, end in parts:
        for at in range(start, end, PIECE * page_size):
            upto = min(end, at + PIECE * page_size)
            held.append(np.arange(at, upto, page_size, dtype=np.uint64))
            room -= len(held[-1])
            if room <= 0:
                yield np.concatenate(held)
                held, room = [], PIECE
    if held:
        yield np.concatenate(held)
