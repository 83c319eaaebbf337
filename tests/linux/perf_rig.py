"""Recorded PMUs, rings made byte for byte, and a host whose perf events are those rings."""

import mmap
import os
import struct
from pathlib import Path

from pghot.linux.host import Host
from pghot.linux.perf.ring_size import ring_pages

DATA = Path(__file__).parent / "data"
DEVICES = "/sys/bus/event_source/devices"
LOST, COMM, EXIT, THROTTLE, UNTHROTTLE, FORK, SAMPLE, LOST_SAMPLES = 2, 3, 4, 5, 6, 7, 9, 13
COMM_EXEC = 1 << 13


def machine(directory, name):
    """Lay a recorded tree out below `directory`."""
    for line in (DATA / f"{name}.sysfs").read_text().splitlines():
        path, _, content = line.partition("\t")
        put(directory, path if path.startswith("/") else f"{DEVICES}/{path}", content)
    return directory


def put(directory, path, content):
    place = Path(directory, path.lstrip("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content + "\n")


def record(kind, body=b"", misc=0):
    assert len(body) % 8 == 0
    return struct.pack("=IHH", kind, misc, 8 + len(body)) + body


def sample(time=0, pid=1, tid=1, addr=0, cpu=0, phys=0, data_src=None):
    """One with TID, TIME, ADDR, CPU, maybe DATA_SRC, and PHYS_ADDR."""
    body = struct.pack("=iiQQiI", pid, tid, time, addr, cpu, 0)
    if data_src is not None:
        body += struct.pack("=Q", data_src)
    return record(SAMPLE, body + struct.pack("=Q", phys))


def trailer(time, pid=1, tid=1, cpu=0):
    return struct.pack("=iiQiI", pid, tid, time, cpu, 0)


def comm(time, pid, tid, name=b"sh\0\0\0\0\0\0", *, exec_=True):
    body = struct.pack("=ii", pid, tid) + name + trailer(time)
    return record(COMM, body, COMM_EXEC if exec_ else 0)


def fork(time, pid, ppid, tid, kind=FORK):
    return record(kind, struct.pack("=iiiiQ", pid, ppid, tid, ppid, time) + trailer(time))


def lost(number):
    return record(LOST, struct.pack("=QQ", 7, number) + trailer(0))


def lost_samples(number):
    return record(LOST_SAMPLES, struct.pack("=Q", number) + trailer(0))


def throttle(kind=THROTTLE):
    return record(kind, struct.pack("=QQQ", 0, 7, 7) + trailer(0))


class MadeRing:
    """A ring in a memfd, written as the kernel writes one."""

    def __init__(self, pages=1, start=0):
        self.size = pages * mmap.PAGESIZE
        self.descriptor = os.memfd_create("ring", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, mmap.PAGESIZE + self.size)
        self.head = start
        self._control(1024, start, start, mmap.PAGESIZE, self.size)

    def _control(self, at, *values):
        os.pwrite(self.descriptor, struct.pack(f"={len(values)}Q", *values), at)

    def write(self, *records):
        content = b"".join(records)
        start = self.head % self.size
        first = content[: self.size - start]
        os.pwrite(self.descriptor, first, mmap.PAGESIZE + start)
        os.pwrite(self.descriptor, content[len(first) :], mmap.PAGESIZE)
        self.head += len(content)
        self._control(1024, self.head)

    @property
    def tail(self):
        return struct.unpack("=Q", os.pread(self.descriptor, 8, 1032))[0]

    def close(self):
        os.close(self.descriptor)


class PerfHost(Host):
    """A host of recorded files; events opened on it are made rings, and written down.

    `refuse` is asked (attr, pid, cpu, group) and gives an errno to refuse with, or None.
    """

    def __init__(self, root, refuse=lambda *_: None):
        super().__init__(root)
        self.refuse = refuse
        self.opened = []
        self.ioctls = []
        self.rings = {}
        self.start = 0

    def sysconf(self, name):
        assert name in {"SC_PAGE_SIZE", "SC_CLK_TCK"}
        if name == "SC_CLK_TCK":
            return 100
        return 4096

    def perf_event_open(self, attr, pid, cpu, group=-1):
        code = self.refuse(attr, pid, cpu, group)
        if code:
            raise OSError(code, os.strerror(code))
        ring = MadeRing(ring_pages(self.sysconf("SC_PAGE_SIZE")), self.start)
        self.rings.setdefault(cpu, []).append(ring)
        self.opened.append((attr, pid, cpu, group, ring.descriptor))
        return ring.descriptor

    def perf_event_ioctl(self, descriptor, request, argument=0):
        self.ioctls.append((descriptor, request, argument))
