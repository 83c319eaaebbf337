"""Limits of this process that perf events run into: descriptors and locked memory.

/proc/self/limits, getrlimit(2); kernel/events/core.c, perf_mmap().
"""

from __future__ import annotations

import re

from pghot.linux.fields import number
from pghot.linux.host import Host

LIMITS = "/proc/self/limits"
MLOCK_KB = "/proc/sys/kernel/perf_event_mlock_kb"
_ROWS = {"NOFILE": "Max open files", "MEMLOCK": "Max locked memory"}
UNLIMITED = 1 << 63


def hard_limit(host: Host, name: str) -> int | None:
    """The hard limit of `NOFILE` (descriptors) or `MEMLOCK` (bytes); None where it is not told."""
    row = _ROWS[name]
    match = re.search(rf"^{row} +\S+ +(\S+)", host.text_or(LIMITS), re.MULTILINE)
    if match is None:
        return None
    return UNLIMITED if match[1] == "unlimited" else number(f"{LIMITS}: {row}", match[1])


def mlock_advice(host: Host) -> str:
    """Which limits hold the rings down, and who raises them."""
    shown = host.text_or(MLOCK_KB, "not shown")
    limit = hard_limit(host, "MEMLOCK")
    kib = "not shown" if limit is None else f"{limit >> 10} KiB"
    return (
        f"kernel.perf_event_mlock_kb is {shown} (root raises it by sysctl), the limit on locked "
        f"memory {kib} (ulimit -l, or LimitMEMLOCK= of a unit); with CAP_IPC_LOCK neither counts"
    )


def descriptor_advice(host: Host, needed: int) -> str:
    """How many descriptors events need, how many there may be, and who lets there be more."""
    limit = hard_limit(host, "NOFILE")
    shown = "not shown" if limit is None else f"{limit:,}"
    return (
        f"perf events need {needed:,} descriptors, the hard limit is {shown}: root raises it by "
        "ulimit -Hn, or LimitNOFILE= of a unit"
    )
