"""struct perf_event_attr: what perf_event_open(2) is told of an event.

Names and bits are those of include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

PERF_TYPE_SOFTWARE = 1
PERF_COUNT_SW_PAGE_FAULTS_MIN = 5
CLOCK_MONOTONIC = 1

PERF_ATTR_SIZES = (64, 72, 80, 96, 104, 112, 120, 128, 136)
"""PERF_ATTR_SIZE_VER0 to VER8: the sizes that a kernel of some time has known."""

_FIELDS = "IIQQQQQIIQQQQIiQIHHIIQQ"
_PRECISE_IP = (15, 2)
"""First bit and width of the one field among the flags that is not a single bit."""


class Sample(IntFlag):
    """PERF_SAMPLE_*: what stands in a sample."""

    IP = 1 << 0
    TID = 1 << 1
    TIME = 1 << 2
    ADDR = 1 << 3
    READ = 1 << 4
    CALLCHAIN = 1 << 5
    ID = 1 << 6
    CPU = 1 << 7
    PERIOD = 1 << 8
    STREAM_ID = 1 << 9
    RAW = 1 << 10
    BRANCH_STACK = 1 << 11
    REGS_USER = 1 << 12
    STACK_USER = 1 << 13
    WEIGHT = 1 << 14
    DATA_SRC = 1 << 15
    IDENTIFIER = 1 << 16
    TRANSACTION = 1 << 17
    REGS_INTR = 1 << 18
    PHYS_ADDR = 1 << 19
    AUX = 1 << 20
    CGROUP = 1 << 21
    DATA_PAGE_SIZE = 1 << 22
    CODE_PAGE_SIZE = 1 << 23
    WEIGHT_STRUCT = 1 << 24


class Flag(IntFlag):
    """The one-bit fields of the struct, each at its place in the order of declaration."""

    DISABLED = 1 << 0
    INHERIT = 1 << 1
    PINNED = 1 << 2
    EXCLUSIVE = 1 << 3
    EXCLUDE_USER = 1 << 4
    EXCLUDE_KERNEL = 1 << 5
    EXCLUDE_HV = 1 << 6
    EXCLUDE_IDLE = 1 << 7
    MMAP = 1 << 8
    COMM = 1 << 9
    FREQ = 1 << 10
    INHERIT_STAT = 1 << 11
    ENABLE_ON_EXEC = 1 << 12
    TASK = 1 << 13
    WATERMARK = 1 << 14
    MMAP_DATA = 1 << 17
    SAMPLE_ID_ALL = 1 << 18
    EXCLUDE_HOST = 1 << 19
    EXCLUDE_GUEST = 1 << 20
    MMAP2 = 1 << 23
    COMM_EXEC = 1 << 24
    USE_CLOCKID = 1 << 25


NO_SAMPLE, NO_FLAG = Sample(0), Flag(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAttr:
    """An event: its PMU's type, its config words, what to sample and how often.

    `sample_period` is in events, 0 for one that only counts.  `wakeup_watermark` is in
    bytes of the ring, `aux_watermark` of the AUX buffer, `clockid` a clock of
    clock_gettime(2); the first and the last set their flag (WATERMARK, USE_CLOCKID).
    `sample_regs_intr` is a bit a register, numbered as in asm/perf_regs.h.
    """

    type: int
    config: int = 0
    config1: int = 0
    config2: int = 0
    config3: int = 0
    sample_period: int = 0
    sample_type: Sample = NO_SAMPLE
    flags: Flag = NO_FLAG
    precise_ip: int = 0
    sample_regs_intr: int = 0
    wakeup_watermark: int = 0
    aux_watermark: int = 0
    clockid: int | None = None

    def pack(self, byteorder: Literal["little", "big"] = sys.byteorder) -> bytes:
        """The struct, as short as the oldest kernel's that has all its fields.

        A kernel takes one that is shorter than its own and reads zeros for the rest; a
        longer one it takes only where the rest is zero.
        """
        whole = struct.pack(
            (">" if byteorder == "big" else "<") + _FIELDS,
            self.type,
            0,
            self.config,
            self.sample_period,
            self.sample_type,
            0,  # read_format
            self._flag_word(byteorder),
            self.wakeup_watermark,
            0,  # bp_type
            self.config1,
            self.config2,
            *(0, 0, 0),  # branch_sample_type, sample_regs_user, sample_stack_user
            self.clockid or 0,
            self.sample_regs_intr,
            self.aux_watermark,
            *(0, 0, 0, 0, 0),  # sample_max_stack up to sig_data
            self.config3,
        )
        used = len(whole.rstrip(b"\0"))
        size = next(size for size in PERF_ATTR_SIZES if size >= used)
        return whole[:4] + size.to_bytes(4, byteorder) + whole[8:size]

    def _flag_word(self, byteorder: str) -> int:
        flags = self.flags
        if self.wakeup_watermark:
            flags |= Flag.WATERMARK
        if self.clockid is not None:
            flags |= Flag.USE_CLOCKID
        word = int(flags)
        first, width = _PRECISE_IP
        if byteorder == "little":
            return word | self.precise_ip << first
        # Big-endian compilers fill bit fields from the word's top.
        word = sum(1 << 63 - bit for bit in range(64) if word >> bit & 1)
        return word | self.precise_ip << 64 - first - width
