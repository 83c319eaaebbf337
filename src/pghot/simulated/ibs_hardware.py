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

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.simulated import ibs_registers as ibs

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
U64 = npt.NDArray[np.uint64]

RANDOM_STARTS = 16
"""Values that the hardware may start the op counter at: its low four bits are random."""


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
        count = count_ops(self._rng, self.period, self.qualifying, self._left, ops, cpu, at)
        return Fired(cpu[:count], at[:count] / ops[cpu[:count]])


@compiled
def ops_to_sample(rng: Any, period: int, qualifying: float) -> Any:
    """Draw how many ops it is from the start of the counter to the next sample."""
    tags: Any = 1
    if qualifying < 1.0:
        tags += np.int64(np.log1p(-rng.random()) / np.log1p(-qualifying))
    ops = tags * period
    while tags > 0:  # each start is four bits of a draw that has 52
        bits = np.int64(rng.random() * 2.0**52)
        for _start in range(min(tags, 13)):
            ops -= bits & (RANDOM_STARTS - 1)
            bits >>= 4
        tags -= 13
    return ops


@compiled
def count_ops(
    rng: Any, period: int, qualifying: float, left: Any, ops: Any, cpus: Any, at: Any
) -> int:
    """Let counters go on by `ops`; write CPU and op of each sample, give their number."""
    count = 0
    for cpu in range(len(ops)):
        sample = left[cpu]
        while sample <= ops[cpu]:
            cpus[count], at[count] = cpu, sample
            count += 1
            sample += ops_to_sample(rng, period, qualifying)
        left[cpu] = sample - ops[cpu]
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


@compiled
def pace(left: Any, steps: Any, cpus: Any, fractions: Any) -> int:
    """Write CPU and fraction of each sample due, give how many; `left` is what is left then."""
    count = 0
    for cpu in range(len(steps)):
        due = np.int64(np.floor(steps[cpu] - left[cpu])) + 1
        for number in range(due):
            cpus[count] = cpu
            fractions[count] = min((left[cpu] + number) / steps[cpu], 1.0)
            count += 1
        left[cpu] = max(left[cpu] + due - steps[cpu], 1e-12)  # rounding stays above 0
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
    """Give what the registers say of accesses that missed all caches.

    extended: the page is in extended memory (CXL), not DRAM.  remote: on another node than
    the CPU.  store: a store, else a load.  valid: both addresses are.
    """
    phyaddr = np.asarray(pfn, np.uint64) << np.uint64(PAGE_SHIFT)
    data2, data3 = np.empty(len(phyaddr), np.uint64), np.empty(len(phyaddr), np.uint64)
    write_registers(extended, remote, store, valid, data2, data3)
    return Registers(data2, data3, phyaddr)


_EXTENDED = np.uint64(ibs.encode_source(ibs.DATASRC_EXT_MEM))
_DRAM = np.uint64(ibs.encode_source(ibs.DATASRC_DRAM))
_REMOTE = np.uint64(ibs.RMT_NODE)
_MISSED = np.uint64(
    ibs.MPROF_DATA3["IBS_MPROF_DATA3_DCMISS"] | ibs.MPROF_DATA3["IBS_MPROF_DATA3_L2MISS"]
)
_STORE = np.uint64(ibs.MPROF_DATA3["IBS_MPROF_DATA3_STOP"])
_LOAD = np.uint64(ibs.MPROF_DATA3["IBS_MPROF_DATA3_LDOP"])
_VALID = np.uint64(ibs.LADDR_VALID | ibs.PADDR_VALID)


@compiled
def write_registers(
    extended: Any, remote: Any, store: Any, valid: Any, data2: Any, data3: Any
) -> None:
    """Write MPROF_DATA2 and MPROF_DATA3 of each sample."""
    for i in range(len(data2)):
        data2[i] = _EXTENDED if extended[i] else _DRAM
        if remote[i]:
            data2[i] |= _REMOTE
        data3[i] = _MISSED | (_STORE if store[i] else _LOAD)
        if valid[i]:
            data3[i] |= _VALID
