"""Files, and directories of files, that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pghot.errors import InputError, PghotError
from pghot.files.directory import PRIVATE, Directory, flush_to_disk, open_directory

SHARED = 0o666
"""Mode of a file for others to read, as far as the umask lets them."""

_STAGING = ".pghot-unfinished"


@contextmanager
def whole_file(
    path: Path, *, force: bool = False, mode: int = PRIVATE, within: Directory | None = None
) -> Iterator[BinaryIO]:
    """A stream; what is written to it is the file `path` at a clean end.

    At an error, a full disk or Ctrl-C nothing of it stays and whatever stood under the final
    name is untouched.  An existing `path` is refused unless `force`.  `within` is the
    directory of `path` where that is held open already.
    """
    with ExitStack() as stack:
        try:
            directory = within or stack.enter_context(open_directory(path.parent))
            refuse_existing(directory, path, force=force)
            stream = stack.enter_context(directory.draft(path.name, mode))
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{path!r}: cannot be written: {error}") from error
        try:
            yield stream
            stack.close()
        except OSError as error:
            raise PghotError(f"{path}: cannot be written: {error.strerror or error}") from error


def refuse_existing(directory: Directory, path: Path, *, force: bool) -> None:
    """Refuse a name that is taken, unless `force`; InputError."""
    if not force and directory.status(path.name) is not None:
        raise InputError(f"{path}: exists already; choose another name or give --force")


class Staging:
    """Files that are to appear together.  Made by `whole_directory`."""

    def __init__(self, directory: Directory, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._streams: dict[str, BinaryIO] = {}

    def create(self, name: str) -> BinaryIO:
        """Stream of a new file; it stays open until all are published."""
        self._streams[name] = self._stack.enter_context(self._directory.fresh(name))
        return self._streams[name]

    def flush_to_disk(self) -> None:
        """Put all on disk."""
        for stream in self._streams.values():
            flush_to_disk(stream)


@contextmanager
def whole_directory(path: Path, names: Sequence[str], *, force: bool = False) -> Iterator[Staging]:
    """A place for files; at a clean end those of `names` appear in `path`, in that order.

    InputError where the directory is not empty (unless `force`: files of those names are
    replaced, others left alone), another run is writing to it, or, as root, others could swap
    what is in it; PghotError where the disk is full or fails.
    """
    with ExitStack() as stack:
        parent, directory, made = _enter(path, stack)
        done = False
        try:
            _claim(directory, path, force=force)
            with _staging(directory) as (below, inner):
                staging = Staging(below, inner)
                yield staging
                staging.flush_to_disk()
                _publish(below, directory, names)
                done = True
        except (OSError, pa.ArrowException) as error:
            why = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise PghotError(f"{path}: cannot be written: {why}") from error
        finally:
            if made and not done:
                with suppress(OSError):
                    parent.remove_directory(path.name)


def _publish(staging: Directory, directory: Directory, names: Sequence[str]) -> None:
    """Rename all to their final names, or none."""
    published: list[str] = []
    try:
        for name in names:
            staging.rename(name, name, directory)
            published.append(name)
        directory.sync()
    except OSError:
        for name in published:
            with suppress(OSError):
                directory.unlink(name)
        raise


def _enter(path: Path, stack: ExitStack) -> tuple[Directory, Directory, bool]:
    """The directory that holds `path`, `path` itself, and whether it was made now."""
    made = False
    try:
        path = path if path.name else path.absolute()
        if path.name in {"", ".."}:
            directory = stack.enter_context(open_directory(path))
            return directory, directory, False
        parent = stack.enter_context(open_directory(path.parent))
        with suppress(FileExistsError):
            parent.make(path.name)
            made = True
        if made:
            parent.sync()
            return parent, stack.enter_context(parent.below(path.name)), made
        return parent, stack.enter_context(open_directory(path)), made
    except NotADirectoryError:
        raise InputError(f"{path}: is not a directory") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r}: cannot be made: {error}") from error


def _claim(directory: Directory, path: Path, *, force: bool) -> None:
    """Take the directory for this process; the lock goes with the descriptor."""
    try:
        directory.lock()
    except BlockingIOError:
        raise InputError(f"{path}: another pghot is writing there; choose another -o") from None
    # Left by a run that was killed; whoever held the lock is gone.
    with suppress(OSError):
        directory.remove_tree(_STAGING)
    if not force and directory.names():
        raise InputError(f"{path}: is not empty; choose another -o or give --force")


@contextmanager
def _staging(directory: Directory) -> Iterator[tuple[Directory, ExitStack]]:
    directory.make(_STAGING)
    try:
        with directory.below(_STAGING) as below:
            try:
                with ExitStack() as stack:
                    yield below, stack
            finally:
                with suppress(OSError):
                    directory.remove_held(_STAGING, below)
    finally:
        with suppress(OSError):  # where it could not be opened
            directory.remove_directory(_STAGING)
