"""One instance a host: a lock file that names who holds it."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from pathlib import Path

from pghot.errors import PghotError
from pghot.files.directory import Directory, open_directory

STATE_DIR = Path("/run/pghot")
JOURNAL = "journal"
_NAME = "lock"


def default_state_dir() -> Path:
    """Where the lock and the journal are: of the host for root, else of the session."""
    if os.geteuid() == 0:
        return STATE_DIR
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        raise PghotError(f"no XDG_RUNTIME_DIR, and {STATE_DIR} is root's: run as root (sudo)")
    return Path(runtime) / "pghot"


def refuse_unless_ours() -> None:
    """Refuse to look for what was left where only root may: PghotError that says so."""
    if default_state_dir() != STATE_DIR and (STATE_DIR / JOURNAL).exists():
        raise PghotError(f"{STATE_DIR / JOURNAL}: left by root: sudo pghot restore")


class InstanceLock:
    """The lock, held from `acquire` to `release` or to the end of the process, however it ends."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / _NAME
        self._descriptor = -1
        self._directory: Directory | None = None

    @property
    def directory(self) -> Directory:
        """The state directory, held open since `acquire`."""
        if self._directory is None:
            self._directory = _state_directory(self.path)
        return self._directory

    def acquire(self) -> None:
        """Take the lock; PghotError that names the holder where there is one already."""
        try:
            descriptor = self.directory.open(_NAME, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise PghotError(f"{self.path}: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
            os.close(descriptor)
            self.release()
            raise PghotError(f"pghot runs here already: {holder or 'just started'}") from None
        self._descriptor = descriptor
        command = " ".join(shlex.join(sys.orig_argv).split())  # of one line
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, {command[:1000]}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock up.  The file stays: removing it would let two in at once."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            # A child that was forked meanwhile may still have the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._directory is not None:
            self._directory.close()
            self._directory = None


def _state_directory(lock: Path) -> Directory:
    """Make and hold the directory; PghotError where others own it or may write to it."""
    path = lock.parent
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory = open_directory(path)
    except OSError as error:
        raise PghotError(f"{lock}: {error.strerror or error}") from error
    status = os.fstat(directory.descriptor)
    if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
        return directory
    directory.close()
    if status.st_uid != os.geteuid():
        raise PghotError(f"{path}: belongs to another user")
    raise PghotError(f"{path}: others may write to it; chmod 755 {path}")
