"""perf.data as `perf record` writes it (perf.data-file-format.txt, linux/perf_event.h).

The header and the events' attributes are read here; perf_samples.py goes through the
records.  Samples of one buffer are in time order, buffers are not, so all are sorted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.convert import perf_layout as layout
from pghot.log.convert import perf_samples
from pghot.log.convert.perf_samples import Layouts
from pghot.log.convert.samples import Opened, Options, Tally, use_physical, with_address
from pghot.log.convert.source import Source
from pghot.log.schema import Columns

NAME = "perf-data"
MAGIC = b"PERFILE2"
_SWAPPED = MAGIC[::-1]
_OLD_MAGIC = b"PERFFILE"

_HEADER = struct.Struct("<8sQQQQQQ")  # magic, size, attr_size, attrs, data
_ATTR_END = 128  # bytes of perf_event_attr that are looked at
_SMALLEST_ATTR = 64
_IDS = struct.Struct("<QQ")
_MOST_ATTRS = 1 << 16
_ROWS = 1 << 18
_OP_LOAD, _OP_STORE = 2, 4

_AGAIN = "record again with perf record -e EVENT -d --phys-data --sample-cpu -o FILE"


@dataclass(frozen=True, slots=True)
class _Attr:
    sample_type: int
    read_format: int
    branch_type: int
    regs_user: int
    regs_intr: int
    ids: tuple[int, ...]

    def has(self, bit: int) -> bool:
        return bool(self.sample_type >> bit & 1)


def looks_like_perf_data(head: bytes) -> bool:
    """Tell whether a file opens as any perf.data does, readable here or not."""
    return head.startswith((MAGIC, _SWAPPED, _OLD_MAGIC))


def open_perf_data(source: Source, options: Options, tally: Tally) -> Opened:
    """Read the header and the samples, in the order of their times."""
    _refuse_other_kinds(source)
    if source.size is None:
        raise InputError(f"{source.name}: perf.data is read from a file; give its name")
    data = _mapped(source)
    begin, end, attrs = _header(source, data)
    rows, order = _samples(source, data, begin, end, attrs, options, tally)
    source.tick(source.size)
    physical = use_physical(
        source.name,
        options.addresses,
        physical=bool(rows["phys"].any()),
        virtual=bool(rows["vaddr"].any()),
        remedy=_AGAIN,
    )
    columns = _columns(attrs, rows)
    return Opened(
        NAME,
        physical,
        columns,
        _chunks(rows, order, columns, tally, physical),
        "converted from perf.data",
    )


def _refuse_other_kinds(source: Source) -> None:
    head = source.head
    if head.startswith(_SWAPPED):
        raise InputError(
            f"{source.name}: written on a machine of the other byte order; convert the output "
            f"of perf script instead"
        )
    if head.startswith(_OLD_MAGIC):
        raise InputError(
            f"{source.name}: perf.data of a kernel before 3.0; convert the output of perf script"
        )
    if not head.startswith(MAGIC):
        raise InputError(f"{source.name}: not a perf.data file: it does not start with PERFILE2")
    if len(head) >= 16 and int.from_bytes(head[8:16], "little") == 16:
        raise InputError(
            f"{source.name}: perf.data that went through a pipe; record with perf record -o FILE"
        )


def _mapped(source: Source) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(np.memmap(Path(source.name), dtype=np.uint8, mode="r"))
    except (OSError, ValueError) as error:
        raise InputError(f"{source.name}: cannot be read: {error}") from error


def _header(source: Source, data: npt.NDArray[np.uint8]) -> tuple[int, int, list[_Attr]]:
    """Give where the records begin and end, and the events."""
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
    attrs = [_attr(source, data, attrs_at + at * attr_size, attr_size) for at in range(count)]
    return begin, begin + size, attrs


def _attr(source: Source, data: npt.NDArray[np.uint8], at: int, size: int) -> _Attr:
    """Read one event's attributes; what an older and shorter one lacks is 0."""
    raw = data[at : at + size].tobytes()
    ids_at, ids_size = _IDS.unpack(raw[-_IDS.size :])
    if ids_size % 8 or ids_at + ids_size > len(data):
        raise InputError(f"{source.name}: byte {at}: corrupt: the event's ids are not in the file")
    ids = np.frombuffer(data[ids_at : ids_at + ids_size].tobytes(), dtype="<u8")
    fields = raw[: -_IDS.size].ljust(_ATTR_END, b"\0")
    sample_type, read_format = struct.unpack_from("<QQ", fields, 24)
    branch_type, regs_user = struct.unpack_from("<QQ", fields, 72)
    (regs_intr,) = struct.unpack_from("<Q", fields, 96)
    return _Attr(sample_type, read_format, branch_type, regs_user, regs_intr, tuple(ids.tolist()))


def _samples(
    source: Source,
    data: npt.NDArray[np.uint8],
    begin: int,
    end: int,
    attrs: list[_Attr],
    options: Options,
    tally: Tally,
) -> tuple[Columns, npt.NDArray[np.intp]]:
    """Give all samples of events that have a time and an address, and their order in time."""
    layouts = _layouts(source, attrs)
    total, stopped, why = perf_samples.count(data, begin, end)
    if why:
        _refuse_record(source, stopped, why)
    rows = perf_samples.empty_rows(total)
    tallied = np.zeros(4, dtype=np.int64)
    kept = perf_samples.decode(data, begin, end, layouts, rows, tallied)
    bad, first_bad, useless, unknown = (int(number) for number in tallied)
    if bad and not options.skip_bad:
        raise InputError(
            f"{source.name}: byte {first_bad}: the sample is shorter than its event says; "
            f"--skip-bad leaves such samples out"
        )
    tally.rows_in += total
    tally.leave_out("bad sample", bad)
    tally.leave_out("event without address or time", useless)
    tally.leave_out("unknown event", unknown)
    rows = {name: array[:kept] for name, array in rows.items()}
    return rows, np.argsort(rows["time"], kind="stable")


def _refuse_record(source: Source, at: int, why: int) -> None:
    if why == layout.COMPRESSED:
        raise InputError(
            f"{source.name}: byte {at}: compressed records; record without -z, or convert the "
            f"output of perf script"
        )
    raise InputError(
        f"{source.name}: byte {at}: corrupt: the record runs past the end of the data"
    )


def _layouts(source: Source, attrs: list[_Attr]) -> Layouts:
    usable = [
        attr.has(layout.TIME) and (attr.has(layout.ADDR) or attr.has(layout.PHYS_ADDR))
        for attr in attrs
    ]
    if not any(attr.has(layout.TIME) for attr in attrs):
        raise InputError(f"{source.name}: the samples have no time; record with -T")
    if not any(usable):
        raise InputError(f"{source.name}: the samples have no address; {_AGAIN}")
    pairs = sorted((ident, at) for at, attr in enumerate(attrs) for ident in attr.ids)
    return Layouts(
        np.array([attr.sample_type for attr in attrs], dtype=np.uint64),
        np.array([attr.read_format for attr in attrs], dtype=np.uint64),
        np.array([attr.branch_type for attr in attrs], dtype=np.uint64),
        np.array([attr.regs_user.bit_count() for attr in attrs], dtype=np.int64),
        np.array([attr.regs_intr.bit_count() for attr in attrs], dtype=np.int64),
        np.array(usable, dtype=np.bool_),
        np.array([ident for ident, _at in pairs], dtype=np.uint64),
        np.array([at for _ident, at in pairs], dtype=np.int64),
        _id_offset(source, attrs),
    )


def _id_offset(source: Source, attrs: list[_Attr]) -> int:
    """Give where in a sample its event's id stands; -1 where all samples look the same."""
    shapes = {
        (a.sample_type, a.read_format, a.branch_type, a.regs_user, a.regs_intr) for a in attrs
    }
    if len(shapes) == 1:
        return -1
    offsets = {_id_offset_of(attr) for attr in attrs}
    if len(offsets) > 1 or -1 in offsets:
        raise InputError(
            f"{source.name}: the samples do not say of which event they are; record one event"
        )
    return offsets.pop()


def _id_offset_of(attr: _Attr) -> int:
    if attr.has(layout.IDENTIFIER):
        return 0
    before = (layout.IP, layout.TID, layout.TIME, layout.ADDR)
    return sum(8 for bit in before if attr.has(bit)) if attr.has(layout.ID) else -1


def _columns(attrs: list[_Attr], rows: Columns) -> tuple[str, ...]:
    columns = ["vaddr"] if any(attr.has(layout.ADDR) for attr in attrs) else []
    if any(attr.has(layout.TID) for attr in attrs):
        columns.append("pid")
    if any(attr.has(layout.CPU) for attr in attrs):
        columns.append("cpu")
    if (rows["op"] & (_OP_LOAD | _OP_STORE)).any():
        columns.append("write")
    return tuple(columns)


def _chunks(
    rows: Columns,
    order: npt.NDArray[np.intp],
    columns: tuple[str, ...],
    tally: Tally,
    physical: bool,
) -> Iterator[Columns]:
    for start in range(0, len(order), _ROWS):
        part = {name: array[order[start : start + _ROWS]] for name, array in rows.items()}
        chunk: Columns = {
            "time_us": part["time"] // np.uint64(1000),
            "address": part["phys"] if physical else part["vaddr"],
            "write": (part["op"] & _OP_STORE) != 0,
        }
        chunk |= {name: part[name] for name in ("vaddr", "pid", "cpu")}
        wanted = {"time_us", "address", *columns}
        yield with_address(
            {name: array for name, array in chunk.items() if name in wanted},
            tally,
            physical=physical,
        )
