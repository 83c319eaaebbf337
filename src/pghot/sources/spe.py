"""Accesses that Arm's Statistical Profiling Extension samples.

The processor writes packets into the AUX buffer of each CPU; `log.convert.spe_packets` decodes
them, here as in a perf.data.  They give physical addresses.  Whose an access is they say only
where the kernel has CONFIG_PID_IN_CONTEXTIDR; else the targets' page tables tell
(`bare_frames`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pghot.linux.host import Host
from pghot.linux.perf.arrays import SampleColumns
from pghot.linux.perf.aux_ring import AuxRing, Piece, Scale
from pghot.linux.perf.event_opener import EVERY_PROCESS
from pghot.linux.perf.event_rings import Wanted
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.linux.perf.spe_events import SpeEvents
from pghot.linux.processes.targets import Targets
from pghot.log.convert.spe_packets import (
    COUNTS,
    CUT_OFF,
    NO_TIME,
    OTHER,
    UNKNOWN,
    SpeSamples,
    TimeConversion,
    scan,
)
from pghot.sources import data_src
from pghot.sources.bare_frames import ACCESS, Accesses, BareFrames
from pghot.sources.live_source import Samples
from pghot.sources.perf_source import PerfSource

AUX_PAGES = 64
"""Pages of packets a CPU."""

REST_US = 5000

_NOBODY = np.uint64((1 << 64) - 1)
_KERNEL_HALF = np.uint64(63)


class SpeSource(PerfSource):
    """Accesses from the AUX buffers of SPE events; see `live_source.LiveSource`."""

    def __init__(
        self,
        name: str,
        host: Host,
        found: Sequence[SpeEvents],
        *,
        pid: int = EVERY_PROCESS,
        pages: int = RING_PAGES,
        follow: bool = False,
    ) -> None:
        """Open the events, stopped.  PghotError where the host refuses."""
        wanted = [Wanted([[spe.event]], spe.cpus, aux_pages=AUX_PAGES) for spe in found]
        super().__init__(name, host, wanted, pid=pid, pages=pages, follow=follow)
        self._own_notes: list[str] = []
        self._frames = BareFrames(host, self.counts, self._note)
        self._skew_ns: int | None = None
        self._truncated = 0

    @property
    def notes(self) -> list[str]:
        """What a person should know."""
        return [*super().notes, *self._own_notes]

    @property
    def rest_us(self) -> int | None:
        """Not long where accesses wait for their process to be found."""
        return REST_US if self._frames.busy else None

    def watch(self, targets: Targets) -> None:
        """Take in whose page tables to look through."""
        self._frames.watch(targets)

    def close(self) -> None:
        """Close all events, and the files of pages."""
        self._frames.close()
        super().close()

    def _samples(self, raw: SampleColumns) -> Samples:
        """The accesses of the pieces that were drained; `raw` is of other events' samples."""
        del raw
        rings = [ring for ring in self._rings.rings if isinstance(ring, AuxRing)]
        self._count_truncated(rings)
        pieces = [self._of_piece(piece, ring.scale) for ring in rings for piece in ring.take()]
        accesses = np.concatenate([np.zeros(0, ACCESS), *pieces])
        named = accesses["pid"] > 0
        bare = self._frames.resolve(accesses[~named])
        return self._as_samples(np.concatenate([accesses[named], bare]))

    def _count_truncated(self, rings: Sequence[AuxRing]) -> None:
        truncated = sum(ring.truncated for ring in rings)
        if truncated != self._truncated:
            self.counts.lost += abs(truncated - self._truncated)
            self._truncated = truncated
            self._note("Arm SPE had no room for some samples, or they collided: counted as lost")

    def _of_piece(self, piece: Piece, scale: Scale) -> Accesses:
        """A piece's accesses to memory: those with a physical address, and of processes."""
        found, counted = SpeSamples.room_for(piece.content), np.zeros(COUNTS, np.int64)
        filled = scan(piece.content, found, counted)
        wrong = int(counted[[CUT_OFF, NO_TIME]].sum())
        self.counts.seen += filled + int(counted[OTHER]) + wrong
        self.counts.not_memory += int(counted[OTHER])
        self.counts.corrupt += int(counted[UNKNOWN]) + wrong
        ticks, virtual, physical, operations, contexts, events, sources = (
            column[:filled] for column in found
        )
        kernel = virtual >> _KERNEL_HALF != 0
        memory = data_src.spe_is_memory(events, sources)
        keep = np.flatnonzero(~kernel & memory & (physical != 0))
        self.counts.kernel += int(np.count_nonzero(kernel))
        self.counts.not_memory += int(np.count_nonzero(~kernel & ~memory))
        self.counts.unresolved += int(np.count_nonzero(~kernel & memory & (physical == 0)))
        made = np.zeros(len(keep), ACCESS)
        made["time_ns"] = self._times(ticks, piece, scale)[keep]
        made["pfn"] = physical[keep] >> self._page_shift
        made["vaddr"] = virtual[keep]
        made["pid"] = self._pids(contexts[keep])
        made["cpu"] = piece.cpu
        made["nr"] = 1
        made["flags"] = data_src.spe_is_write(operations[keep])
        return made

    def _times(
        self, ticks: npt.NDArray[np.uint64], piece: Piece, scale: Scale
    ) -> npt.NDArray[np.uint64]:
        """CLOCK_MONOTONIC of samples, by the counter's scale and the pieces' own times.

        A piece is told just after its last sample, the sooner the better: the least that lay
        between is what lies between the two clocks.
        """
        if not scale.mult or not len(ticks):
            return np.full(len(ticks), piece.time_ns, np.uint64)
        ns = TimeConversion(scale.shift, scale.mult, 0).times(ticks)
        skew = piece.time_ns - int(ns.max())
        self._skew_ns = skew if self._skew_ns is None else min(skew, self._skew_ns)
        times = ns.astype(np.int64) + self._skew_ns
        return np.clip(times, 0, piece.time_ns).astype(np.uint64)

    def _pids(self, contexts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The processes of threads; 0 where the packets do not say, or they have gone."""
        threads, places = np.unique(contexts, return_inverse=True)
        pids = [
            0 if thread in (0, _NOBODY) else self._process_of(int(thread)) for thread in threads
        ]
        return np.array(pids, np.int32)[places] if len(threads) else np.zeros(0, np.int32)

    def _process_of(self, thread: int) -> int:
        for line in self._host.text_or(f"/proc/{thread}/status").splitlines():
            name, _, value = line.partition(":")
            if name == "Tgid":
                return int(value)
        return 0

    def _as_samples(self, accesses: Accesses) -> Samples:
        accesses = accesses[np.argsort(accesses["time_ns"], kind="stable")]
        cpu = accesses["cpu"].copy()
        return Samples(
            time_ns=accesses["time_ns"].copy(),
            pid=accesses["pid"].copy(),
            vaddr=accesses["vaddr"].copy(),
            pfn=accesses["pfn"].copy(),
            nid=self._nid(cpu),
            cpu=cpu,
            write=accesses["flags"] != 0,
        )

    def _note(self, line: str) -> None:
        if line not in self._own_notes:
            self._own_notes.append(line)
