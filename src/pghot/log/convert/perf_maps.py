"""The mappings that perf.data tells of (MMAP and MMAP2 records, linux/perf_event.h).

perf records those that can be executed, and with `-d` those of data too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pghot.log.convert.perf_file import PerfFile
from pghot.log.convert.text import printable
from pghot.log.regions import MOST, MappedRegion

RECORD_MMAP, RECORD_MMAP2 = 1, 10

_HEAD = struct.Struct("<IIQQQ")  # pid, tid, addr, len, pgoff
_NAME_AT = {RECORD_MMAP: _HEAD.size, RECORD_MMAP2: _HEAD.size + 32}
"""Where the file's name begins: MMAP2 has device, inode, protection and flags before it."""

_KERNEL_PID = 0xFFFF_FFFF


def mappings(file: PerfFile) -> Iterator[MappedRegion]:
    """The mappings of processes in the order of the records; those of the kernel not."""
    for part in file.stretches:
        for kind, name_at in _NAME_AT.items():
            for count, (_at, body) in enumerate(part.records(kind)):
                if count == MOST:
                    break
                region = _region(body.tobytes(), name_at)
                if region is not None:
                    yield region


def _region(body: bytes, name_at: int) -> MappedRegion | None:
    if len(body) <= name_at:
        return None
    pid, _tid, start, length, _pgoff = _HEAD.unpack_from(body)
    if pid == _KERNEL_PID or not length or start + length > 1 << 64:
        return None
    name = body[name_at:].split(b"\0", 1)[0]
    return MappedRegion(pid, start, start + length, printable(name, len(name)))
