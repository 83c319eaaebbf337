"""Probes of perf events: page faults as software events, hardware samples, ring memory.

Kernel: kernel/events/core.c, Documentation/admin-guide/perf-security.rst.
"""

from __future__ import annotations

import errno
import os

from pghot.engine.lists import parse_list
from pghot.linux.doctor.checks import Check, missing, note, works
from pghot.linux.host import Host
from pghot.linux.perf.attr import (
    NO_SAMPLE,
    PERF_COUNT_SW_PAGE_FAULTS_MIN,
    PERF_TYPE_SOFTWARE,
    EventAttr,
    Flag,
    Sample,
)
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.linux.processes.capabilities import Rights

PMUS = "/sys/bus/event_source/devices"
PARANOID = "/proc/sys/kernel/perf_event_paranoid"
_SAMPLE_TYPE = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU

_EVENT = "page faults as perf events"
_HARDWARE = "hardware samples"


def probe_faults(host: Host, rights: Rights) -> Check:
    """Try to open the event that sees hint faults, for all processes, without starting it."""
    cpus = parse_list(host.text_or("/sys/devices/system/cpu/online")) or (0,)
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
    paranoid = host.text_or(PARANOID, "?")
    if rights.has("CAP_PERFMON", "CAP_SYS_ADMIN"):
        detail = "perf_event_open is refused though CAP_PERFMON is there: a container's seccomp?"
        return missing(_EVENT, detail, "run pghot outside of the container", "fault")
    if _refusal(host, 0, -1, Sample.PHYS_ADDR) is None:
        detail = f"own processes only: no CAP_PERFMON, perf_event_paranoid is {paranoid}"
    else:
        detail = f"no CAP_PERFMON, and perf_event_paranoid is {paranoid}"
    return missing(_EVENT, detail, "sudo sysctl kernel.perf_event_paranoid=0", "fault")


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


def probe_hardware(host: Host, rights: Rights) -> Check:
    """Look for a PMU that samples the addresses of memory accesses."""
    found = _sampling_pmu(host)
    if found is None:
        return missing(_HARDWARE, _why_no_pmu(host), "", "hardware")
    paranoid = host.text_or(PARANOID, "?")
    if rights.has("CAP_PERFMON", "CAP_SYS_ADMIN") or paranoid in {"-1", "0"}:
        return works(_HARDWARE, found, "hardware")
    detail = f"{found}; no CAP_PERFMON, and perf_event_paranoid is {paranoid}"
    return missing(_HARDWARE, detail, "sudo sysctl kernel.perf_event_paranoid=0", "hardware")


def _sampling_pmu(host: Host) -> str | None:
    if host.exists(f"{PMUS}/ibs_op/type"):
        only = host.exists(f"{PMUS}/ibs_op/format/l3missonly")
        return "AMD IBS (ibs_op)" + (", misses of the last-level cache only" if only else "")
    for pmu in host.names(PMUS):
        if host.exists(f"{PMUS}/{pmu}/events/mem-loads"):
            return f"Intel PEBS ({pmu}: mem-loads)"
    return None


def _why_no_pmu(host: Host) -> str:
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
    page = host.sysconf("SC_PAGE_SIZE") >> 10
    need = (RING_PAGES + 1) * page
    shown = host.text_or("/proc/sys/kernel/perf_event_mlock_kb")
    limit = int(shown) if shown.isdecimal() else 0
    detail = f"{need} KiB a CPU; perf_event_mlock_kb is {shown or 'not shown'}"
    if rights.has("CAP_IPC_LOCK") or limit >= need:
        return works(name, detail)
    fix = f"sudo sysctl kernel.perf_event_mlock_kb={need}"
    detail += ", no CAP_IPC_LOCK"
    if limit >= 2 * page:
        return note(name, f"{detail}: smaller rings lose samples sooner", fix)
    return missing(name, detail, fix, "step")


def probe_rate(host: Host) -> Check:
    """How many samples a second a CPU may take."""
    rate = host.text_or("/proc/sys/kernel/perf_event_max_sample_rate", "not shown")
    detail = f"perf_event_max_sample_rate is {rate}; the kernel lowers it under load"
    fix = ""
    if rate.isdecimal() and int(rate) < 10_000:
        fix = "sudo sysctl kernel.perf_event_max_sample_rate=100000"
    return note("sample rate", detail, fix)
