"""Host settings are changed and put back through this module alone.

The old value is on disk before a new one is written.  It comes back at the end of a `with`,
which signals end too, at the interpreter's exit, at the next start after a kill, or by
`pghot restore`.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Self

from pghot.errors import PghotError
from pghot.linux.guard.journal import Journal, JournalContent, JournalEntry
from pghot.linux.guard.lock import JOURNAL, InstanceLock, default_state_dir
from pghot.linux.guard.mounts import clear_dead_mounts
from pghot.linux.guard.restoring import Restored, put_back
from pghot.linux.guard.settings import check_allowed, same_value
from pghot.linux.host import Host

_FOLDED_AT = 64
"""Changes that the journal holds at the most: it has room for some hundred."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Changed(NamedTuple):
    """A setting that somebody else changed: `now` is None where its file has gone."""

    path: str
    ours: str
    now: str | None


class SettingsGuard:
    """Host settings, changed by one instance at a time.

    Use it as a context manager.  `recovered` is what the start put back for an instance
    that was killed, `restored` what the end put back.
    """

    def __init__(self, host: Host, state_dir: Path | None = None) -> None:
        self.host = host
        self.recovered: Restored | None = None
        self.restored: Restored | None = None
        self._state_dir = state_dir or default_state_dir()
        self._lock = InstanceLock(self._state_dir)
        self._journal = Journal(self._state_dir / JOURNAL)
        self._boot = ""
        self._begun = False
        self._entries: list[JournalEntry] = []
        self._ours: dict[str, str] = {}
        self._pid = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def acquire(self) -> None:
        """Take the lock, and put back what a killed instance left.

        PghotError where another instance runs (its pid and command line are named), where
        the state directory cannot be written, or where what was left cannot be put back.
        """
        self.recovered = self._start()
        if self.recovered and self.recovered.failed:
            self._release()
            raise PghotError(f"left by a killed pghot: {self.recovered.line()}")
        try:
            self._journal.prepare()
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Put everything back and let the next instance in; harmless when done already."""
        if self._pid != os.getpid():  # never acquired, or a forked child
            return
        with _signals_held():
            try:
                self.restore()
            finally:
                self._release()

    def set(self, path: str, value: str) -> None:
        """Change a setting; nothing is written where it has the value already.

        PghotError where it is not there or may not be written; ValueError where `path` is
        none of the settings that may be changed.
        """
        check_allowed(path)
        if self._pid != os.getpid():
            raise RuntimeError("settings are changed by the instance that holds the lock")
        try:
            self.host.hold(path)
            old = self.host.text(path)
            if not same_value(old, value):
                self._write(path, old, value)
            self._ours[path] = self.host.text(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise PghotError(f"{path}: cannot be set to {value}: {why}") from error

    def changed_by_others(self) -> list[Changed]:
        """The settings that no longer are as `set` left them."""
        changed = []
        for path, ours in self._ours.items():
            try:
                now = self.host.text(path)
            except OSError:
                changed.append(Changed(path, ours, None))
                continue
            if not same_value(now, ours):
                changed.append(Changed(path, ours, now))
        return changed

    def restore(self) -> Restored:
        """Put everything back in reverse order, and forget it; again does nothing.

        What fails stays in the journal for `pghot restore`.
        """
        with _signals_held():
            restored = self._undo()
            self._ours.clear()
            self.host.release()
            self.restored = (self.restored or Restored()).then(restored or Restored())
        return self.restored

    def _start(self) -> Restored | None:
        """Take the lock and put back what a killed instance left, as far as can be."""
        self._lock.acquire()
        self._journal = Journal(self._journal.path, self._lock.directory)
        self._boot = self.host.text_or(_BOOT_ID)
        self._pid = os.getpid()
        atexit.register(self.close)
        try:
            return self._with_mounts(self._undo())
        except BaseException:
            self._release()
            raise

    def _with_mounts(self, restored: Restored | None) -> Restored | None:
        """Take away the mounts that killed instances left, and add what became of them."""
        gone, failed = clear_dead_mounts(self.host, self._state_dir)
        if not gone and not failed:
            return restored
        restored = restored or Restored()
        restored.unmounted += gone
        restored.still_mounted |= failed
        return restored

    def _write(self, path: str, old: str, value: str) -> None:
        if not self._begun:
            self._journal.begin(self._boot)
            self._begun = True
        self._journal.change(path, old, value)
        self._entries.append(JournalEntry(path, old, value, sure=False))
        self.host.write(path, value)
        now = self.host.text(path)
        # First where no disk is needed: what the kernel made of it is ours, written down or not.
        self._entries[-1] = JournalEntry(path, old, value, now)
        self._journal.became(path, now)
        if len(self._entries) > _FOLDED_AT:
            self._fold()

    def _fold(self) -> None:
        """Make one change of all changes of a setting: a long run changes some again and again."""
        folded: dict[str, JournalEntry] = {}
        for entry in self._entries:
            old = folded[entry.path].old if entry.path in folded else entry.old
            folded[entry.path] = replace(entry, old=old)
        self._journal.replace(JournalContent(list(folded.values()), [], self._boot))
        self._entries = list(folded.values())

    def _undo(self) -> Restored | None:
        """Put back what was changed; None where there is nothing, or it is of another boot.

        What this instance changed it knows itself, whatever became of the journal meanwhile.
        """
        found = JournalContent(self._entries) if self._entries else self._journal.read()
        if found is None:
            return None
        if found.boot and self._boot and found.boot != self._boot:
            self._forget()
            return None
        restored, again = put_back(self.host, found.entries)
        for line in found.unreadable:
            restored.failed[str(self._journal.path)] = (
                f"a line says {line[:80]!r}; see to that setting, then remove the file"
            )
        self._entries = again
        if again or found.unreadable:
            # Where there is no room for less, all of it stays: what is back is not written again.
            with suppress(PghotError):
                self._journal.replace(JournalContent(again, found.unreadable, self._boot))
        else:
            try:
                self._forget()
            except PghotError as error:  # all is back; what it says does no harm any more
                restored.failed[str(self._journal.path)] = f"{error}; remove it"
        return restored

    def _forget(self) -> None:
        self._entries = []
        self._begun = False
        self._journal.delete()

    def _release(self) -> None:
        self.host.release()
        if self._pid == os.getpid():  # else it is of the instance that runs
            with suppress(OSError, PghotError):
                self._journal.forget()
        self._lock.release()
        self._pid = -1
        atexit.unregister(self.close)


def recover(host: Host, state_dir: Path | None = None) -> Restored:
    """Put back what a killed instance left; PghotError where one still runs."""
    guard = SettingsGuard(host, state_dir)
    try:
        return guard._start() or Restored()  # noqa: SLF001
    finally:
        guard._release()  # noqa: SLF001


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let nothing interrupt what is done here; signals that came meanwhile come after it.

    Handlers run in the main thread only, so elsewhere there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    held = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                held[number] = signal.signal(number, remember)
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
