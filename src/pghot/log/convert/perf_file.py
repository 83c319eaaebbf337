"""The parts of perf.data: events, and stretches of records, whichever way it was written.

A file has a header that says where they are; what went through a pipe has records alone,
events among them; `-z` packs records into others (perf.data-file-format.txt).
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pghot.errors import InputError
from pghot.log.convert import perf_layout as layout
from pghot.log.convert import perf_samples
from pghot.log.convert.source import Source
from pghot.log.convert.text import printable

Bytes = npt.NDArray[np.uint8]

MAGIC = b"PERFILE2"
_HEADER = struct.Struct("<8sQQQQQQ")  # magic, size, attr_size, attrs, data
_FLAGS_AT, _HEADER_END = 72, 104
_EVENT_DESC = 12
_ATTR_END = 136  # bytes of perf_event_attr that are looked at
_SMALLEST_ATTR = 64
_IDS = struct.Struct("<QQ")
_MOST_ATTRS = 1 << 16
_MOST_NAME = 256
_SAYS_NAME = 3
"""PERF_EVENT_UPDATE__NAME."""

_END_OF_FRAME = b"\x01\x00\x00"
"""An empty last block of zstd: perf never ends the frame that its records share."""

_SOFTWARE = 1
_FAULTS = {2: "page-faults", 5: "minor-faults", 6: "major-faults"}
_PIECE = 1 << 20


@dataclass(slots=True)
class Attr:
    """What is looked at of an event's perf_event_attr, its ids and its name."""

    type: int
    config: int
    sample_type: int
    read_format: int
    branch_type: int
    regs_user: int
    regs_intr: int
    ids: tuple[int, ...]
    name: str = ""

    def has(self, bit: int) -> bool:
        """Whether the samples have a field."""
        return bool(self.sample_type >> bit & 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """What tells how samples are laid out."""
        return (
            self.sample_type, self.read_format, self.branch_type, self.regs_user, self.regs_intr
        )  # fmt: skip


@dataclass(slots=True)
class Stretch:
    """Records one after the other: of the file, or unpacked from it."""

    data: Bytes
    begin: int
    end: int
    kinds: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(layout.RECORD_KINDS, np.int64)
    )
    told: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(layout.TOLD, np.int64))

    def records(self, *types: int) -> Iterator[tuple[int, Bytes]]:
        """Where the records of these types are, and what stands in each after its header."""
        wanted = np.zeros(layout.RECORD_KINDS, np.uint8)
        wanted[list(types)] = 1
        places = np.zeros(int(self.kinds[list(types)].sum()), np.int64)
        perf_samples.find(self.data, self.begin, self.end, wanted, places)
        for at in places.tolist():
            size = int.from_bytes(self.data[at + 6 : at + 8].tobytes(), "little")
            yield at, self.data[at + 8 : at + size]


@dataclass(slots=True)
class PerfFile:
    """Events and records of a perf.data."""

    attrs: list[Attr]
    stretches: list[Stretch]


def open_perf_file(source: Source) -> PerfFile:
    """Read the header, or what stands for it in a pipe, and look through all records."""
    data = _mapped(source)
    if len(data) >= 16 and int.from_bytes(data[8:16].tobytes(), "little") == 16:
        stretches = _unpacked(source, _counted(source, Stretch(data, 16, len(data))))
        attrs = [
            _attr_record(source, at, body)
            for part in stretches
            for at, body in part.records(layout.RECORD_ATTR)
        ]
        if not attrs:
            raise InputError(f"{source.name}: went through a pipe and has no event in it")
        _name_updates(stretches, attrs)
    else:
        begin, end, attrs = _header(source, data)
        stretches = _unpacked(source, _counted(source, Stretch(data, begin, end)))
        _name_described(data, end, attrs)
    for attr in attrs:
        if not attr.name:
            fault = _FAULTS.get(attr.config) if attr.type == _SOFTWARE else None
            attr.name = fault or f"type {attr.type} config {attr.config:#x}"
    return PerfFile(attrs, stretches)


def is_fault(attr: Attr) -> bool:
    """Whether an event counts page faults."""
    return attr.type == _SOFTWARE and attr.config in _FAULTS


def _mapped(source: Source) -> Bytes:
    """All bytes, in memory as far as they are looked at; a pipe's go to a file first."""
    try:
        if source.size is not None and source.packing is None:
            return np.asarray(np.memmap(Path(source.name), dtype=np.uint8, mode="r"))
        with tempfile.TemporaryFile() as spool:
            for piece in source.rest():
                spool.write(piece)
            spool.flush()
            return np.asarray(np.memmap(spool, dtype=np.uint8, mode="r"))
    except (OSError, ValueError) as error:
        raise InputError(f"{source.name}: cannot be read: {error}") from error


def _header(source: Source, data: Bytes) -> tuple[int, int, list[Attr]]:
    """Where the records begin and end, and the events."""
    if len(data) < _HEADER.size:
        raise InputError(f"{source.name}: truncated: the header ends at byte {len(data)}")
    _magic, _size, attr_size, attrs_at, attrs_size, begin, size = _HEADER.unpack(
        data[: _HEADER.size].tobytes()
    )
    if size == 0:
        raise InputError(
            f"{source.name}: holds no records; perf record was not ended properly (let it end by "
            f"itself or with Ctrl-C)"
        )
    if begin + size > len(data) or attrs_at + attrs_size > len(data):
        raise InputError(
            f"{source.name}: truncated: {len(data)} bytes of "
            f"{max(begin + size, attrs_at + attrs_size)}; copy the file again"
        )
    count, over = divmod(attrs_size, attr_size) if attr_size else (0, 1)
    if over or attr_size < _SMALLEST_ATTR + _IDS.size or not 1 <= count <= _MOST_ATTRS:
        raise InputError(
            f"{source.name}: corrupt: {attrs_size} bytes of events, {attr_size} bytes each"
        )
    attrs = [
        _attr_of_file(source, data, attrs_at + at * attr_size, attr_size) for at in range(count)
    ]
    return begin, begin + size, attrs


def _attr_of_file(source: Source, data: Bytes, at: int, size: int) -> Attr:
    """Read one event's attributes, with its ids, which are elsewhere."""
    raw = data[at : at + size].tobytes()
    ids_at, ids_size = _IDS.unpack(raw[-_IDS.size :])
    if ids_size % 8 or ids_at + ids_size > len(data):
        raise InputError(f"{source.name}: byte {at}: corrupt: the event's ids are not in the file")
    return _attr(raw[: -_IDS.size], data[ids_at : ids_at + ids_size].tobytes())


def _attr_record(source: Source, at: int, body: Bytes) -> Attr:
    """Read an event of a pipe: its attributes, which say how long they are, then its ids."""
    raw = body.tobytes()
    size = int.from_bytes(raw[4:8], "little")
    if not _SMALLEST_ATTR <= size <= len(raw) or (len(raw) - size) % 8:
        raise InputError(f"{source.name}: byte {at}: corrupt: an event of {size} bytes")
    return _attr(raw[:size], raw[size:])


def _attr(raw: bytes, ids: bytes) -> Attr:
    """Attributes; what an older and shorter event lacks is 0."""
    fields = raw.ljust(_ATTR_END, b"\0")
    kind, _size, config, _period, sample_type, read_format = struct.unpack_from("<IIQQQQ", fields)
    branch_type, regs_user = struct.unpack_from("<QQ", fields, 72)
    (regs_intr,) = struct.unpack_from("<Q", fields, 96)
    return Attr(
        kind, config, sample_type, read_format, branch_type, regs_user, regs_intr,
        tuple(np.frombuffer(ids, dtype="<u8").tolist()),
    )  # fmt: skip


def _name_updates(stretches: list[Stretch], attrs: list[Attr]) -> None:
    """Names of a pipe's events, told after them by id."""
    by_id = {ident: attr for attr in attrs for ident in attr.ids}
    for part in stretches:
        for _at, body in part.records(layout.RECORD_EVENT_UPDATE):
            raw = body.tobytes()
            attr = by_id.get(int.from_bytes(raw[8:16], "little"))
            if attr and int.from_bytes(raw[:8], "little") == _SAYS_NAME:
                attr.name = _text(raw[16:])


def _name_described(data: Bytes, end: int, attrs: list[Attr]) -> None:
    """Names that the header's EVENT_DESC gives; of no weight, so left alone where it is odd."""
    flags = int.from_bytes(data[_FLAGS_AT:_HEADER_END].tobytes(), "little")
    if not flags >> _EVENT_DESC & 1:
        return
    before = (flags & ((1 << _EVENT_DESC) - 1)).bit_count()
    entry = data[end + 16 * before : end + 16 * before + 16].tobytes()
    if len(entry) < 16:
        return
    start, size = _IDS.unpack(entry)
    raw = data[start : start + min(size, _PIECE)].tobytes()
    try:
        for attr, name in zip(attrs, _described(raw), strict=False):
            attr.name = name
    except struct.error:
        return


def _described(raw: bytes) -> Iterator[str]:
    count, attr_size = struct.unpack_from("<II", raw)
    at = 8
    for _ in range(min(count, _MOST_ATTRS)):
        (ids,) = struct.unpack_from("<I", raw, at + attr_size)
        (length,) = struct.unpack_from("<I", raw, at + attr_size + 4)
        start = at + attr_size + 8
        yield _text(raw[start : start + min(length, _MOST_NAME)])
        at = start + length + 8 * ids


def _text(raw: bytes) -> str:
    return printable(raw.split(b"\0", 1)[0], _MOST_NAME)


def _counted(source: Source, part: Stretch) -> Stretch:
    stopped, why = perf_samples.count(part.data, part.begin, part.end, part.kinds, part.told)
    if why:
        raise InputError(
            f"{source.name}: byte {stopped}: corrupt: the record runs past the end of the data"
        )
    return part


def _unpacked(source: Source, part: Stretch) -> list[Stretch]:
    """A stretch, and one with what is packed in its records, if any."""
    packed = part.kinds[[layout.RECORD_COMPRESSED, layout.RECORD_COMPRESSED2]].sum()
    if not packed:
        return [part]
    with tempfile.TemporaryFile() as packing, tempfile.TemporaryFile() as spool:
        for at, body in part.records(layout.RECORD_COMPRESSED, layout.RECORD_COMPRESSED2):
            packing.write(_payload(part, at, body))
        packing.write(_END_OF_FRAME)
        packing.seek(0)
        try:
            with pa.CompressedInputStream(pa.PythonFile(packing, mode="r"), "zstd") as stream:
                while piece := stream.read(_PIECE):
                    spool.write(piece)
        except OSError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{source.name}: damaged zstd in its records: {reason}") from error
        spool.flush()
        if not spool.tell():
            return [part]
        data = np.asarray(np.memmap(spool, dtype=np.uint8, mode="r"))
    inner = _counted(source, Stretch(data, 0, len(data)))
    if inner.kinds[[layout.RECORD_COMPRESSED, layout.RECORD_COMPRESSED2]].any():
        raise InputError(f"{source.name}: corrupt: packed records within packed ones")
    return [part, inner]


def _payload(part: Stretch, at: int, body: Bytes) -> bytes:
    """What is packed in a record; the newer kind says how long it is before its padding."""
    raw = body.tobytes()
    kind = int.from_bytes(part.data[at : at + 4].tobytes(), "little")
    if kind == layout.RECORD_COMPRESSED:
        return raw
    return raw[8 : 8 + int.from_bytes(raw[:8], "little")]
