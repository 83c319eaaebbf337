"""Getting the compiled loops ready before the first access comes.

Compiling takes seconds where the cache is empty, and loading a moment where it is not.
Rings would overflow meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.fidelity import Fidelity
from pghot.engine.frames import Frames
from pghot.engine.kmigrated import Batch
from pghot.engine.layout import Layout
from pghot.engine.memory import Node
from pghot.engine.observer import Judged, Recorded
from pghot.engine.units import PAGES_PER_SECTION
from pghot.linux.entries import EntryFile
from pghot.linux.perf_arrays import Drained
from pghot.linux.ring import Ring
from pghot.linux.sample_layout import sample_layout
from pghot.sources import hint_faults

PATIENCE_S = 2.0
"""Longer than that, and a person is told what is going on."""

_DATA_HEAD = 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _AskedEachTime(ArrayMemory):
    """A machine that moves each batch itself, as a host does."""

    @property
    def frames(self) -> Frames | None:
        return None


class _Nobody:
    """An observer that takes no notice."""

    def recorded(self, recorded: Recorded) -> None: ...

    def moved(self, batch: Batch, now: int) -> None: ...

    def judged(self, judged: Judged) -> None: ...


def warm_up(
    layout: Layout, fidelity: Fidelity, tell: Callable[[str], None], *, observed: bool = False
) -> None:
    """Run every loop of a live run once, on a small machine and a ring of nobody's."""
    with _telling(tell):
        _warm_ring()
        warm_entries()
        _warm_engine(_AskedEachTime, layout, fidelity, observed=observed)


def warm_up_replay(layout: Layout, fidelity: Fidelity, tell: Callable[[str], None]) -> None:
    """Run every loop of a replay once, on a small machine."""
    with _telling(tell):
        _warm_engine(ArrayMemory, layout, fidelity)


@contextmanager
def _telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell a person who has to wait why."""
    patience = threading.Timer(
        PATIENCE_S, tell, ["getting the inner loops ready (compiled the first time)"]
    )
    patience.daemon = True
    with suppress(RuntimeError):  # no thread left: then it goes without a word
        patience.start()
    try:
        yield
    finally:
        patience.cancel()


def _warm_ring() -> None:
    """Drain a ring that holds one record of no known kind."""
    descriptor = os.memfd_create("pghot-ring", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, 2 * _PAGE)
        os.pwrite(descriptor, np.array([8], "<u8").tobytes(), _DATA_HEAD)
        os.pwrite(descriptor, np.array([0, 0x0008_0000], "<u4").tobytes(), _PAGE)
        with Ring(descriptor, sample_layout(hint_faults.SAMPLE_TYPE), pages=1) as ring:
            ring.drain(Drained())
    finally:
        os.close(descriptor)


def warm_entries() -> None:
    """Read an entry that is not there."""
    with EntryFile(Path(os.devnull)) as file:
        file.gather(np.zeros(1, np.uint64))


def _warm_engine(
    kind: type[ArrayMemory], layout: Layout, fidelity: Fidelity, *, observed: bool = False
) -> None:
    """Promote two pages."""
    section = PAGES_PER_SECTION
    nodes = [
        Node(0, 0, section, toptier=True, cpus=(0,), free_pages=section),
        Node(1, section, section, toptier=False),
    ]
    engine = Engine(kind(nodes), layout, fidelity=fidelity)
    engine.write("enabled_sources", "0x3")
    engine.start()
    if observed:
        engine.observer = _Nobody()
    pfns = np.full(4, section, np.uint64)
    engine.record_many(pfns, 0, 0, np.zeros(4, np.uint64))
    for now in (100, 2_000, 15_000):  # promotes, then clears old records in either layout
        list(engine.look(now))
    engine.record_many(pfns, -1, 0, np.arange(100_000, 100_004))
    list(engine.look(200_000))
