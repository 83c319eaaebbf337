"""What Arm's Statistical Profiling Extension (SPE) sampled, in the AUXTRACE of perf.data."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert import perf_layout as abi
from pghot.log.convert.perf_file import Bytes, PerfFile, Stretch
from pghot.log.convert.samples import ConvertOptions, ConvertTally
from pghot.log.convert.source import Source
from pghot.log.convert.spe_packets import (
    COUNTS,
    CUT_OFF,
    NO_TIME,
    OTHER,
    UNKNOWN,
    SpeSamples,
    TimeConversion,
    scan,
)
from pghot.log.schema import Columns

_ARM_SPE = 4
_INFO = struct.Struct("<I")
_TRACE = struct.Struct("<QQQIII")
_ANY = 0xFFFF_FFFF
_OP_LOAD, _OP_STORE = 2, 4


def samples(
    source: Source, file: PerfFile, options: ConvertOptions, tally: ConvertTally
) -> Columns | None:
    """Rows of what SPE sampled; None where the file holds nothing of it."""
    if not any(_is_spe(part) for part in file.stretches):
        return None
    clock = _clock(source, file)
    owners = _owners(file)
    parts = [
        _rows(source, packets, tid, cpu, clock, owners, tally)
        for part in file.stretches
        for packets, tid, cpu in _traces(part)
    ]
    if not parts:
        return None
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if options.addresses != "physical" and len(rows["pid"]) and (rows["pid"] < 0).any():
        tally.note(
            "some of what SPE sampled does not say whose it is: record with -p PID, or on a "
            "kernel with CONFIG_PID_IN_CONTEXTIDR; it is taken to be of one process"
        )
    return rows


def _is_spe(part: Stretch) -> bool:
    return any(
        len(body) >= _INFO.size and _INFO.unpack(body[: _INFO.size].tobytes())[0] == _ARM_SPE
        for _at, body in part.records(abi.RECORD_AUXTRACE_INFO)
    )


def _clock(source: Source, file: PerfFile) -> TimeConversion:
    for part in file.stretches:
        for _at, body in part.records(abi.RECORD_TIME_CONV):
            words = body.tobytes()
            if len(words) < 24:
                continue
            shift, mult, zero = struct.unpack_from("<QQQ", words)
            if shift < 64 and mult >> 32 == 0:
                if len(words) >= 42 and words[41]:
                    return TimeConversion(shift, mult, zero, *struct.unpack_from("<QQ", words, 24))
                return TimeConversion(shift, mult, zero)
    raise InputError(
        f"{source.name}: SPE samples, and nothing that makes perf's time of theirs; record with "
        f"arm_spe_0/ts_enable=1/ and a perf of 5.12 or later"
    )


def _owners(file: PerfFile) -> dict[int, int]:
    """Process by thread."""
    owners = {}
    for part in file.stretches:
        for _at, body in part.records(abi.RECORD_COMM):
            if len(body) >= 8:
                pid, tid = struct.unpack_from("<ii", body[:8].tobytes())
                owners[tid] = pid
        for _at, body in part.records(abi.RECORD_FORK):
            if len(body) >= 16:
                pid, _parent, tid, _thread = struct.unpack_from("<iiii", body[:16].tobytes())
                owners[tid] = pid
    return owners


def _traces(part: Stretch) -> Iterator[tuple[Bytes, int, int]]:
    """The packets of each AUXTRACE record, its thread and its CPU, -1 for any."""
    for at, body in part.records(abi.RECORD_AUXTRACE):
        if len(body) < _TRACE.size:
            continue
        size, _offset, _reference, _index, tid, cpu = _TRACE.unpack(body[: _TRACE.size].tobytes())
        start = at + 8 + len(body)
        yield (
            part.data[start : start + size],
            -1 if tid == _ANY else tid,
            -1 if cpu == _ANY else cpu,
        )


def _rows(
    source: Source,
    packets: Bytes,
    tid: int,
    cpu: int,
    clock: TimeConversion,
    owners: dict[int, int],
    tally: ConvertTally,
) -> Columns:
    packets = np.ascontiguousarray(packets)
    found = SpeSamples.room_for(packets)
    counts = np.zeros(COUNTS, np.int64)
    filled = scan(packets, found, counts)
    tally.rows_in += filled + int(counts[[OTHER, CUT_OFF, NO_TIME]].sum())
    tally.leave_out("no load or store", int(counts[OTHER]))
    tally.leave_out("cut off", int(counts[CUT_OFF]))
    tally.leave_out("no time", int(counts[NO_TIME]))
    if counts[UNKNOWN] > filled:
        raise InputError(f"{source.name}: corrupt: what SPE wrote is no packets")
    threads = found.contexts[:filled]
    named, places = np.unique(threads, return_inverse=True)
    nobody = np.uint64((1 << 64) - 1)
    pids = [
        owners.get(thread, thread) if thread != -1 else -1
        for thread in (tid if word == nobody else int(word) for word in named)
    ]
    return {
        "time": clock.times(found.ticks[:filled]),
        "vaddr": found.virtual[:filled],
        "phys": found.physical[:filled],
        "pid": np.array(pids, np.int64).astype(np.int32)[places.reshape(-1)]
        if filled
        else np.zeros(0, np.int32),
        "cpu": np.full(filled, cpu if cpu < 1 << 15 else -1, np.int16),
        "op": np.where(found.operations[:filled] & np.uint64(1), _OP_STORE, _OP_LOAD).astype(
            np.uint8
        ),
    }
