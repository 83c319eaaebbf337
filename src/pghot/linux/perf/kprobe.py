"""A probe at the entry of a kernel function, through perf's own PMU for them.

Nothing is left behind: the probe goes with its descriptors (kernel/trace/trace_event_perf.c,
perf_kprobe_init()).  Registers at the entry are the arguments, by the machine's C convention.
"""

from __future__ import annotations

import ctypes
import platform
from typing import NamedTuple

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf.attr import CLOCK_MONOTONIC, EventAttr, Flag, Sample
from pghot.linux.perf.sample_layout import SampleLayout, registers_layout

PMU = "/sys/bus/event_source/devices/kprobe/type"

RETPROBE = 1
"""The one bit of the PMU's `config` (its format/retprobe)."""

_ARGUMENTS = {
    "x86_64": (5, 4, 3, 2),  # di, si, dx, cx: arch/x86/include/uapi/asm/perf_regs.h
    "aarch64": (0, 1, 2, 3),  # x0 on: arch/arm64/include/uapi/asm/perf_regs.h
}
"""Numbers of the registers that hold a function's first arguments."""

_RETURNED = {"x86_64": 0, "aarch64": 0}  # ax, x0
"""Numbers of the registers that hold what a function returns."""

SAMPLE_TYPE = Sample.TID | Sample.TIME | Sample.CPU | Sample.REGS_INTR


class Probe(NamedTuple):
    """An event at a function's entry or return, and where two registers stand in a sample.

    `name` is the function's name as the event points to it: it lives as long as this.
    """

    event: EventAttr
    layout: SampleLayout
    name: ctypes.Array[ctypes.c_char]


def why_not(host: Host) -> str | None:
    """Why there can be no probes here; None where there can, as far as files show."""
    if platform.machine() not in _ARGUMENTS:
        return f"which registers hold arguments is not known for {platform.machine()}"
    if not host.exists(PMU):
        return "this kernel's perf has no kprobes (CONFIG_KPROBE_EVENTS)"
    return None


def at_entry(host: Host, function: str, first: int, second: int) -> Probe:
    """Describe a probe that samples two arguments, counted from 0, as addr and phys.

    PghotError where the kernel has no such probes.
    """
    if reason := why_not(host):
        raise PghotError(reason)
    registers = _ARGUMENTS[platform.machine()]
    return _probe(host, function, registers[first], registers[second])


def at_return(host: Host, function: str) -> Probe:
    """Describe a probe at the function's return that samples what it returns, as addr.

    PghotError where the kernel has no such probes.
    """
    if reason := why_not(host):
        raise PghotError(reason)
    register = _RETURNED[platform.machine()]
    return _probe(host, function, register, register, config=RETPROBE)


def _probe(host: Host, function: str, addr: int, phys: int, config: int = 0) -> Probe:
    mask = 1 << addr | 1 << phys
    name = ctypes.create_string_buffer(function.encode())
    event = EventAttr(
        type=int(host.text(PMU)),
        config=config,
        config1=ctypes.addressof(name),
        sample_period=1,
        sample_type=SAMPLE_TYPE,
        sample_regs_intr=mask,
        flags=Flag.DISABLED | Flag.SAMPLE_ID_ALL,
        clockid=CLOCK_MONOTONIC,
    )
    layout = registers_layout(SAMPLE_TYPE, mask, addr, phys)
    return Probe(event, layout, name)
