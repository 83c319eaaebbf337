"""Files of other people: what they may make us read into memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pghot.errors import InputError

MOST_TEXT = 64 << 20
"""Bytes of a file of JSON; a result's largest, of 16 policies, has a few MB."""

MOST_MEMORY = 1 << 30
"""Bytes that reading one result or event log may take, whatever its files say of themselves."""

MOST_ROWS = 1 << 23
"""Rows of a table that is read at once."""


def read_bounded(path: Path, most: int = MOST_TEXT) -> bytes:
    """Content of a file of `most` bytes at the most; InputError where it is longer."""
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: over {most >> 20} MiB; what pghot writes is smaller")
    return content


@contextmanager
def bounded_memory(path: Path, most: int = MOST_MEMORY) -> Iterator[None]:
    """Let what is read of `path` take no more memory than this; InputError where it would."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data() + most
    held = limits[0] != resource.RLIM_INFINITY and limits[0] <= wanted
    with suppress(OSError, ValueError):
        if not held:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, limits[1]))
    try:
        yield
    except (MemoryError, OverflowError) as error:
        raise InputError(
            f"{path}: would take over {most >> 20} MiB of memory; no pghot wrote it so"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def _data() -> int:
    """Bytes of data that this process has now (proc_pid_status(5))."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return 0
