"""ChampSim's binary traces: 64 bytes an instruction, with the memory that it reads and writes.

There is no clock; each instruction is a step of a virtual one.  The trace holds all loads and
stores, so it passes a last-level cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.cache import Cache
from pghot.log.convert.lackey import check_llc
from pghot.log.convert.samples import ConvertOptions, ConvertTally, Opened, with_address
from pghot.log.convert.source import Source
from pghot.log.schema import Columns

NAME = "champsim"

_INSTRUCTION = np.dtype(
    [
        ("ip", "<u8"),
        ("is_branch", "u1"),
        ("taken", "u1"),
        ("registers", "u1", 6),
        ("written", "<u8", 2),
        ("read", "<u8", 4),
    ]
)
_READS, _WRITES = 4, 2
_LOOKED_AT = 64
_USER = 1 << 57


def looks_like_champsim(head: bytes) -> bool:
    """Whether bytes can be instructions: there is no mark, so all of them must make sense."""
    count = min(len(head) // _INSTRUCTION.itemsize, _LOOKED_AT)
    if count < 2:
        return False
    rows = np.frombuffer(head, _INSTRUCTION, count)
    memory = np.concatenate([rows["read"].ravel(), rows["written"].ravel()])
    return bool(
        (rows["is_branch"] <= 1).all()
        and (rows["taken"] <= rows["is_branch"]).all()
        and (rows["ip"] != 0).all()
        and (rows["ip"] < _USER).all()
        and memory.any()
        and (memory < _USER).all()
    )


def open_champsim(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Check the cache and the clock."""
    if options.addresses == "physical":
        raise InputError(f"{source.name}: has no physical addresses; ChampSim's are virtual")
    check_llc(options.llc, options.ips)
    return Opened(
        NAME,
        False,
        ("vaddr", "write"),
        _chunks(source, options, tally),
        f"converted from a ChampSim trace through {options.llc.words}; virtual time, "
        f"{options.ips} instructions a second",
        tool="ChampSim tracer",
        virtual_clock="--ips",
        every_access=True,
    )


def _chunks(source: Source, options: ConvertOptions, tally: ConvertTally) -> Iterator[Columns]:
    cache = Cache(options.llc)
    size = _INSTRUCTION.itemsize
    done = 0
    rest = b""
    for piece in source.rest():
        whole = rest + piece
        count = len(whole) // size
        rest = whole[count * size :]
        rows = np.frombuffer(whole, _INSTRUCTION, count)
        if (rows["is_branch"] > 1).any():
            at = done + int(np.argmax(rows["is_branch"] > 1))
            raise InputError(
                f"{source.name}: instruction {at}: no such thing in a ChampSim trace of 64 bytes "
                f"an instruction"
            )
        yield _accesses(rows, done, cache, options.ips, tally)
        done += count
    if rest:
        raise InputError(
            f"{source.name}: {len(rest)} bytes over after {done} instructions of 64 bytes: "
            f"truncated, or no ChampSim trace"
        )


def _accesses(
    rows: np.ndarray[tuple[int], np.dtype[np.void]],
    done: int,
    cache: Cache,
    ips: int,
    tally: ConvertTally,
) -> Columns:
    """The loads and stores of instructions that miss the cache, loads first."""
    addresses = np.concatenate([rows["read"], rows["written"]], axis=1).astype(np.uint64)
    width = _READS + _WRITES
    known = (addresses != 0).ravel()
    flat = addresses.ravel()[known]
    places = np.flatnonzero(known)
    numbers = (places // width).astype(np.uint64) + np.uint64(done)
    missed = cache.misses(flat)
    tally.rows_in += len(flat)
    tally.leave_out("hit the cache", int(np.count_nonzero(~missed)))
    chunk: Columns = {
        "time_us": (numbers * np.uint64(1_000_000) // np.uint64(ips))[missed],
        "address": flat[missed],
        "vaddr": flat[missed],
        "write": (places % width >= _READS)[missed],
    }
    return with_address(chunk, tally, physical=False)
