"""Files, and directories of files, that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from pghot.errors import InputError, PghotError

_STAGING = ".pghot-unfinished"


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a hidden path beside `path`; at a clean end it takes the final name.

    At an error, a full disk or Ctrl-C the hidden file is removed and whatever stood under
    the final name is untouched.  An existing `path` is refused unless `force`.
    """
    try:
        if path.exists() and not force:
            raise InputError(f"{path}: exists already; choose another name or give --force")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _settle(partial, path)
    except OSError as error:
        raise PghotError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _settle(partial: Path, path: Path) -> None:
    """Put the finished file on disk, give it ordinary permissions and its name."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    umask = os.umask(0)
    os.umask(umask)
    partial.chmod(0o666 & ~umask)
    partial.replace(path)


@contextmanager
def whole_directory(path: Path, names: Sequence[str], *, force: bool = False) -> Iterator[Path]:
    """Give a hidden directory; at a clean end its files `names` appear in `path`, in that order.

    InputError where the directory is not empty (unless `force`: files of those names are
    replaced, others left alone) or another run is writing to it; PghotError where the
    disk is full or fails.
    """
    made = _make(path)
    lock = _open(path)
    staging = path / _STAGING
    claimed = done = False
    try:
        _claim(path, lock, force=force)
        claimed = True
        staging.mkdir()
        yield staging
        _publish(staging, path, names)
        done = True
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise PghotError(f"{path}: cannot be written: {why}") from error
    finally:
        if claimed:
            shutil.rmtree(staging, ignore_errors=True)
        if made and not done:
            _remove_if_empty(path)
        os.close(lock)


def _make(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise InputError(f"{path}: is not a directory") from None
        return False
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}") from error
    return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _claim(path: Path, lock: int, *, force: bool) -> None:
    """Take the directory for this process; the lock goes with the descriptor."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{path}: another pghot is writing there; choose another -o") from None
    # Left by a run that was killed; whoever held the lock is gone.
    shutil.rmtree(path / _STAGING, ignore_errors=True)
    if not force and any(path.iterdir()):
        raise InputError(f"{path}: is not empty; choose another -o or give --force")


def _publish(staging: Path, path: Path, names: Sequence[str]) -> None:
    """Put every file on disk before the first takes its name; the last name comes last."""
    for name in names:
        with (staging / name).open("rb") as stream:
            os.fsync(stream.fileno())
    for name in names:
        (staging / name).replace(path / name)


def _remove_if_empty(path: Path) -> None:
    with suppress(OSError):
        path.rmdir()
