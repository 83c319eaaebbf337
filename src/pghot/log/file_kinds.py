"""What a file is, by its first bytes, where it is nothing that pghot reads."""

from __future__ import annotations

import re

_UTF16 = "UTF-16 text"
_UTF32 = "UTF-32 text"
_ZLIB = "zlib-compressed data"

_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    # Frames to be skipped, which pzstd begins with.
    *((0, bytes([number, 0x2A, 0x4D, 0x18]), "zstd") for number in range(0x50, 0x60)),
    (0, b"\x5d\x00\x00", "lzma, the old kind of xz"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"\x1f\x9d", "compress (.Z)"),
    (0, b"\x78\x01", _ZLIB),
    (0, b"\x78\x9c", _ZLIB),
    (0, b"\x78\xda", _ZLIB),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"!<arch>\n", "an ar archive"),
    (0, b"\x7fELF", "an ELF program or library"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"PAR1", "Parquet"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"PERFILE2", "perf.data"),
    (0, b"2ELIFREP", "perf.data"),
    (0, b"PERFFILE", "perf.data"),
    (0, b"\x17\x08\x44tracing", "a trace-cmd recording"),
    (0, b"\xd4\xc3\xb2\xa1", "a packet capture"),
    (0, b"\xa1\xb2\xc3\xd4", "a packet capture"),
    (0, b"\x0a\x0d\x0d\x0a", "a packet capture"),
    (0, b"\xff\xfe\0\0", _UTF32),
    (0, b"\0\0\xfe\xff", _UTF32),
    (0, b"\xff\xfe", _UTF16),
    (0, b"\xfe\xff", _UTF16),
    (0, b"{\\rtf", "an RTF document"),
)

_WORDS: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG picture"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "XML"),
)

_TOML = re.compile(rb"\[\[?[a-z_][a-z0-9_.-]*\]\]?[ \t\r]*(?:\n|$)")

_TEXT = bytes([*b"\t\n\f\r\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)])
"""Bytes that stand in text, of whatever encoding."""

_CR_ALONE = "text whose lines end in CR alone"

_HINTS = {
    "a zip archive": "unpack it",
    "a 7z archive": "unpack it",
    "a tar archive": "unpack it",
    "lz4": "decompress it",
    _ZLIB: "decompress it",
    "compress (.Z)": "decompress it",
    "lzma, the old kind of xz": "decompress it",
    _UTF32: "make it UTF-8: iconv -f UTF-32 -t UTF-8",
    _UTF16: "make it UTF-8: iconv -f UTF-16 -t UTF-8",
    "a trace-cmd recording": "print it: trace-cmd report",
    "Parquet": "an access log is for pghot replay",
}
"""What to do with files of some kinds."""


def kind_of(head: bytes) -> str | None:
    """Words for what a file is; None where its first bytes do not tell."""
    for at, magic, words in _MAGICS:
        if head.startswith(magic, at) and (words != _UTF16 or b"\0" in head[:64]):
            return words
    return _text_kind(head) or _byte_kind(head)


def _text_kind(head: bytes) -> str | None:
    start = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in head[:4096].lower():
        return "an SVG picture"
    for word, words in _WORDS:
        if start.startswith(word):
            return words
    if _TOML.match(start):
        return "TOML"
    if start[:1] in (b"{", b"[") and start[1:].lstrip()[:1] in (b'"', b"{", b"["):
        return "JSON"
    return None


def _byte_kind(head: bytes) -> str | None:
    if b"\r" in head and b"\n" not in head and b"\0" not in head:
        return _CR_ALONE
    look = head[:1024]
    if len(look.translate(None, _TEXT)) > len(look) // 8:
        return "binary data"
    return None


def named_kind(head: bytes) -> str | None:
    """As `kind_of`, with what to do where that is known."""
    kind = kind_of(head)
    if kind == _CR_ALONE:
        return f"{kind}; make them newlines: tr '\\r' '\\n'"
    hint = _HINTS.get(kind or "")
    return f"{kind}; {hint}" if hint else kind
