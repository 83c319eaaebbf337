"""The sampling hardware of the IBS Memory Profiler: when a CPU takes a sample, and of what.

Two assumptions about its pace, of which a model has to name one:

- `OpCounter`: by the letter of the control register.  Each CPU counts ops from a random
  number of 0 to 15 up to the period, whose low four bits are 0, and tags an op.  One that
  misses L3, in user mode, is the sample; of any other nothing is reported, and the counter
  starts anew.  Samples are then in proportion to the ops that qualify: one in `period` of
  them, or a little more, as the counter starts 7.5 ahead on average.
- `TimePacer`: evenly in the time that a CPU is busy, which the published figures are nearer
  to: a counter that waits for its miss would do that.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.simulated.ibs import registers as ibs

if cython.compiled:
    from cython.cimports.libc.math import floor, log1p
    from cython.cimports.pghot.engine.arrays import f64, i32, i64, u8, u64
    from cython.cimports.pghot.simulated.draws import Bits, bits_of, uniform
else:
    from math import floor, log1p

    from pghot.engine.arrays import f64, i32, i64, u8, u64
    from pghot.simulated.draws import Bits, bits_of, uniform

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
U64 = npt.NDArray[np.uint64]

RANDOM_STARTS = 16
"""Values that the hardware may start the op counter at: its low four bits are random."""

_LOW_BITS = cython.declare(cython.long, RANDOM_STARTS - 1)
_OF_A_DRAW = cython.declare(cython.double, 2.0**52)
"""Starts are cut out of draws: four bits each, thirteen of a draw, which has 52."""


class Fired(NamedTuple):
    """Samples by CPU, then time: the CPU, and how far its busy part of the step had come.

    `fraction` is above 0 and at most 1.
    """

    cpu: npt.NDArray[np.int32]
    fraction: Floats


class OpCounter:
    """One op counter a CPU.

    Drawn sample by sample, exactly in distribution: how many tags it takes until one
    qualifies is geometric.  A run of tags under way at the end of a step goes on as it was
    drawn.
    """

    def __init__(
        self, cpus: int, period: int, qualifying: float, rng: np.random.Generator
    ) -> None:
        """`qualifying`: share of all ops that miss L3 in user mode, above 0."""
        if not 0 < qualifying <= 1:
            raise InputError(f"the share of ops that qualify is above 0, at most 1: {qualifying}")
        self.period = ibs.programmed_period(ibs.encode_period(period))
        self.qualifying = float(qualifying)
        self._rng = rng
        drawn = [ops_to_sample(rng, self.period, self.qualifying) for _cpu in range(cpus)]
        self._left: npt.NDArray[np.int64] = np.array(drawn, np.int64)

    def advance(self, ops: npt.NDArray[np.int64]) -> Fired:
        """Let every CPU do so many ops; a CPU that is idle or off does 0."""
        most = int((ops // (self.period - RANDOM_STARTS + 1) + 1).sum())
        cpu, at = np.empty(most, np.int32), np.empty(most, np.int64)
        count = count_ops(self._rng, self.period, self.qualifying, self._left, ops, (cpu, at))
        return Fired(cpu[:count], at[:count] / ops[cpu[:count]])


def ops_to_sample(rng: np.random.Generator, period: cython.long, qualifying: cython.double) -> int:
    """Draw how many ops it is from the start of the counter to the next sample."""
    return _ops_to_sample(bits_of(rng), period, qualifying)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _ops_to_sample(bits: Bits, period: cython.long, qualifying: cython.double) -> cython.long:
    tags: cython.long = 1
    if qualifying < 1.0:
        tags += cython.cast(cython.long, log1p(-uniform(bits)) / log1p(-qualifying))
    ops: cython.long = tags * period
    drawn: cython.long
    _start: cython.long
    while tags > 0:
        drawn = cython.cast(cython.long, uniform(bits) * _OF_A_DRAW)
        for _start in range(min(tags, 13)):
            ops -= drawn & _LOW_BITS
            drawn >>= 4
        tags -= 13
    return ops


def count_ops(
    rng: np.random.Generator,
    period: cython.long,
    qualifying: cython.double,
    left: npt.NDArray[np.int64],
    ops: npt.NDArray[np.int64],
    fired: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
) -> int:
    """Let counters go on by `ops`; write CPU and op of each sample, give their number."""
    bits: Bits = bits_of(rng)
    still: cython.p_long = i64(left)
    done: cython.p_long = i64(ops)
    cpu_of: cython.p_int = i32(fired[0])
    op_of: cython.p_long = i64(fired[1])
    cpus: cython.long = len(ops)
    count: cython.long = 0
    sample: cython.long
    cpu: cython.long
    with rng.bit_generator.lock, cython.nogil:
        for cpu in range(cpus):
            sample = still[cpu]
            while sample <= done[cpu]:
                cpu_of[count] = cpu
                op_of[count] = sample
                count += 1
                sample += _ops_to_sample(bits, period, qualifying)
            still[cpu] = sample - done[cpu]
    return count


class TimePacer:
    """Samples `pace_hz` times a second that a CPU is busy, each CPU at a phase of its own."""

    def __init__(self, cpus: int, pace_hz: float, rng: np.random.Generator) -> None:
        if not 0 < pace_hz < float("inf"):
            raise InputError(f"a sampler's pace is above 0 Hz, not {pace_hz}")
        self.pace_hz = pace_hz
        self._left: Floats = 1.0 - rng.random(cpus)

    def advance(self, busy_s: Floats) -> Fired:
        """Let every CPU be busy for so many seconds."""
        steps = busy_s * self.pace_hz
        most = int(np.floor(steps - self._left).sum()) + len(steps)
        cpu, fraction = np.empty(most, np.int32), np.empty(most, np.float64)
        count = pace(self._left, steps, cpu, fraction)
        return Fired(cpu[:count], fraction[:count])


def pace(left: Floats, steps: Floats, cpus: npt.NDArray[np.int32], fractions: Floats) -> int:
    """Write CPU and fraction of each sample due, and count them; `left` is what is left then."""
    still: cython.p_double = f64(left)
    length: cython.p_double = f64(steps)
    cpu_of: cython.p_int = i32(cpus)
    fraction_of: cython.p_double = f64(fractions)
    all_cpus: cython.long = len(steps)
    count: cython.long = 0
    cpu: cython.long
    due: cython.long
    number: cython.long
    with cython.nogil:
        for cpu in range(all_cpus):
            due = cython.cast(cython.long, floor(length[cpu] - still[cpu])) + 1
            for number in range(due):
                cpu_of[count] = cpu
                fraction_of[count] = min((still[cpu] + number) / length[cpu], 1.0)
                count += 1
            still[cpu] = max(still[cpu] + due - length[cpu], 1e-12)  # rounding stays above 0
    return count


class Registers(NamedTuple):
    """MPROF_DATA2, MPROF_DATA3 and MPROF_PHYADDR as samples leave them."""

    data2: U64
    data3: U64
    phyaddr: U64


def draw_valid(count: int, invalid_share: float, rng: np.random.Generator) -> Bools:
    """Draw which samples have valid addresses; `invalid_share` have none."""
    return rng.random(count) >= invalid_share


def sample_registers(
    pfn: U64, *, extended: Bools, remote: Bools, store: Bools, valid: Bools
) -> Registers:
    """What the registers say of accesses that missed all caches.

    extended: the page is in extended memory (CXL), not DRAM.  remote: on another node than
    the CPU.  store: a store, else a load.  valid: both addresses are.
    """
    phyaddr = np.asarray(pfn, np.uint64) << np.uint64(PAGE_SHIFT)
    data2, data3 = np.empty(len(phyaddr), np.uint64), np.empty(len(phyaddr), np.uint64)
    write_registers(extended, remote, store, valid, data2, data3)
    return Registers(data2, data3, phyaddr)


_DRAM = cython.declare(cython.ulong, ibs.encode_source(ibs.DATASRC_DRAM))
_DRAM_OR_EXT_MEM = cython.declare(
    cython.ulong, ibs.encode_source(ibs.DATASRC_DRAM) ^ ibs.encode_source(ibs.DATASRC_EXT_MEM)
)
_REMOTE = cython.declare(cython.ulong, ibs.RMT_NODE)
_LOADED = cython.declare(
    cython.ulong,
    ibs.MPROF_DATA3["IBS_MPROF_DATA3_DCMISS"]
    | ibs.MPROF_DATA3["IBS_MPROF_DATA3_L2MISS"]
    | ibs.MPROF_DATA3["IBS_MPROF_DATA3_LDOP"],
)
_LOAD_OR_STORE = cython.declare(
    cython.ulong,
    ibs.MPROF_DATA3["IBS_MPROF_DATA3_LDOP"] ^ ibs.MPROF_DATA3["IBS_MPROF_DATA3_STOP"],
)
_VALID = cython.declare(cython.ulong, ibs.LADDR_VALID | ibs.PADDR_VALID)


def write_registers(
    extended: Bools, remote: Bools, store: Bools, valid: Bools, data2: U64, data3: U64
) -> None:
    """Write MPROF_DATA2 and MPROF_DATA3 of each sample."""
    is_extended: cython.p_uchar = u8(extended)
    is_remote: cython.p_uchar = u8(remote)
    is_store: cython.p_uchar = u8(store)
    is_valid: cython.p_uchar = u8(valid)
    second: cython.p_ulong = u64(data2)
    third: cython.p_ulong = u64(data3)
    samples: cython.long = len(data2)
    i: cython.long
    with cython.nogil:
        for i in range(samples):  # products, for what is 0 or 1 by chance makes bad branches
            second[i] = _DRAM ^ _DRAM_OR_EXT_MEM * is_extended[i] ^ _REMOTE * is_remote[i]
            third[i] = _LOADED ^ _LOAD_OR_STORE * is_store[i] ^ _VALID * is_valid[i]
