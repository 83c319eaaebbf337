"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pghot.errors import InputError, PghotError


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
