"""The machine's shape: a fast node with the CPUs, a slow one without, room to add memory.

Options are QEMU's (qemu(1)); the HMAT is what makes the kernel put the nodes into
different memory tiers (Documentation/admin-guide/mm/numaperf.rst).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

FAST, SLOW, SPARE = 0, 1, 2
"""Node ids; the spare node has no memory until some is added."""

_DISTANCE = {FAST: 10, SLOW: 50, SPARE: 60}
_LATENCY_NS = {FAST: 80, SLOW: 400, SPARE: 400}
_BANDWIDTH = {FAST: "100G", SLOW: "20G", SPARE: "20G"}


INSTRUCTION_NS = 4
"""250 million instructions a second."""
POWERS = (1, 2, 4, 8, 16, 32, 64)
"""What QEMU can take an instruction for, in ns."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes of the two nodes in MiB, and how much may be added later."""

    fast_mib: int = 1024
    slow_mib: int = 2048
    cpus: int = 2
    slots: int = 4
    extra_mib: int = 4096
    more: tuple[str, ...] = ()
    """Options of QEMU beside those for memory."""
    instruction_ns: int | None = None
    """What an instruction takes of the guest's time, a power of two: time is what was executed
    then, whatever else the host does, and the CPUs take turns.  None: the host's clock."""
    skips_idle: bool = False
    """With `instruction_ns`: time in which no CPU has anything to do takes none of the host's."""

    @property
    def memory_mib(self) -> int:
        """What the machine starts with."""
        return self.fast_mib + self.slow_mib

    def options(self) -> Iterator[str]:
        """Give QEMU's options."""
        yield from self._clock()
        total = self.memory_mib + self.extra_mib
        yield f"-m {self.memory_mib}M,slots={self.slots},maxmem={total}M"
        yield "-machine q35,hmat=on"
        yield f"-object memory-backend-ram,id=m0,size={self.fast_mib}M"
        yield f"-object memory-backend-ram,id=m1,size={self.slow_mib}M"
        yield f"-numa node,nodeid={FAST},memdev=m0,cpus=0-{self.cpus - 1}"
        yield f"-numa node,nodeid={SLOW},memdev=m1,initiator={FAST}"
        yield f"-numa node,nodeid={SPARE},initiator={FAST}"
        for node in (SLOW, SPARE):
            yield f"-numa dist,src={FAST},dst={node},val={_DISTANCE[node]}"
        yield f"-numa dist,src={SLOW},dst={SPARE},val={_DISTANCE[SPARE]}"
        for node, latency in _LATENCY_NS.items():
            where = f"-numa hmat-lb,initiator={FAST},target={node},hierarchy=memory"
            yield f"{where},data-type=access-latency,latency={latency}"
            yield f"{where},data-type=access-bandwidth,bandwidth={_BANDWIDTH[node]}"
        yield from self.more

    def _clock(self) -> Iterator[str]:
        """A thread for each CPU and the host's clock, or all by instructions (-icount)."""
        if self.instruction_ns is None:
            yield "-accel tcg,thread=multi"
            return
        yield "-accel tcg,thread=single"
        sleep = ",sleep=off" if self.skips_idle else ""
        yield f"-icount shift={self.instruction_ns.bit_length() - 1}{sleep}"
