"""A plain reader of one software event's samples, to check others by (perf_event_open(2))."""

from __future__ import annotations

import dataclasses
import mmap
import os
import struct
import time
from collections.abc import Iterable

from pghot.linux.syscalls import perf_event_open

TYPE_SOFTWARE = 1
PAGE_FAULTS_MIN = 5
SAMPLE_TID, SAMPLE_TIME, SAMPLE_ADDR, SAMPLE_PHYS_ADDR = 1 << 1, 1 << 2, 1 << 3, 1 << 19
EXCLUDE_KERNEL = 1 << 5
RECORD_LOST, RECORD_SAMPLE = 2, 9
HEAD, TAIL = 1024, 1032


@dataclasses.dataclass(frozen=True)
class Fault:
    """One minor fault."""

    pid: int
    time_ns: int
    address: int
    physical: int


class Faults:
    """The minor faults of a process, from now on."""

    def __init__(self, pid: int, pages: int = 256) -> None:
        sample = SAMPLE_TID | SAMPLE_TIME | SAMPLE_ADDR | SAMPLE_PHYS_ADDR
        attr = struct.pack("=IIQQQQQ", TYPE_SOFTWARE, 128, PAGE_FAULTS_MIN, 1, sample, 0, 0)
        attr = bytearray(attr.ljust(128, b"\0"))
        struct.pack_into("=Q", attr, 40, EXCLUDE_KERNEL)
        self.descriptor = perf_event_open(bytes(attr), pid, -1)
        self.size = pages * mmap.PAGESIZE
        self.ring = mmap.mmap(self.descriptor, self.size + mmap.PAGESIZE)
        self.lost = 0

    def close(self) -> None:
        self.ring.close()
        os.close(self.descriptor)

    def read(self) -> list[Fault]:
        """What came since the last time; call it before the ring is full."""
        (head,) = struct.unpack_from("=Q", self.ring, HEAD)
        (tail,) = struct.unpack_from("=Q", self.ring, TAIL)
        data = self._bytes(tail, head)
        struct.pack_into("=Q", self.ring, TAIL, head)
        faults, at = [], 0
        while at < len(data):
            kind, _misc, size = struct.unpack_from("=IHH", data, at)
            if kind == RECORD_SAMPLE:
                pid, _tid, *rest = struct.unpack_from("=IIQQQ", data, at + 8)
                faults.append(Fault(pid, *rest))
            elif kind == RECORD_LOST:
                self.lost += struct.unpack_from("=QQ", data, at + 8)[1]
            at += size
        return faults

    def until_all_seen(self, wanted: Iterable[int], timeout: float) -> list[Fault]:
        """Read until every page of `wanted` has faulted; fail with how many have not."""
        faults: list[Fault] = []
        missing = set(wanted)
        end = time.monotonic() + timeout
        while missing:
            new = self.read()
            faults += new
            missing -= {fault.address & -mmap.PAGESIZE for fault in new}
            assert time.monotonic() < end, f"{len(missing)} pages never faulted"
            time.sleep(0.05)
        return faults

    def _bytes(self, tail: int, head: int) -> bytes:
        start, end = tail % self.size, head % self.size
        first = mmap.PAGESIZE
        if start <= end and head - tail < self.size:
            return self.ring[first + start : first + end]
        return self.ring[first + start : first + self.size] + self.ring[first : first + end]
