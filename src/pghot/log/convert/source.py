"""The foreign file: its first bytes for a look, then all of it in blocks."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pghot.errors import InputError
from pghot.log.convert.unpack import Prefixed, Readable, Unpacked, packing_of

BLOCK = 1 << 22
LONGEST_LINE = 1 << 16
"""No line of the text formats comes near; a longer one means that this is not text."""

Progress = Callable[[int, int | None], None]
"""Is told the bytes read so far, and how many there are where that is known."""

_HEAD = 1 << 16
_LOOK = 1024
_BOM = b"\xef\xbb\xbf"


class Source:
    """A file, or standard input for `-`.  Made by `open_source`."""

    def __init__(self, name: str, stream: Readable, size: int | None, progress: Progress) -> None:
        self.name = name
        self.size = size
        """Bytes of a regular file, else None."""
        look = _read(name, stream, _LOOK)
        self._raw = Prefixed(look, stream)
        self.packing = packing_of(look)
        """How the file is compressed, or None; all that is given here is unpacked."""
        self._stream: Readable = (
            Unpacked(name, self.packing, self._raw) if self.packing else self._raw
        )
        self._progress = progress
        self.head = self._fill(_HEAD).removeprefix(_BOM)
        """The first bytes, a byte-order mark let be; a later `blocks` gives them again."""

    def rest(self) -> Iterator[bytes]:
        """All bytes, for what is no text."""
        fresh = self.head
        while fresh:
            yield fresh
            self.tick(self._raw.count)
            fresh = self._fill(BLOCK)

    def tick(self, done: int) -> None:
        """Report that `done` bytes are dealt with."""
        self._progress(done, self.size)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines: the number of the first one, and bytes that end in a newline."""
        line = 1
        rest = b""
        fresh = self.head
        while fresh:
            joined = rest + fresh
            cut = joined.rfind(b"\n") + 1
            whole, rest = joined[:cut], joined[cut:]
            if whole:
                yield line, whole
                line += whole.count(b"\n")
            if len(rest) > LONGEST_LINE:
                raise InputError(
                    f"{self.name}: line {line}: longer than {LONGEST_LINE} bytes; not a text trace"
                )
            self.tick(self._raw.count)
            fresh = self._fill(BLOCK)
        if rest:
            yield line, rest + b"\n"

    def _fill(self, size: int) -> bytes:
        """Read `size` bytes, fewer only at the end."""
        return _read(self.name, self._stream, size)


def _read(name: str, stream: Readable, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end, of a pipe too."""
    data = b""
    try:
        while len(data) < size and (more := stream.read(size - len(data))):
            data += more
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    return data


@contextmanager
def open_source(path: Path | str, progress: Progress | None = None) -> Iterator[Source]:
    """Open a file, or standard input for `-`; InputError where that fails."""
    tell = progress or (lambda _done, _total: None)
    if str(path) == "-":
        yield Source("standard input", sys.stdin.buffer, None, tell)
        return
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - closed below; errors apart from the body's
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from error
    with stream:
        facts = Path(path).stat()
        size = facts.st_size if stat.S_ISREG(facts.st_mode) else None
        yield Source(str(path), stream, size, tell)
