"""/proc/PID/pagemap: which page frame a process has at a virtual address.

Documentation/admin-guide/mm/pagemap.rst.  The soft bits (dirty, exclusive, file, guard) are
left out.
"""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pghot.engine.memory import BoolArray, U64Array
from pghot.errors import InputError
from pghot.linux.closing import Closing
from pghot.linux.host import Host
from pghot.linux.pages.entries import EntryFile
from pghot.linux.processes.procstat import read_stat

PFN_MASK = np.uint64((1 << 55) - 1)
PRESENT = np.uint64(1 << 63)

OPEN_FILES = range(64, 1025)
"""Processes whose file is kept open: a quarter of the files that we may have, within these."""


class Mapped(NamedTuple):
    """For each address: its PFN (0 where none is present), and whether a page is present."""

    pfn: U64Array
    present: BoolArray


class Pagemap(Closing):
    """The page tables of processes, a file kept open for each of those asked for last.

    An open file stands for the address space it was opened on, never for another process
    that came by the same pid.  Once that address space has gone (exit, exec) it reads empty
    and is opened anew, for the same process only.  `page_size` is in bytes.
    """

    def __init__(
        self, host: Host, page_size: int | None = None, open_files: int | None = None
    ) -> None:
        self._host = host
        self._page_size = page_size or os.sysconf("SC_PAGE_SIZE")
        self._open_files = open_files or _files_to_keep()
        self._files: OrderedDict[tuple[int, int], EntryFile] = OrderedDict()

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._files.popitem()[1].close()

    def forget(self, pid: int) -> None:
        """Close what is open of `pid`: it has exited, or executed another program.

        After exec the old file would go on showing the old address space if a vfork made
        the parent share it.
        """
        for key in [key for key in self._files if key[0] == pid]:
            self._files.pop(key).close()

    def lookup(self, pid: int, addresses: U64Array, starttime: int = 0) -> Mapped:
        """The pages of `pid` at `addresses` (bytes, any order, need not be aligned).

        `starttime`, where it is not 0, says which process is meant (proc_pid_stat(5)): a
        later one of the same pid is not.  Of a process that has gone nothing is present.
        InputError where the privilege to see another's memory, or page frames, is missing.
        """
        return self.lookup_each([(pid, starttime, slice(None))], addresses)

    def lookup_each(
        self, processes: Sequence[tuple[int, int, slice]], addresses: U64Array
    ) -> Mapped:
        """As `lookup`, of several processes: pid and starttime, and which addresses are its."""
        indices = np.asarray(addresses, np.uint64) // np.uint64(self._page_size)
        entries = np.zeros(len(indices), np.uint64)
        for pid, starttime, which in processes:
            entries[which] = self._entries(pid, starttime, indices[which])
        present = (entries & PRESENT) != 0
        pfn = np.where(present, entries & PFN_MASK, np.uint64(0))
        hidden = present & (pfn == 0)
        if hidden.any():
            pid = next(pid for pid, _, which in processes if hidden[which].any())
            raise InputError(
                f"/proc/{pid}/pagemap: page frame numbers are hidden;"
                " CAP_SYS_ADMIN is needed (run as root)"
            )
        return Mapped(pfn, present)

    def _entries(self, pid: int, starttime: int, indices: U64Array) -> U64Array:
        key = (pid, starttime)
        for _ in range(2):
            kept = key in self._files
            file = self._file(key)
            if file is None:
                break
            entries, there = file.gather(indices)
            if there.any() or not len(indices):
                return entries
            self._files.pop(key).close()
            if not kept:
                break
        return np.zeros(len(indices), np.uint64)

    def _file(self, key: tuple[int, int]) -> EntryFile | None:
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        file = self._open(*key)
        if file is not None:
            self._files[key] = file
            if len(self._files) > self._open_files:
                self._files.popitem(last=False)[1].close()
        return file

    def _open(self, pid: int, starttime: int) -> EntryFile | None:
        """Open, and only then check the pid's start time: the file stays that of one process."""
        name = f"/proc/{pid}/pagemap"
        try:
            file = EntryFile(self._host.path(name))
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:
            raise InputError(
                f"{name}: not readable; another user's process needs CAP_SYS_PTRACE,"
                " page frame numbers need CAP_SYS_ADMIN (run as root)"
            ) from None
        if starttime:
            stat = read_stat(self._host, pid)
            if stat is None or stat.starttime != starttime:
                file.close()
                return None
        return file


def _files_to_keep() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    share = OPEN_FILES[-1] if soft == resource.RLIM_INFINITY else soft // 4
    return min(max(share, OPEN_FILES[0]), OPEN_FILES[-1])
