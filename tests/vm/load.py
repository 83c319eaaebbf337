"""The load of load.c (machine.run compiles it), run and looked at in the guest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pghot.linux.host import Host
from tests.vm.machine import SHARED

PAGE = 4096


class Load:
    """A running load.  Addresses are of pages, or of 2 MiB units where it is huge."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        said = dict(self._line().split() for _ in range(5))
        self.pid = int(said["pid"])
        self.unit = int(said["unit"])
        self.base = int(said["base"], 16)
        self.started = float(said["started"])
        """When its memory was filled and the rounds began, on CLOCK_MONOTONIC."""
        self._hot_map = said["hot"]

    def addresses(self, total_mib: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """The addresses of the hot units and of the cold ones."""
        units = (total_mib << 20) // self.unit
        packed = np.frombuffer(bytes.fromhex(self._hot_map), np.uint8)
        hot = np.unpackbits(packed, bitorder="little")[:units].astype(bool)
        every = np.uint64(self.base) + np.arange(units, dtype=np.uint64) * np.uint64(self.unit)
        return every[hot], every[~hot]

    def nodes(self, addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The node that each address is on, or a negative errno (move_pages(2))."""
        return Host().move_pages(self.pid, addresses, None)

    def verify(self) -> str:
        """Have every page compared with what must be there; `checksum ok ...` is good."""
        os.kill(self.pid, signal.SIGUSR1)  # its own, where pghot has launched it
        return self._line()

    def share(self) -> int:
        """Have it fork a child that shares its pages and sleeps; give the child's pid."""
        os.kill(self.pid, signal.SIGUSR2)
        return int(self._line().removeprefix("child "))

    def spawn(self) -> Load:
        """Have it fork a child that is a load of its own."""
        os.kill(self.pid, signal.SIGALRM)
        return Load(self.process)

    def execute_anew(self) -> Load:
        """Have it execute itself: the same process, all memory new."""
        os.kill(self.pid, signal.SIGHUP)
        return Load(self.process)

    def stop(self) -> str:
        """End it and give its last comparison."""
        self.process.terminate()
        line = self._line()
        self.process.wait()
        return line

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def running(
    total_mib: int = 64,
    hot_mib: int = 16,
    seconds: float = 0,
    seed: int = 1,
    options: tuple[str, ...] = (),
    prefix: tuple[str, ...] = (),
) -> Iterator[Load]:
    """Start a load in the guest, and kill it at the end if it still runs.

    `options` are load.c's; `prefix` is a command that runs it (`setpriv ...`, `pghot run --`).
    """
    program = str(Path(os.environ[SHARED]) / "load")
    words = [*prefix, program, *map(str, (total_mib, hot_mib, seconds, seed)), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Load(process)
        finally:
            process.kill()
