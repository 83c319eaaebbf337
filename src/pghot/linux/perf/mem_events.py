"""Events that sample memory accesses with their addresses: AMD's IBS, Intel's PEBS.

arch/x86/events/amd/ibs.c; arch/x86/events/intel/core.c (mem_attrs, intel_pmu_hw_config);
tools/perf/Documentation/perf-amd-ibs.txt and perf-mem.txt.
"""

from __future__ import annotations

from typing import NamedTuple

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.perf.attr import CLOCK_MONOTONIC, NO_FLAG, EventAttr, Flag, Sample
from pghot.linux.perf.pmu import Pmu, encode, parse_event, pmu_names, read_pmu

IBS_OP = "ibs_op"
SAMPLE_TYPE = (
    Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.DATA_SRC | Sample.PHYS_ADDR
)

IBS_PERIOD = 100_000
"""Ops between two that are tagged, on each CPU."""

LOAD_PERIOD = 10_007
"""Loads over the latency threshold between two samples; a prime falls in step with no loop."""

STORE_PERIOD = 100_003
LOAD_LATENCY = 30
"""Cycles that a load must take to count (ldlat): perf mem's default, above any L2 hit."""

PRECISE_IP = 3
"""No skid at all; an opener falls back to 2 where the PMU refuses."""

_IBS_STEP = 16
_IBS_MIN_PERIOD = 0x90
"""The kernel masks the low four bits off, and newer ones refuse less than 9 * 16."""


_IBS_LATENCIES = range(128, 2049)


class MemEvents(NamedTuple):
    """What to open on each of `cpus` (None: any): groups of events, each led by its first.

    `what` says it in words.  An event with sample_period 0 only counts.
    """

    pmu: str
    groups: tuple[tuple[EventAttr, ...], ...]
    cpus: tuple[int, ...] | None
    what: str


class Periods(NamedTuple):
    """How many events make a sample, and the cycles that a load must take to be one.

    AMD's IBS then leaves out stores too: no latency is asked of it unless it is given.
    """

    ibs: int = IBS_PERIOD
    loads: int = LOAD_PERIOD
    stores: int = STORE_PERIOD
    load_latency: int = LOAD_LATENCY
    ibs_load_latency: int | None = None


def find_mem_events(host: Host, periods: Periods | None = None) -> list[MemEvents]:
    """Find what samples memory accesses here, by what sysfs shows; none where nothing does."""
    periods = periods or Periods()
    ibs = read_pmu(host, IBS_OP)
    if ibs:
        return [ibs_events(ibs, periods.ibs, periods.ibs_load_latency)]
    pmus = [pmu for name in pmu_names(host) if (pmu := read_pmu(host, name))]
    return [pebs_events(pmu, periods) for pmu in pmus if "mem-loads" in pmu.events]


def ibs_events(pmu: Pmu, period: int = IBS_PERIOD, load_latency: int | None = None) -> MemEvents:
    """Sample ops by IBS: only those that miss the last cache, and only user's, if it can.

    Without `swfilt` the PMU refuses exclude_kernel, and kernel accesses come too.
    InputError for a period the hardware cannot count, or a latency it cannot tell apart.
    """
    if period < _IBS_MIN_PERIOD or period % _IBS_STEP:
        raise InputError(
            f"{pmu.name}: a period of {period}: wants a multiple of {_IBS_STEP}, "
            f"{_IBS_MIN_PERIOD} or more"
        )
    wanted = {"cnt_ctl": 1, "l3missonly": 1, "swfilt": 1}
    terms = {term: value for term, value in wanted.items() if term in pmu.format}
    if load_latency is not None:
        if load_latency not in _IBS_LATENCIES:
            raise InputError(f"{pmu.name}: a load latency of {load_latency}: wants 128 to 2048")
        terms["ldlat"] = load_latency
    flags = Flag.EXCLUDE_KERNEL if "swfilt" in terms else NO_FLAG
    what = "AMD IBS" + (", misses of the last cache" if "l3missonly" in terms else "")
    event = _event(pmu, terms, period, flags)
    return MemEvents(pmu.name, ((event,),), pmu.cpus, what)


def pebs_events(pmu: Pmu, periods: Periods | None = None) -> MemEvents:
    """Sample the loads and stores that the PMU names as mem-loads and mem-stores.

    Where it names mem-loads-aux too, loads are only sampled in a group that has it before
    them (-ENODATA otherwise); it counts and takes no samples.
    """
    periods = periods or Periods()
    flags = Flag.EXCLUDE_KERNEL | Flag.EXCLUDE_HV
    terms = parse_event(pmu.events["mem-loads"])
    if "ldlat" in pmu.format:
        terms["ldlat"] = periods.load_latency
    loads = _event(pmu, terms, periods.loads, flags, PRECISE_IP)
    groups: list[tuple[EventAttr, ...]] = [(loads,)]
    if "mem-loads-aux" in pmu.events:
        aux = _event(pmu, parse_event(pmu.events["mem-loads-aux"]), 0, flags)
        groups = [(aux, loads)]
    if "mem-stores" in pmu.events:
        stores = parse_event(pmu.events["mem-stores"])
        groups.append((_event(pmu, stores, periods.stores, flags, PRECISE_IP),))
    named = " and ".join(name for name in ("mem-loads", "mem-stores") if name in pmu.events)
    return MemEvents(pmu.name, tuple(groups), pmu.cpus, f"{pmu.name} {named}")


def _event(
    pmu: Pmu, terms: dict[str, int], period: int, flags: Flag, precise_ip: int = 0
) -> EventAttr:
    return EventAttr(
        type=pmu.type,
        **encode(pmu, terms)._asdict(),
        sample_period=period,
        sample_type=SAMPLE_TYPE,
        flags=flags | Flag.DISABLED | Flag.SAMPLE_ID_ALL,
        precise_ip=precise_ip,
        clockid=CLOCK_MONOTONIC,
    )
