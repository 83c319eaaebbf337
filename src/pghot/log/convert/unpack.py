"""Compressed input, read a piece at a time: gzip, bzip2, xz, zstd."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from pghot.errors import InputError
from pghot.log.file_kinds import kind_of

_PIECE = 1 << 16
_MOST_MEMORY = 1 << 28
"""Bytes that xz may take: four times what its highest level asks for."""


class Readable(Protocol):
    """What gives bytes on request: as many as are asked for, fewer only at the end."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


class Prefixed:
    """A stream whose first bytes were read for a look; counts what is read of it."""

    closed = False

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream
        self.count = 0
        """Bytes given so far."""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        data = self._head[:size] if size >= 0 else self._head
        self._head = self._head[len(data) :]
        if len(data) != size:
            data += self._stream.read(size - len(data) if size >= 0 else -1)
        self.count += len(data)
        return data

    def close(self) -> None:
        """As a file has it; the stream is its opener's."""

    def readable(self) -> bool:
        """As a file has it."""
        return True

    def seekable(self) -> bool:
        """As a file has it."""
        return False

    def writable(self) -> bool:
        """As a file has it."""
        return False


class _Xz:
    """An xz file within a bounded memory; `lzma.open` has no bound."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._unpacker = self._fresh()
        self._rest = b""

    @staticmethod
    def _fresh() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=_MOST_MEMORY)

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        wanted = size
        while wanted:
            part = self._some(wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        while True:
            if self._unpacker.eof:
                rest = self._unpacker.unused_data.lstrip(b"\0") or self._stream.read(_PIECE)
                if not rest.strip(b"\0"):
                    return b""
                self._unpacker, self._rest = self._fresh(), rest.lstrip(b"\0")
            if self._unpacker.needs_input and not self._rest:
                self._rest = self._stream.read(_PIECE)
                if not self._rest:
                    raise EOFError("it ends too early")
            part = self._unpacker.decompress(self._rest, size)
            self._rest = b""
            if part:
                return part


class _Zstd:
    def __init__(self, stream: Prefixed) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        return data


_OPENERS: dict[str, Callable[[Any], Readable]] = {
    "gzip": lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
    "bzip2": lambda stream: bz2.BZ2File(stream, "rb"),
    "xz": _Xz,
    "zstd": _Zstd,
}


def packing_of(head: bytes) -> str | None:
    """The packing that is undone here, by a file's first bytes; None for none."""
    kind = kind_of(head)
    return kind if kind in _OPENERS else None


class Unpacked:
    """The bytes that are packed in a stream.  InputError, with `name`, where it is damaged."""

    def __init__(self, name: str, packing: str, stream: Prefixed) -> None:
        self._name = name
        self._packing = packing
        self._stream = _OPENERS[packing](stream)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        try:
            return self._stream.read(size)
        except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or "it cannot be unpacked"
            raise InputError(f"{self._name}: damaged {self._packing}: {reason}") from error
