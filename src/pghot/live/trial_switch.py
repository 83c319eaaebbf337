"""Promotion on and off, or under other tunables, while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pghot.engine.did_you_mean import perhaps
from pghot.errors import InputError, PghotError
from pghot.linux.guard.settings import NUMA_BALANCING
from pghot.linux.nodes.topology import Topology
from pghot.live.scan_pace import ScanPacer
from pghot.live.session import Session
from pghot.live.sinks import EngineSink
from pghot.log.schema import Columns

_TIERING = 2
"""The bit of kernel.numa_balancing with which the kernel itself promotes."""


class Switch:
    """Stands before the engine's sink: a wake-up comes through where promotion is on.

    Off, nothing is recorded and no kmigrated looks, and the host has its own settings: what it
    would be without pghot, but for the perf events, which stay.
    """

    def __init__(
        self,
        session: Session,
        sink: EngineSink,
        against: Mapping[str, str],
        tunables: Callable[[], Mapping[str, int]],
    ) -> None:
        """`against` are the tunables of arm 1; `tunables` gives those that hold.

        TunableError where one is refused, InputError where arm 1 is as the run is.
        """
        self._session, self._sink = session, sink
        self._texts = (_as_texts(tunables(), against), dict(against))
        self._check(tunables)
        self._taken = True
        self.on = False
        self.pacer: ScanPacer | None = None
        self.balancing_off = ""
        """What `kernel.numa_balancing` is where nothing is promoted; empty so far."""

    def hold(self, arm: int) -> None:
        """Promote nothing from now on; for a block without promotion, settings go back too."""
        self.on = False
        if arm and not self._texts[1] and self._taken:
            restored = self._session.guard.restore()
            if restored.failed:
                raise PghotError(f"the trial cannot go on: {'; '.join(restored.failures())}")
            self._taken = False
            self.balancing_off = self._session.host.text_or(NUMA_BALANCING)

    def go(self, arm: int) -> None:
        """Let a block of this kind begin."""
        if arm and not self._texts[1]:
            return
        if not self._taken:
            self._session.take_settings()
            self._taken = True
            if self.pacer is not None:
                self.pacer.start_again()
        self._write(self._texts[arm])
        self.on = True

    @property
    def disturbed(self) -> bool:
        """Whether somebody else has changed a setting of the run."""
        return bool(self._session.guard.changed_by_others())

    @property
    def kernel_promotes_when_off(self) -> bool:
        """Whether NUMA balancing promotes, by the host's own settings."""
        return self.balancing_off.isdigit() and bool(int(self.balancing_off) & _TIERING)

    # As the loop's sink.

    @property
    def step_us(self) -> int:
        """Microseconds between two wake-ups."""
        return self._sink.step_us

    def wake(self, instant: int, rows: Columns) -> None:
        """Hand the wake-up on where promotion is on; else its rows are dropped."""
        if self.on:
            self._sink.wake(instant, rows)

    def renewed(self, pid: int) -> None:
        """Hand on that a process executes another program."""
        self._sink.renewed(pid)

    def host_is(self, instant: int, topology: Topology) -> None:
        """Hand on how the host looks now."""
        self._sink.host_is(instant, topology)

    def _check(self, tunables: Callable[[], Mapping[str, int]]) -> None:
        """Try both settings before anything is measured."""
        own, other = self._texts
        before = dict(tunables())
        self._write(other)
        if other and tunables() == before:
            raise InputError("--against: the run has these values already")
        self._write(own)

    def _write(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            self._sink.write(name, text)


def _as_texts(tunables: Mapping[str, int], names: Iterable[str]) -> dict[str, str]:
    """The values of tunables by name, as they are written; InputError for one that is none."""
    for name in names:
        if name not in tunables:
            raise InputError(f"--against: no tunable {name!r}; {perhaps(name, list(tunables))}")
    return {name: str(tunables[name]) for name in names}
