"""The driver of the IBS Memory Profiler (patch 7; R6).

At an overflow the CPU's handler stops profiling, counts and checks the sample, puts it into
the CPU's ring, has the ring drained soon, and starts profiling anew.  The drain hands all
that is in the ring to the recorder, with the time of each access.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.vmstat import Vmstat
from pghot.simulated.ibs import registers as ibs

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f64, i16, i32, i64, u8, u64
    from cython.cimports.pghot.engine.units import PAGE_SHIFT
else:
    from pghot.engine.arrays import f64, i16, i32, i64, u8, u64
    from pghot.engine.units import PAGE_SHIFT

IBS_NR_SAMPLES = 150
"""Slots of a CPU's ring, one of which stays free."""

NEVER = float("inf")

COUNTERS = (
    "hwhint_total_events",
    "hwhint_dram_accesses",
    "hwhint_extmem_accesses",
    "hwhint_useful_events",
)
_TOTAL = cython.declare(cython.int, 0)
_DRAM = cython.declare(cython.int, 1)
_EXTMEM = cython.declare(cython.int, 2)
_USEFUL = cython.declare(cython.int, 3)
_DROPPED = cython.declare(cython.int, 4)
"""Places of what is counted: COUNTERS, then samples that found the ring full."""

_SLOTS = cython.declare(cython.int, IBS_NR_SAMPLES)
_NEVER = cython.declare(cython.double, NEVER)
_SOURCE = cython.declare(cython.ulong, ibs.DATASRC_MASK)
_SOURCE_HIGH = cython.declare(cython.ulong, ibs.DATASRC_MASK_HIGH)
_SOURCE_SHIFT = cython.declare(cython.ulong, ibs.DATASRC_MASK_HIGH_SHIFT)
_IS_DRAM = cython.declare(cython.ulong, ibs.DATASRC_DRAM)
_IS_EXTMEM = cython.declare(cython.ulong, ibs.DATASRC_EXT_MEM)
_VALID = cython.declare(cython.ulong, ibs.LADDR_VALID | ibs.PADDR_VALID)


class Overflows(NamedTuple):
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


class MprofAccesses(NamedTuple):
    """Accesses for the recorder, by `time` (jiffies, u64), as it wants them.

    The kernel hands them on drain by drain, which differs by less than a drain's delay.
    """

    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    time: npt.NDArray[np.uint64]


class _State(NamedTuple):
    """By CPU: the ring, whether work is pending, when it is done (NEVER where it is lost).

    pfn, nid and time have IBS_NR_SAMPLES slots a CPU.
    """

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
        self._cpu_nid = np.ascontiguousarray(cpu_nid, np.int16)
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
        """Stop profiling on a CPU that goes offline; the samples that are lost by it.

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
        """The time of the next drain, NEVER where none is under way."""
        return float(self._state.due_us.min(initial=NEVER))

    def run(self, samples: Overflows, until_us: float, vmstat: Vmstat) -> MprofAccesses:
        """Handle overflows and the drains up to `until_us`; count them.

        An overflow on a CPU that is not profiled is none.  No overflow may lie after
        `until_us`, nor before the `until_us` of the call before.
        """
        state = self._state
        counts = np.zeros(5, np.int64)
        size = len(samples.cpu) + int(((state.head - state.tail) % IBS_NR_SAMPLES).sum())
        out = MprofAccesses(
            np.empty(size, np.uint64), np.empty(size, np.int16), np.empty(size, np.uint64)
        )
        rings = _Rings(state, out)
        handle(samples, rings, self._cpu_nid, self._delay_us, counts)
        filled = rings.drain_until(until_us)
        for place, name in enumerate(COUNTERS):
            vmstat.add(name, int(counts[place]))
        self.dropped += int(counts[_DROPPED])
        return by_time(MprofAccesses(out.pfn[:filled], out.nid[:filled], out.time[:filled]))


def by_time(accesses: MprofAccesses) -> MprofAccesses:
    """The accesses by time, those of a time as they were."""
    time = accesses.time
    if not len(time):
        return accesses
    first, span = int(time.min()), int(time.max() - time.min())
    if span > len(time):
        order = np.argsort(time, kind="stable")
        return MprofAccesses(accesses.pfn[order], accesses.nid[order], time[order])
    ordered = MprofAccesses(*map(np.empty_like, accesses))
    count_and_place(accesses, ordered, first, np.zeros(span + 2, np.int64))
    return ordered


def count_and_place(
    accesses: MprofAccesses,
    ordered: MprofAccesses,
    first: cython.ulong,
    places: npt.NDArray[np.int64],
) -> None:
    """Sort accesses by counting those of each time, of which `first` is the earliest.

    `places`: a zero for each time from `first` to the last, and one more.
    """
    pfn: cython.p_ulong = u64(accesses.pfn)
    nid: cython.p_short = i16(accesses.nid)
    time: cython.p_ulong = u64(accesses.time)
    to_pfn: cython.p_ulong = u64(ordered.pfn)
    to_nid: cython.p_short = i16(ordered.nid)
    to_time: cython.p_ulong = u64(ordered.time)
    place: cython.p_long = i64(places)
    rows: cython.long = len(accesses.time)
    times: cython.long = len(places) - 1
    row: cython.long
    at: cython.long
    with cython.nogil:
        for row in range(rows):
            place[time[row] - first + 1] += 1
        for at in range(times):
            place[at + 1] += place[at]
        for row in range(rows):
            at = place[time[row] - first]
            place[time[row] - first] += 1
            to_pfn[at], to_nid[at], to_time[at] = pfn[row], nid[row], time[row]


def _make_state(cpus: int) -> _State:
    slots = cpus * IBS_NR_SAMPLES
    return _State(
        enabled=np.zeros(cpus, np.bool_),
        head=np.zeros(cpus, np.int32),
        tail=np.zeros(cpus, np.int32),
        pending=np.zeros(cpus, np.bool_),
        due_us=np.full(cpus, NEVER),
        pfn=np.zeros(slots, np.uint64),
        nid=np.zeros(slots, np.int16),
        time=np.zeros(slots, np.uint64),
    )


@cython.final
@cython.cclass
class _Rings:
    """The arrays of _State, and where drains put what they find: `filled` rows so far."""

    cpus: cython.int
    enabled: cython.p_uchar
    head: cython.p_int
    tail: cython.p_int
    pending: cython.p_uchar
    due_us: cython.p_double
    pfn: cython.p_ulong
    nid: cython.p_short
    time: cython.p_ulong
    out_pfn: cython.p_ulong
    out_nid: cython.p_short
    out_time: cython.p_ulong
    filled: cython.long

    def __init__(self, state: _State, out: MprofAccesses) -> None:
        self.cpus = len(state.enabled)
        self.enabled, self.pending = u8(state.enabled), u8(state.pending)
        self.head, self.tail, self.due_us = i32(state.head), i32(state.tail), f64(state.due_us)
        self.pfn, self.nid, self.time = u64(state.pfn), i16(state.nid), u64(state.time)
        self.out_pfn, self.out_nid, self.out_time = u64(out.pfn), i16(out.nid), u64(out.time)
        self.filled = 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def put(
        self, cpu: cython.int, pfn: cython.ulong, nid: cython.short, time: cython.ulong
    ) -> cython.bint:
        """Put an access into a CPU's ring; whether there was a slot for it."""
        head: cython.int = self.head[cpu]
        after: cython.int = _after(head)
        slot: cython.long = cython.cast(cython.long, cpu) * _SLOTS + head
        if after == self.tail[cpu]:
            return False
        self.pfn[slot] = pfn
        self.nid[slot] = nid
        self.time[slot] = time
        self.head[cpu] = after
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def drain(self, cpu: cython.int) -> cython.void:
        """Take all that is in a CPU's ring; its pending flag falls after that."""
        first: cython.long = cython.cast(cython.long, cpu) * _SLOTS
        tail: cython.int = self.tail[cpu]
        while tail != self.head[cpu]:
            self.out_pfn[self.filled] = self.pfn[first + tail]
            self.out_nid[self.filled] = self.nid[first + tail]
            self.out_time[self.filled] = self.time[first + tail]
            self.filled += 1
            tail = _after(tail)
        self.tail[cpu] = tail
        self.pending[cpu] = False
        self.due_us[cpu] = _NEVER

    def drain_until(self, until_us: cython.double) -> int:
        """Do the drains that are due; the rows filled then."""
        cpu: cython.int
        with cython.nogil:
            for cpu in range(self.cpus):
                # Both may be infinite.
                if self.due_us[cpu] <= until_us and self.due_us[cpu] != _NEVER:
                    self.drain(cpu)
        return self.filled


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _after(slot: cython.int) -> cython.int:
    """The slot that follows in a ring."""
    return slot + 1 if slot + 1 < _SLOTS else 0


def handle(
    samples: Overflows,
    rings: _Rings,
    cpu_nid: npt.NDArray[np.int16],
    delay_us: cython.double,
    counts: npt.NDArray[np.int64],
) -> None:
    """Handle overflows in order, and the drains that come due between them."""
    cpus: cython.p_int = i32(samples.cpu)
    times: cython.p_double = f64(samples.time_us)
    jiffies: cython.p_ulong = u64(samples.jiffies)
    data2: cython.p_ulong = u64(samples.data2)
    data3: cython.p_ulong = u64(samples.data3)
    phyaddr: cython.p_ulong = u64(samples.phyaddr)
    online: cython.p_uchar = u8(samples.online)
    nid_of: cython.p_short = i16(cpu_nid)
    counted: cython.p_long = i64(counts)
    rows: cython.long = len(samples.cpu)
    row: cython.long
    cpu: cython.int
    with cython.nogil:
        for row in range(rows):
            cpu = cpus[row]
            if not rings.enabled[cpu]:
                continue
            if rings.due_us[cpu] <= times[row]:
                rings.drain(cpu)
            counted[_TOTAL] += 1
            _count_source(data2[row], counted)
            if data3[row] & _VALID != _VALID or not online[row]:
                continue
            if not rings.put(cpu, phyaddr[row] >> PAGE_SHIFT, nid_of[cpu], jiffies[row]):
                counted[_DROPPED] += 1
                continue
            if not rings.pending[cpu]:
                rings.pending[cpu] = True
                rings.due_us[cpu] = times[row] + delay_us
            counted[_USEFUL] += 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _count_source(data2: cython.ulong, counted: cython.p_long) -> cython.void:
    """Count a sample by its data source, where that is memory of either kind."""
    source: cython.ulong = data2 & _SOURCE | (data2 & _SOURCE_HIGH) >> _SOURCE_SHIFT
    if source == _IS_DRAM:
        counted[_DRAM] += 1
    elif source == _IS_EXTMEM:
        counted[_EXTMEM] += 1
