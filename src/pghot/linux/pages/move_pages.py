"""Moving pages of a process to a node, and what the kernel answered for each.

move_pages(2); do_pages_move() of mm/migrate.c.  A whole folio moves when any one of its
mapped addresses is given (its first by custom); give one address a folio, or the second
finds the folio isolated by the first and answers -EBUSY.
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import BoolArray, U64Array
from pghot.engine.reasons import CPUSET, ELSEWHERE, MOVE_PAGES, MOVED, OTHER
from pghot.linux.host import Host

StatusArray = npt.NDArray[np.int32]

NOT_TRIED = -errno.EAGAIN
PASSES = 4
"""Calls for one batch at most: each goes on where the kernel stopped at the one before."""


class MovedPages(NamedTuple):
    """What became of a batch: a status a page, the node it is on or a negative errno.

    `call_errno` is the errno with which the call as a whole failed, or 0.  The statuses say
    so too, save where the page is known to be on some node or gone.
    """

    statuses: StatusArray
    nid: int
    call_errno: int = 0

    @property
    def moved(self) -> BoolArray:
        """Which pages are on the node asked for."""
        moved: BoolArray = self.statuses == self.nid
        return moved

    def each(self) -> npt.NDArray[np.str_]:
        """The key of MOVE_PAGES of each page."""
        if self.moved.all():
            return np.full(len(self.statuses), MOVED)
        values, at = np.unique(self.statuses, return_inverse=True)
        return np.array([self._name(status) for status in values.tolist()], np.str_)[at]

    def names(self) -> Counter[str]:
        """Count the pages by the keys of MOVE_PAGES."""
        if self.moved.all():
            return Counter({MOVED: len(self.statuses)})
        return Counter(self.each().tolist())

    def _name(self, status: int) -> str:
        if status >= 0:
            return MOVED if status == self.nid else ELSEWHERE
        if self.call_errno == -status == errno.EACCES:
            return CPUSET
        name = errno.errorcode.get(-status, OTHER)
        return name if name in MOVE_PAGES else OTHER


class MoveCounts:
    """What became of every page so far, counted by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, batch: MovedPages) -> None:
        """Count one batch."""
        self.counts.update(batch.names())

    @property
    def refused(self) -> int:
        """Pages that are not where they were to go."""
        return self.counts.total() - self.counts[MOVED]

    def lines(self) -> list[str]:
        """A line a name, in the order of MOVE_PAGES: `EBUSY 12: cannot be isolated...`."""
        return [
            f"{name} {self.counts[name]}: {reason}"
            for name, reason in MOVE_PAGES.items()
            if self.counts[name]
        ]


def move_batch(
    host: Host, pid: int, addresses: U64Array, nid: int, *, shared: bool = False
) -> MovedPages:
    """Move the pages of `pid` at `addresses` (bytes, page-aligned, one a folio) to `nid`.

    With `shared` also those that other processes map (MPOL_MF_MOVE_ALL; CAP_SYS_NICE).

    A folio that cannot be moved makes the kernel stop after the run it is in, with those
    behind it untried: they are tried again by further calls.  No error is raised for a
    process that has gone, a full or an offline node: the statuses say so.  An errno that
    move_pages(2) does not give for a batch (ENOSYS) is raised.
    """
    addresses = np.ascontiguousarray(addresses, np.uint64)
    statuses = np.full(len(addresses), NOT_TRIED, np.int32)
    trying = np.arange(len(addresses))
    for _ in range(PASSES):
        if not len(trying):
            break
        try:
            answers = _move(host, pid, addresses[trying], nid, shared=shared)
        except OSError as error:
            # EINVAL is of a process that has no memory any more: find_mm_struct().
            code = errno.ESRCH if error.errno == errno.EINVAL else error.errno
            if code not in _CALL_ERRORS:
                raise
            return _failed(host, pid, addresses, nid, statuses, code)
        statuses[trying] = answers
        trying = trying[answers == NOT_TRIED]
    return MovedPages(statuses, nid)


_CALL_ERRORS = {
    errno.EACCES,
    errno.ENODEV,
    errno.ENOENT,
    errno.ENOMEM,
    errno.EPERM,
    errno.ESRCH,
}


def _move(host: Host, pid: int, addresses: U64Array, nid: int, *, shared: bool) -> StatusArray:
    """Move once; afterwards NOT_TRIED marks those that the kernel did not come to.

    The kernel queues pages in a run and moves it when it comes to a page that it cannot
    queue, or to the end.  Where some of a run stay behind it stops without writing the
    statuses of that run: the first unwritten ones are those that were tried, moved or not;
    later ones were not tried.
    """
    nodes = np.full(len(addresses), nid, np.int32)
    move = host.move_all_pages if shared else host.move_pages
    answers = move(pid, addresses, nodes)
    unwritten = answers == NOT_TRIED
    if not unwritten.any():
        return answers
    first = int(np.argmax(unwritten))
    run = int(np.argmin(np.append(unwritten[first:], False)))
    tried = slice(first, first + run)
    answers[tried] = _where(host, pid, addresses[tried], nid, errno.EBUSY)
    return answers


def _failed(
    host: Host, pid: int, addresses: U64Array, nid: int, statuses: StatusArray, code: int
) -> MovedPages:
    """What became of a batch whose call failed, perhaps half-way (a full node)."""
    open_ = statuses == NOT_TRIED
    if code in {errno.ENOMEM, errno.ENOENT}:
        statuses[open_] = _where(host, pid, addresses[open_], nid, code)
    else:
        statuses[open_] = -code
    return MovedPages(statuses, nid, code)


def _where(host: Host, pid: int, addresses: U64Array, nid: int, code: int) -> StatusArray:
    """Ask where pages are: on `nid`, or gone with the errno; else they stayed, with -code."""
    try:
        found = host.move_pages(pid, addresses, None)
    except OSError as error:
        return np.full(len(addresses), -(error.errno or code), np.int32)
    stayed = (found >= 0) & (found != nid)
    return np.where(stayed, np.int32(-code), found).astype(np.int32)
