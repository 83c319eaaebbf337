"""Accesses a second that `--source external:PATH` takes in, by form and by what they name.

    python bench/external.py [--pages 100000] [--accesses 1000000]

A writer in a process of its own writes as fast as it is read; the source is drained as a run
drains it.  Pages are this process's own; where page frames are hidden (no CAP_SYS_ADMIN), only
what needs none is measured.  CPU time is the reader's.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.targets import Pids
from pghot.sources.access_form import DTYPE, MAGIC
from pghot.sources.external import ExternalSource

WRITER = """
import socket, sys
feed = socket.socket(socket.AF_UNIX)
feed.connect(sys.argv[1])
feed.sendall(open(sys.argv[2], "rb").read())
feed.close()
"""


class Took(NamedTuple):
    """Samples that came out, seconds gone, seconds of CPU of the reader."""

    samples: int
    real_s: float
    cpu_s: float


def drain_all(source: ExternalSource, path: Path, content: bytes) -> Took:
    """Have a writer write and drain until it has all come."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), file.name])
        samples = 0
        began = began_cpu = 0.0
        while writer.poll() is None or source.rest_us:
            samples += len(source.drain().pid)
            if samples and not began:
                began, began_cpu = time.perf_counter(), time.process_time()
            time.sleep((source.rest_us or 1000) / 1e6)
        return Took(samples, time.perf_counter() - began, time.process_time() - began_cpu)


def records(count: int, pages: int, where: Callable[[np.ndarray], np.ndarray], pid: int) -> bytes:
    """Accesses to random pages, in the binary form."""
    made = np.zeros(count, DTYPE)
    made["where"] = where(np.random.default_rng(7).integers(0, pages, count).astype(np.uint64))
    made["pid"], made["nr"], made["pages"], made["nid"] = pid, 1, 1, -1
    return MAGIC + made.tobytes()


def lines(content: bytes) -> bytes:
    """The same accesses in the text form."""
    rows = np.frombuffer(content[len(MAGIC) :], DTYPE)
    whose = [f"{pid}:" if pid else "" for pid in rows["pid"].tolist()]
    wheres = rows["where"].tolist()
    return "".join(
        f"- {pid}{where:#x} -1 1\n" for pid, where in zip(whose, wheres, strict=True)
    ).encode()


def measure(pages: int, accesses: int) -> None:
    """Measure and print."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, pages * page)
    for at in range(pages):
        memory[at * page] = 1
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    address = np.uint64(start) + np.arange(pages, dtype=np.uint64) * np.uint64(page)
    host, me = Host(), os.getpid()
    cases = {}
    try:
        with Pagemap(host) as pagemap:
            frames = pagemap.lookup(me, address).pfn
        cases["process and address"] = records(accesses, pages, address.__getitem__, me)
        cases["bare frame"] = records(accesses, pages, frames.__getitem__, 0)
    except InputError as error:
        print(f"only processes that are no targets: {error}", file=sys.stderr)
    cases["of another process"] = records(accesses, pages, address.__getitem__, me + 1)
    for what, binary in cases.items():
        for form, content in (("binary", binary), ("text", lines(binary))):
            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory) / "feed.sock"
                source = ExternalSource(host, path)
                targets = Pids([me])
                targets.resolve(host)
                source.watch(targets)
                source.enable()
                took = drain_all(source, path, content)
                source.close()
            rate = took.samples / took.cpu_s
            print(
                f"{what:20} {form:7} {took.samples:>9,} samples  {rate:>10,.0f} a second of CPU  "
                f"{took.samples / took.real_s:>10,.0f} a second  {source.counts}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--accesses", type=int, default=1_000_000)
    options = parser.parse_args()
    measure(options.pages, options.accesses)
