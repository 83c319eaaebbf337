"""Made-up traces, and a look into the logs that come of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from pghot.log.convert import convert
from pghot.log.schema import Metadata

DATA = Path(__file__).parent / "data"
IP, TID, TIME, ADDR, READ, CHAIN, ID, CPU, PERIOD = (1 << bit for bit in range(9))
RAW, BRANCH, REGS_USER, STACK_USER = 1 << 10, 1 << 11, 1 << 12, 1 << 13
WEIGHT, DATA_SRC, IDENTIFIER, REGS_INTR, PHYS = 1 << 14, 1 << 15, 1 << 16, 1 << 18, 1 << 19


def q(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def record(kind, payload):
    return struct.pack("<IHH", kind, 0, 8 + len(payload)) + payload


def sample(*parts):
    return record(9, b"".join(q(part) if isinstance(part, int) else part for part in parts))


def pair(low, high):
    return struct.pack("<II", low, high)


@dataclass
class Event:
    sample_type: int
    ids: tuple[int, ...] = ()
    read_format: int = 0
    branch_type: int = 0
    regs_user: int = 0
    regs_intr: int = 0

    def attr(self):
        head = struct.pack("<IIQQQQQ", 1, 128, 0, 1, self.sample_type, self.read_format, 0)
        return (
            head.ljust(72, b"\0")
            + q(self.branch_type, self.regs_user, 0, self.regs_intr)
            + (bytes(24))
        )


@dataclass
class PerfFile:
    events: list[Event]
    records: list[bytes] = field(default_factory=list)

    def to_bytes(self, magic=b"PERFILE2"):
        ids, entries = b"", b""
        at = 104
        for event in self.events:
            entries += event.attr() + q(at + len(ids), 8 * len(event.ids))
            ids += q(*event.ids)
        data = b"".join(self.records)
        attrs_at = at + len(ids)
        data_at = attrs_at + len(entries)
        header = magic + q(104, 144, attrs_at, len(entries), data_at, len(data), 0, 0)
        return header.ljust(104, b"\0") + ids + entries + data


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def converted(source, out, **options):
    """Convert and give the report and the log's columns as lists."""
    report = convert(source, out, force=True, **options)
    return report, pq.read_table(out).to_pydict()


def metadata(out):
    return Metadata.from_json(pq.read_metadata(out).metadata[b"pghot"])
