"""Accesses that name a page frame and no process: held until it is known who maps the frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pghot.driving.run_state import SourceCounts
from pghot.linux.closing import Closing
from pghot.linux.host import Host
from pghot.linux.pages.reverse_map import NOT_YET, ReverseMap
from pghot.linux.processes.procstat import all_stats
from pghot.linux.processes.targets import Pids, Targets
from pghot.sources import access_form as form

MOST_HELD = 1 << 20
"""Accesses that wait until their process is known; those beyond are lost."""

ACCESS = np.dtype([*form.DTYPE.descr, ("pfn", "u8"), ("vaddr", "u8"), ("cpu", "i4")])
"""An access from outside, and what is known of it by now: frame, address, CPU."""

Accesses = npt.NDArray[np.void]
NO_ACCESSES: Accesses = np.zeros(0, ACCESS)


class BareFrames(Closing):
    """Finds the processes of frames among the targets; `counts` and `note` as the source's."""

    def __init__(
        self,
        host: Host,
        counts: SourceCounts,
        note: Callable[[str], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._host = host
        self._counts = counts
        self._note = note
        self._targets: Targets = Pids(())
        self._rmap = ReverseMap(host, self._processes, clock)
        self._held = NO_ACCESSES
        self._passes = 0

    @property
    def busy(self) -> bool:
        """Whether it wants to be asked again soon."""
        return self._rmap.working or len(self._held) > 0

    def watch(self, targets: Targets) -> None:
        """Take in whose page tables to look through."""
        self._targets = targets

    def close(self) -> None:
        """Close the files of pages."""
        self._rmap.close()

    def resolve(self, accesses: Accesses) -> Accesses:
        """Of these and those held, the ones whose process is known by now, with it.

        What no target maps is counted as `not_found`.
        """
        if self._passes != self._rmap.passes:
            self._passes = self._rmap.passes
            accesses, self._held = np.concatenate([self._held, accesses]), NO_ACCESSES
        frames, places = np.unique(accesses["pfn"], return_inverse=True)
        found = self._rmap.find(frames)
        accesses["pid"], accesses["vaddr"] = found.pid[places], found.vaddr[places]
        self._counts.not_found += int(np.count_nonzero(accesses["pid"] == 0))
        self._hold(accesses[accesses["pid"] == NOT_YET])
        known: Accesses = accesses[accesses["pid"] > 0]
        return known

    def _hold(self, more: Accesses) -> None:
        accesses = np.concatenate([self._held, more]) if len(more) else self._held
        over = len(accesses) - MOST_HELD
        if over > 0:
            self._counts.lost += over
            self._note(
                "page frames come faster than their processes can be found: some of their "
                "accesses are lost"
            )
            accesses = accesses[over:]
        self._held = accesses

    def _processes(self) -> Mapping[int, int]:
        if not self._targets.everything:
            return self._targets.members
        stats = all_stats(self._host)
        return {s.pid: s.starttime for s in stats if s.lives and not s.kernel_thread}
