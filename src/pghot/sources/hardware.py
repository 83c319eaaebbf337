"""Accesses that the processor samples by itself: AMD IBS, Intel PEBS, Arm SPE (`spe`).

What is opened, `linux.perf.mem_events` and `linux.perf.spe_events` find in sysfs.  Of the samples,
those stay that are loads or stores which memory served (see `data_src`) and whose physical
address is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf.arrays import SampleColumns
from pghot.linux.perf.attr import EventAttr
from pghot.linux.perf.event_opener import EVERY_PROCESS
from pghot.linux.perf.event_rings import Wanted
from pghot.linux.perf.mem_events import MemEvents, Periods, find_mem_events
from pghot.linux.perf.ring_size import ring_pages
from pghot.linux.perf.spe_events import find_spe_events, why_no_spe
from pghot.sources import data_src
from pghot.sources.perf_source import PerfSource

NAME = "hwhint"
TITLE = "hardware sampling"
REPORTS_AS = "hwhint"


def why_not(host: Host) -> str | None:
    """Why there are no hardware samples here; None where there are, as sysfs shows it."""
    if find_mem_events(host) or find_spe_events(host):
        return None
    return why_no_spe(host) or "no PMU with memory events (a virtual machine usually has none)"


def uses(host: Host) -> str:
    """The PMUs that sample memory."""
    found = [events.what for events in find_mem_events(host)]
    return " and ".join(found or [events.what for events in find_spe_events(host)])


def open_source(
    host: Host,
    pid: int = EVERY_PROCESS,
    *,
    pages: int | None = None,
    follow: bool = False,
    periods: Periods | None = None,
) -> PerfSource:
    """Open what samples memory accesses on every CPU; PghotError where nothing does.

    `periods` says how many events make a sample.  The PMUs of a hybrid machine are opened
    each on its own CPUs.
    """
    found = find_mem_events(host, periods)
    page_size = host.sysconf("SC_PAGE_SIZE")
    pages = pages or ring_pages(page_size)
    if not found:
        return _open_spe(host, pid, pages, follow=follow)
    watermark = pages * page_size // 2
    return PerfSource(
        NAME,
        host,
        [Wanted(_waking(events, watermark), events.cpus) for events in found],
        pid=pid,
        pages=pages,
        follow=follow,
        is_access=_is_memory,
        is_write=_is_write,
    )


def _open_spe(host: Host, pid: int, pages: int, *, follow: bool) -> PerfSource:
    found = find_spe_events(host)
    if not found:
        raise PghotError(f"no hardware samples: {why_not(host)}")
    from pghot.sources.spe import SpeSource  # noqa: PLC0415 - with its decoder, on Arm alone

    return SpeSource(NAME, host, found, pid=pid, pages=pages, follow=follow)


def _waking(events: MemEvents, watermark: int) -> Sequence[Sequence[EventAttr]]:
    return [
        [
            replace(event, wakeup_watermark=watermark) if event.sample_period else event
            for event in group
        ]
        for group in events.groups
    ]


def _is_memory(samples: SampleColumns) -> npt.NDArray[np.bool_]:
    return data_src.is_memory(samples.data_src)


def _is_write(samples: SampleColumns) -> npt.NDArray[np.bool_]:
    return data_src.is_write(samples.data_src)
