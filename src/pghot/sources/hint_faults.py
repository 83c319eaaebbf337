"""Hint faults of NUMA balancing, seen as minor faults by perf's software event.

In tiering mode the kernel takes the mapping of slow pages away now and then; the next
access faults, the kernel maps the page again and counts a minor fault.  The event fires
after that, so the physical address of the access is known (mm/memory.c, do_numa_page();
arch fault handlers, PERF_COUNT_SW_PAGE_FAULTS_MIN).  First touches come in the same stream.
"""

from __future__ import annotations

from pghot.linux.guard.settings import NUMA_BALANCING, RATE_LIMIT, SCAN, TIERING
from pghot.linux.host import Host
from pghot.linux.perf.attr import (
    CLOCK_MONOTONIC,
    NO_FLAG,
    PERF_COUNT_SW_PAGE_FAULTS_MIN,
    PERF_TYPE_SOFTWARE,
    EventAttr,
    Flag,
    Sample,
)
from pghot.linux.perf.event_opener import EVERY_PROCESS
from pghot.linux.perf.event_rings import Wanted
from pghot.linux.perf.ring_size import RING_PAGES, ring_pages
from pghot.sources.perf_source import PerfSource
from pghot.sources.scan_settings import Pace

NAME = "hintfault"
TITLE = "hint faults"
REPORTS_AS = "hintfault"
SAMPLE_TYPE = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.PHYS_ADDR


def settings(pace: Pace | None = None, mode: str = TIERING) -> list[tuple[str, str]]:
    """Name the host settings that this source needs, as (path, value), in order.

    The rate limit goes to 0 before the mode is switched on: the kernel detects, and leaves
    promotion to us.  `mode` is a value of numa_balancing with that of tiering in it.  Writing
    them is the guard's work.
    """
    paces = [(f"{SCAN}/{name}", str(value)) for name, value in (pace or Pace())._asdict().items()]
    return [
        (RATE_LIMIT, "0"),
        *((path, value) for path, value in paces if value != "None"),
        (NUMA_BALANCING, mode),
    ]


def event(pages: int = RING_PAGES, page_size: int = 4096, *, user_only: bool = True) -> EventAttr:
    """The event: every minor fault, one sample each; readable at half a ring.

    `user_only` leaves out faults that the kernel takes for a process, in read(2) say.
    """
    return EventAttr(
        type=PERF_TYPE_SOFTWARE,
        config=PERF_COUNT_SW_PAGE_FAULTS_MIN,
        sample_period=1,
        sample_type=SAMPLE_TYPE,
        flags=Flag.DISABLED | Flag.SAMPLE_ID_ALL | (Flag.EXCLUDE_KERNEL if user_only else NO_FLAG),
        wakeup_watermark=pages * page_size // 2,
        clockid=CLOCK_MONOTONIC,
    )


def why_not(host: Host) -> str | None:
    """Why hint faults cannot be had here; None where they can, as far as files show."""
    if not host.exists(NUMA_BALANCING):
        return "this kernel has no NUMA balancing (CONFIG_NUMA_BALANCING)"
    if not host.exists(RATE_LIMIT):
        return "this kernel's NUMA balancing has no tiering mode with a rate limit"
    return None


def uses(host: Host) -> str:
    """What of a host hint faults come from."""
    del host
    return "NUMA balancing in tiering mode"


def open_source(
    host: Host,
    pid: int = EVERY_PROCESS,
    *,
    pages: int | None = None,
    follow: bool = False,
    user_only: bool = True,
) -> PerfSource:
    """Open the event on every CPU, for all processes or for one; PghotError where refused."""
    page_size = host.sysconf("SC_PAGE_SIZE")
    pages = pages or ring_pages(page_size)
    wanted = event(pages, page_size, user_only=user_only)
    return PerfSource(NAME, host, [Wanted([[wanted]])], pid=pid, pages=pages, follow=follow)
