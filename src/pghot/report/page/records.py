"""The frequencies of the records that a result ends with, read in pieces."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from pghot.engine.layout import Layout
from pghot.errors import InputError

RECORDS = "records.npz"
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)

PIECE = 1 << 22
"""Records read at once."""


def frequencies(path: Path, layout: Layout) -> list[int] | None:
    """How many records have each frequency, from 0 on; None where there is no file."""
    name = path / RECORDS
    if not name.exists():
        return None
    try:
        with zipfile.ZipFile(name) as archive:
            _check_stored(archive)
            with archive.open("record.npy") as stream:
                return _counted(stream, layout)
    except _DAMAGED as error:
        raise InputError(f"{name}: not what pghot writes: {error}") from error


def _check_stored(archive: zipfile.ZipFile) -> None:
    """Refuse what is compressed: records are written as they are, so the file bounds them."""
    if archive.getinfo("record.npy").compress_type != zipfile.ZIP_STORED:
        raise ValueError("its records are compressed")


def _counted(stream: IO[bytes], layout: Layout) -> list[int]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"array format {version}")
    shape, _fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if len(shape) != 1 or dtype != layout.dtype:
        raise ValueError(f"records are {dtype}, of shape {shape}")
    counts = np.zeros(layout.freq_max + 1, np.int64)
    left = shape[0]
    while left:
        data = stream.read(min(left, PIECE) * dtype.itemsize)
        records = np.frombuffer(data, dtype)
        if not len(records):
            raise EOFError("cut short")
        freq = records >> layout.freq_shift & layout.freq_max
        counts += np.bincount(freq, minlength=len(counts))
        left -= len(records)
    return counts.tolist()
