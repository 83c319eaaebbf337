"""SIGHUP to a run that has a configuration file: the file is read again, the run goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from pghot.cli.config_check import OF_THE_HOST, default_tunables
from pghot.cli.config_file import MergedOptions, load_config, merge_options
from pghot.errors import Caution, PghotError
from pghot.workers import Worker

if TYPE_CHECKING:
    import argparse

    from pghot.driving.run_state import RunState
    from pghot.live.mailbox import Mailbox
    from pghot.serving.notify import Notifier

_END_S = 5.0
_START_S = 1.0


class Reload:
    """Reads the file again and writes the tunables that changed, by the run's mailbox."""

    def __init__(
        self,
        path: Path,
        args: argparse.Namespace,
        mailbox: Mailbox[RunState],
        notifier: Notifier,
        tell: Callable[[str], None],
    ) -> None:
        """`args` are the command line's alone: it wins over the new file as over the old."""
        self._path = path
        self._args = args
        self._mailbox = mailbox
        self._notifier = notifier
        self._tell = tell
        self._now = self._read()

    def reload(self) -> None:
        """Read and write; a file that cannot be read changes nothing, and that is told."""
        while not (self._mailbox.state() or self._mailbox.closed):  # asked for while it starts
            self._mailbox.next_state(0, _START_S)
        self._notifier.reloading()
        try:
            self._take(self._read())
        except PghotError as error:
            self._tell(Caution(f"not reloaded, the run goes on as it was: {error}"))
        self._notifier.ready()

    def _read(self) -> MergedOptions:
        return merge_options(self._args, load_config(self._path), str(self._path))

    def _take(self, new: MergedOptions) -> None:
        was, self._now = self._now, new
        done = list(self._write(_wanted(was, new)))
        self._tell(f"{self._path}: reloaded: {', '.join(done) or 'no tunable changes'}")
        fixed = [key for key in new.values if new.values[key] != was.values[key]]
        if fixed:
            names = ", ".join(fixed)
            self._tell(Caution(f"{self._path}: {names}: cannot change during a run; restart it"))
        left = [name for name in was.tunables if name not in new.tunables and name in OF_THE_HOST]
        if left:
            names = ", ".join(left)
            self._tell(f"{self._path}: {names}: no longer named; as it is until a restart")

    def _write(self, wanted: Mapping[str, str]) -> Iterator[str]:
        """Write what differs; what became of each."""
        for name, text in wanted.items():
            before = self._value(name)
            try:
                self._mailbox.write(name, text)
            except (PghotError, ValueError) as error:
                self._tell(Caution(f"{self._path}: {error}"))
                continue
            after = self._value(name)
            if after != before:
                yield f"{name} {before} -> {after}"

    def _value(self, name: str) -> int | None:
        state = self._mailbox.state()
        return state.tunables.get(name) if state else None


def _wanted(was: MergedOptions, new: MergedOptions) -> dict[str, str]:
    """The tunables to write: those of the file, and defaults for those no longer in it."""
    defaults = default_tunables(new.args.mode, new.args.fidelity)
    gone = [name for name in was.tunables if name not in new.tunables and name in defaults]
    return {name: str(defaults[name]) for name in gone} | dict(new.tunables)


@contextmanager
def reloading(reload: Reload, tell: Callable[[str], None]) -> Iterator[None]:
    """Reload at each SIGHUP as long as this lasts, in a thread beside the run's.

    The run's own thread takes the signal, and it is the one that has to do the writes.
    """
    asked: SimpleQueue[bool] = SimpleQueue()  # a put is safe in a signal handler

    def serve() -> None:
        while asked.get():
            reload.reload()

    worker = Worker("reload", serve, tell)
    worker.start()
    before = signal.signal(signal.SIGHUP, lambda _number, _frame: asked.put(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        asked.put(False)
        worker.end(_END_S)
