"""Probes of perf events: page faults as software events, hardware samples, ring memory.

Kernel: kernel/events/core.c, Documentation/admin-guide/perf-security.rst.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from pghot.errors import PghotError
from pghot.linux.doctor.checks import Check, missing, note, works
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import online_cpus
from pghot.linux.perf.attr import (
    NO_SAMPLE,
    PERF_COUNT_SW_PAGE_FAULTS_MIN,
    PERF_TYPE_SOFTWARE,
    EventAttr,
    Flag,
    Sample,
)
from pghot.linux.perf.event_opener import refusal
from pghot.linux.perf.mem_events import MemEvents, find_mem_events
from pghot.linux.perf.rights import PARANOID, why_refused
from pghot.linux.perf.ring_size import ring_pages
from pghot.linux.perf.spe_events import find_spe_events, why_no_spe
from pghot.linux.processes.capabilities import Rights
from pghot.linux.processes.perf_limits import (
    LIMITS,
    MLOCK_KB,
    UNLIMITED,
    descriptor_advice,
    hard_limit,
)

PMUS = "/sys/bus/event_source/devices"
_OTHER_DESCRIPTORS = 64
"""What a run has open beside its events: settings, pages, a socket, a log, results."""

_SAMPLE_TYPE = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU

_EVENT = "page faults as perf events"
_HARDWARE = "hardware samples"


def probe_faults(host: Host, rights: Rights) -> Check:
    """Try to open the event that sees hint faults, for all processes, without starting it."""
    cpus = online_cpus(host)
    error = _refusal(host, -1, cpus[0], Sample.PHYS_ADDR)
    if error is None:
        return works(_EVENT, "with physical addresses, of all processes", "fault")
    if error in {errno.EACCES, errno.EPERM}:
        return _not_allowed(host, rights)
    if error == errno.ENOSYS:
        return missing(_EVENT, "this kernel has no perf events (CONFIG_PERF_EVENTS)", "", "fault")
    if error == errno.EINVAL and _refusal(host, 0, -1) is None:
        return missing(_EVENT, "this kernel's samples have no physical addresses", "", "fault")
    return missing(_EVENT, f"perf_event_open: {os.strerror(error)}", "", "fault")


def _not_allowed(host: Host, rights: Rights) -> Check:
    detail, fix = why_refused(host)
    own = not rights.has("CAP_PERFMON", "CAP_SYS_ADMIN")
    if own and _refusal(host, 0, -1, Sample.PHYS_ADDR) is None:
        shown = host.text_or(PARANOID, "?")
        detail = f"own processes only: no CAP_PERFMON, perf_event_paranoid is {shown}"
    return missing(_EVENT, detail, fix, "fault")


def _refusal(host: Host, pid: int, cpu: int, more: Sample = NO_SAMPLE) -> int | None:
    """Open a disabled software event and close it; the errno where that is refused."""
    event = EventAttr(
        type=PERF_TYPE_SOFTWARE,
        config=PERF_COUNT_SW_PAGE_FAULTS_MIN,
        sample_period=1,
        sample_type=_SAMPLE_TYPE | more,
        flags=Flag.DISABLED | Flag.EXCLUDE_KERNEL,
    )
    try:
        os.close(host.perf_event_open(event.pack(), pid, cpu))
    except OSError as error:
        return error.errno or errno.EIO
    return None


def probe_hardware(host: Host) -> Check:
    """Look for a PMU that samples the addresses of accesses, and open its events as a run does."""
    try:
        found = _sampling(host)
    except PghotError as error:
        return missing(_HARDWARE, str(error), "", "hardware")
    if not found:
        return missing(_HARDWARE, _why_no_pmu(host), "", "hardware")
    what = " and ".join(events.what for events in found)
    for events in found:
        if code := _no_events(host, events):
            return _no_hardware(host, what, events.pmu, code)
    return works(_HARDWARE, what, "hardware")


def _sampling(host: Host) -> list[MemEvents]:
    """What a run opens: a PMU's events, or Arm's SPE."""
    found = find_mem_events(host)
    return found or [
        MemEvents(spe.pmu, ((spe.event,),), spe.cpus, spe.what) for spe in find_spe_events(host)
    ]


def _no_events(host: Host, events: MemEvents) -> int:
    """Open all groups of a PMU on one of its CPUs; the errno of the first refusal, or 0."""
    for cpu in online_cpus(host):
        if events.cpus is None or cpu in events.cpus:
            refusals = (refusal(host, group, cpu) for group in events.groups)
            return next(filter(None, refusals), 0)
    return errno.ENODEV


def _no_hardware(host: Host, what: str, pmu: str, code: int) -> Check:
    if code in {errno.EACCES, errno.EPERM}:
        detail, fix = why_refused(host)
        return missing(_HARDWARE, f"{what}; {detail}", fix, "hardware")
    detail = f"{what}: perf_event_open of {pmu}: {os.strerror(code)}"
    return missing(_HARDWARE, detail, "", "hardware")


def _why_no_pmu(host: Host) -> str:
    if why := why_no_spe(host):
        return why
    pmus = host.names(PMUS)
    cores = [pmu for pmu in pmus if pmu.startswith(("cpu", "armv", "arm_spe"))]
    guest = "hypervisor" in host.text_or("/proc/cpuinfo").split()
    if cores:
        what = (
            f"{cores[0]} samples no memory accesses that are read here (no ibs_op, no mem-loads)"
        )
        return f"{what}; this is a virtual machine" if guest else what
    return "this virtual machine has no PMU" if guest else "this kernel shows no PMU"


def probe_rings(host: Host, rights: Rights) -> Check:
    """Compare the memory of the rings with what may be locked for them (perf_mmap()).

    One ring a CPU, a page more for its header; it shrinks to what may be locked.
    """
    name = "ring memory"
    size = host.sysconf("SC_PAGE_SIZE")
    page = size >> 10
    need = (ring_pages(size) + 1) * page
    shown = host.text_or(MLOCK_KB)
    limit = int(shown) if shown.isdecimal() else 0
    detail = f"{need} KiB a CPU; perf_event_mlock_kb is {shown or 'not shown'}"
    if rights.has("CAP_IPC_LOCK") or limit >= need:
        return works(name, detail)
    fix = f"sudo sysctl kernel.perf_event_mlock_kb={need}"
    detail += ", no CAP_IPC_LOCK"
    if limit >= 2 * page:
        return note(name, f"{detail}: smaller rings lose samples sooner", fix)
    return missing(name, detail, fix, "step")


def probe_descriptors(host: Host) -> Check:
    """Count the descriptors that a run needs, and compare with the hard limit, which it takes."""
    name = "descriptors"
    needed = _descriptors(host)
    limit = hard_limit(host, "NOFILE")
    if limit is None:
        return note(name, f"{needed:,} are needed; {LIMITS} does not tell how many may be open")
    if needed > limit:
        return missing(name, descriptor_advice(host, needed), f"ulimit -Hn {needed}", "step")
    shown = "no hard limit" if limit == UNLIMITED else f"the hard limit is {limit:,}"
    return works(name, f"{needed:,} are needed; {shown}, and a run takes that")


def _descriptors(host: Host) -> int:
    """Two for the probe at the scan and one for its faults on each CPU, and a PMU's events."""
    cpus = online_cpus(host)
    with suppress(PghotError):
        hardware = _sampling(host)
        of_pmu = [
            sum(map(len, events.groups)) * len(cpus if events.cpus is None else events.cpus)
            for events in hardware
        ]
        return _OTHER_DESCRIPTORS + 3 * len(cpus) + sum(of_pmu)
    return _OTHER_DESCRIPTORS + 3 * len(cpus)


def probe_rate(host: Host) -> Check:
    """How many samples a second a CPU may take."""
    rate = host.text_or("/proc/sys/kernel/perf_event_max_sample_rate", "not shown")
    detail = f"perf_event_max_sample_rate is {rate}; the kernel lowers it under load"
    fix = ""
    if rate.isdecimal() and int(rate) < 10_000:
        fix = "sudo sysctl kernel.perf_event_max_sample_rate=100000"
    return note("sample rate", detail, fix)
