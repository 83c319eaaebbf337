"""A small /proc, in the shape that a kernel gives it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pghot.linux.host import Host

STAT = (
    "{pid} ({comm}) {state} {ppid} {pid} {pid} 0 -1 {flags} 102 0 0 0 1 2 0 0 20 0 {threads} 0"
    " {starttime} 3133440 390 18446744073709551615 94068951842816 94068951862697 140728799583648"
    " 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 94068951878704 94068951880320 94069260111872"
    " 140728799590929 140728799590949 140728799590949 140728799592427 0\n"
)
PAGE = 4096


class ProcTree:
    """Processes come, go and have pages here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(root)
        (root / "proc").mkdir()
        (root / "proc/self").mkdir()
        (root / "proc/meminfo").write_text("MemTotal: 1 kB\n")

    def process(
        self,
        pid: int,
        *,
        ppid: int = 1,
        starttime: int = 1000,
        comm: str = "server",
        state: str = "S",
        threads: int = 1,
        flags: int = 4194304,
        tgid: int = 0,
    ) -> None:
        directory = self.root / "proc" / str(pid)
        directory.mkdir(exist_ok=True)
        line = STAT.format(
            pid=pid,
            comm=comm,
            state=state,
            ppid=ppid,
            flags=flags,
            threads=threads,
            starttime=starttime,
        )
        (directory / "stat").write_text(line)
        (directory / "status").write_text(f"Name:\t{comm}\nTgid:\t{tgid or pid}\nPid:\t{pid}\n")

    def gone(self, pid: int) -> None:
        shutil.rmtree(self.root / "proc" / str(pid))

    def pagemap(self, pid: int, entries: Mapping[int, int]) -> None:
        """Write the entries of virtual pages anew; an open file keeps the old ones."""
        path = self.root / "proc" / str(pid) / "pagemap"
        path.unlink(missing_ok=True)
        write_entries(path, entries)


def write_entries(path: Path, entries: Mapping[int, int]) -> None:
    """Write 64-bit entries by their index; all between them are 0."""
    array = np.zeros(max(entries, default=-1) + 1, np.uint64)
    for index, value in entries.items():
        array[index] = value
    path.write_bytes(array.tobytes())
