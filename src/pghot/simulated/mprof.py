"""The driver of the IBS Memory Profiler (patch 7; behaviour.md 6).

At an overflow the CPU's handler stops profiling, counts and checks the sample, puts it into
the CPU's ring, has the ring drained soon, and starts profiling anew.  The drain hands all
that is in the ring to the recorder, with the time of each access.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.units import PAGE_SHIFT
from pghot.engine.vmstat import Vmstat
from pghot.simulated import ibs_registers as ibs

IBS_NR_SAMPLES = 150
"""Slots of a CPU's ring, one of which stays free."""

NEVER = float("inf")
_LAST = np.iinfo(np.uint64).max

COUNTERS = (
    "hwhint_total_events",
    "hwhint_dram_accesses",
    "hwhint_extmem_accesses",
    "hwhint_useful_events",
)
_TOTAL, _DRAM, _EXTMEM, _USEFUL, _DROPPED = range(5)

_SOURCE = np.uint64(ibs.DATASRC_MASK)
_SOURCE_HIGH = np.uint64(ibs.DATASRC_MASK_HIGH)
_SOURCE_SHIFT = np.uint64(ibs.DATASRC_MASK_HIGH_SHIFT)
_IS_DRAM = np.uint64(ibs.DATASRC_DRAM)
_IS_EXTMEM = np.uint64(ibs.DATASRC_EXT_MEM)
_VALID = np.uint64(ibs.LADDR_VALID | ibs.PADDR_VALID)
_PAGE_SHIFT = np.uint64(PAGE_SHIFT)


class Samples(NamedTuple):
    """Overflows, one item each; those of one CPU in the order of time.

    cpu: i32.  time_us: f64.  jiffies: u64, at that time.  data2, data3, phyaddr: u64, as the
    hardware leaves its registers.  online: bool, whether the address is of an online page.
    """

    cpu: npt.NDArray[np.int32]
    time_us: npt.NDArray[np.float64]
    jiffies: npt.NDArray[np.uint64]
    data2: npt.NDArray[np.uint64]
    data3: npt.NDArray[np.uint64]
    phyaddr: npt.NDArray[np.uint64]
    online: npt.NDArray[np.bool_]


class Recorded(NamedTuple):
    """Accesses for the recorder, by `time` (jiffies, u64), as it wants them.

    The kernel hands them on drain by drain, which differs by less than a drain's delay.
    """

    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    time: npt.NDArray[np.uint64]


class _State(NamedTuple):
    """By CPU: the ring, whether work is pending, when it is done (NEVER where it is lost)."""

    enabled: npt.NDArray[np.bool_]
    head: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int32]
    pending: npt.NDArray[np.bool_]
    due_us: npt.NDArray[np.float64]
    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    time: npt.NDArray[np.uint64]


class MemoryProfiler:
    """The driver on all CPUs of a machine.

    cpu_nid: node of every CPU.  caps: CPUID 0x8000001B EAX.  ibsctl: MSR_AMD64_IBSCTL, the
    same on all.  drain_delay_us: from an overflow to the drain it asks for.  `notes` says,
    once, what keeps the profiler from working.
    """

    def __init__(
        self, cpu_nid: npt.ArrayLike, *, caps: int, ibsctl: int, drain_delay_us: float
    ) -> None:
        self.notes: list[str] = []
        self.capable = bool(caps & ibs.IBS_CAPS_MEM_PROFILER)
        self.dropped = 0
        self._cpu_nid = np.asarray(cpu_nid, np.int16)
        self._ibsctl = ibsctl
        self._delay_us = float(drain_delay_us)
        self._state = _make_state(len(self._cpu_nid))
        if not self.capable:
            bit = ibs.IBS_CAPS_MEM_PROFILER.bit_length() - 1
            self._say(
                "no IBS Memory Profiler, so no hardware hints:"
                f" bit {bit} of CPUID {ibs.IBS_CPUID_FEATURES:#x} EAX is clear"
            )

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    @property
    def enabled(self) -> npt.NDArray[np.bool_]:
        """Which CPUs sample now."""
        return self._state.enabled

    def startup(self, cpu: int) -> None:
        """Start profiling on a CPU that comes online."""
        if not self.capable:
            return
        if ibs.mprof_lvt_offset(self._ibsctl) is None:
            self._say(f"CPU {cpu}: the profiler's LVT offset is not valid")
            return
        self._state.enabled[cpu] = True

    def teardown(self, cpu: int) -> int:
        """Stop profiling on a CPU that goes offline; give the samples that are lost by it.

        The series says of itself that pending samples may be lost.  Here they are: the drain
        under way runs on another CPU, where it looks at that CPU's ring.  This one's ring
        and its pending flag stay as they are, so if the CPU comes back, no overflow asks for
        a drain ever again: the ring fills up, and from then on every sample is dropped.
        """
        state = self._state
        state.enabled[cpu] = False
        state.due_us[cpu] = NEVER
        return int(state.head[cpu] - state.tail[cpu]) % IBS_NR_SAMPLES

    def pending_us(self) -> float:
        """Give the time of the next drain, NEVER where none is under way."""
        return float(self._state.due_us.min(initial=NEVER))

    def run(self, samples: Samples, until_us: float, vmstat: Vmstat) -> Recorded:
        """Handle overflows and the drains up to `until_us`; count them.

        An overflow on a CPU that is not profiled is none.  No overflow may lie after
        `until_us`, nor before the `until_us` of the call before.
        """
        state = self._state
        counts = np.zeros(5, np.int64)
        size = len(samples.cpu) + int(((state.head - state.tail) % IBS_NR_SAMPLES).sum())
        out = Recorded(
            np.empty(size, np.uint64), np.empty(size, np.int16), np.empty(size, np.uint64)
        )
        filled = handle(samples, state, self._cpu_nid, self._delay_us, until_us, counts, out)
        for place, name in enumerate(COUNTERS):
            vmstat.add(name, int(counts[place]))
        self.dropped += int(counts[_DROPPED])
        order = _by_time(out.time[:filled])
        return Recorded(out.pfn[order], out.nid[order], out.time[order])


def _by_time(time: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """Give the stable order of times; NumPy sorts 16-bit numbers in linear time."""
    span = time - time.min(initial=_LAST)
    short = span.astype(np.uint16) if span.max(initial=0) < 1 << 16 else span
    return np.argsort(short, kind="stable")


def _make_state(cpus: int) -> _State:
    ring = (cpus, IBS_NR_SAMPLES)
    return _State(
        enabled=np.zeros(cpus, np.bool_),
        head=np.zeros(cpus, np.int32),
        tail=np.zeros(cpus, np.int32),
        pending=np.zeros(cpus, np.bool_),
        due_us=np.full(cpus, NEVER),
        pfn=np.zeros(ring, np.uint64),
        nid=np.zeros(ring, np.int16),
        time=np.zeros(ring, np.uint64),
    )


@compiled
def handle(
    samples: Any, state: Any, cpu_nid: Any, delay_us: float, until_us: float, counts: Any, out: Any
) -> int:
    """Handle overflows in order, and drains as they come due; give the rows of `out` filled."""
    cpus, times, jiffies, data2, data3, phyaddr, online = samples
    enabled, head, tail, pending, due_us, ring_pfn, ring_nid, ring_time = state
    filled = 0
    for row in range(len(cpus)):
        cpu = cpus[row]
        if not enabled[cpu]:
            continue
        if due_us[cpu] <= times[row]:
            filled = drain(cpu, state, out, filled)
        counts[_TOTAL] += 1
        count_source(data2[row], counts)
        if data3[row] & _VALID != _VALID or not online[row]:
            continue
        place, following = head[cpu], (head[cpu] + 1) % IBS_NR_SAMPLES
        if following == tail[cpu]:
            counts[_DROPPED] += 1
            continue
        ring_pfn[cpu, place] = phyaddr[row] >> _PAGE_SHIFT
        ring_nid[cpu, place] = cpu_nid[cpu]
        ring_time[cpu, place] = jiffies[row]
        head[cpu] = following
        if not pending[cpu]:
            pending[cpu] = True
            due_us[cpu] = times[row] + delay_us
        counts[_USEFUL] += 1
    for cpu in range(len(enabled)):
        if due_us[cpu] <= until_us and due_us[cpu] != NEVER:  # both may be infinite
            filled = drain(cpu, state, out, filled)
    return filled


@compiled
def count_source(data2: Any, counts: Any) -> None:
    """Count a sample by its data source, where that is memory of either kind."""
    source = data2 & _SOURCE | (data2 & _SOURCE_HIGH) >> _SOURCE_SHIFT
    if source == _IS_DRAM:
        counts[_DRAM] += 1
    elif source == _IS_EXTMEM:
        counts[_EXTMEM] += 1


@compiled
def drain(cpu: int, state: Any, out: Any, filled: int) -> int:
    """Move a CPU's ring to `out`; its pending flag falls after that."""
    _enabled, head, tail, pending, due_us, ring_pfn, ring_nid, ring_time = state
    pfn, nid, time = out
    while tail[cpu] != head[cpu]:
        place = tail[cpu]
        pfn[filled] = ring_pfn[cpu, place]
        nid[filled] = ring_nid[cpu, place]
        time[filled] = ring_time[cpu, place]
        filled += 1
        tail[cpu] = (place + 1) % IBS_NR_SAMPLES
    pending[cpu] = False
    due_us[cpu] = NEVER
    return filled
