"""Loops in C that do nothing but touch memory: what nothing here can be faster than.

Compiled for this very processor when first used, so that they flatter nobody.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

SOURCE = """
#include <stddef.h>
#include <stdint.h>
#define LOOPS(T) \\
uint64_t read_##T(const T *a, const uint32_t *p, size_t n) \\
{ uint64_t s = 0; for (size_t i = 0; i < n; i++) s += a[p[i]]; return s; } \\
uint64_t write_##T(T *a, const uint32_t *p, size_t n) \\
{ for (size_t i = 0; i < n; i++) a[p[i]] ^= 1; return 0; }
LOOPS(uint8_t)
LOOPS(uint32_t)
void update_uint8_t(uint8_t *a, const uint64_t *p, const uint64_t *t, const int16_t *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&a[p[i + 64 < n ? i + 64 : n - 1]], 1);
        a[p[i]] ^= 1;
    }
}
void update_uint32_t(uint32_t *a, const uint64_t *p, const uint64_t *t, const int16_t *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&a[p[i + 64 < n ? i + 64 : n - 1]], 1);
        a[p[i]] ^= t[i] ^ d[i];
    }
}
void spread(const uint64_t *words, size_t n, size_t stride, const int32_t *from, size_t fields,
            uint64_t *to)
{
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < fields; f++)
            to[f * n + i] = words[i * stride + from[f]];
}
uint64_t read_in_order(const uint64_t *a, size_t n)
{ uint64_t s = 0; for (size_t i = 0; i < n; i++) s += a[i]; return s; }
"""


def read_sum(array: npt.NDArray[np.generic], places: npt.NDArray[np.uint32]) -> int:
    """Read items at random places and do nothing with them: the bound of any update."""
    return _random("read", array, places)


def write_back(array: npt.NDArray[np.generic], places: npt.NDArray[np.uint32]) -> None:
    """Load items at random places, change a bit of each and store them."""
    _random("write", array, places)


def write_back_rows(
    array: npt.NDArray[np.generic],
    places: npt.NDArray[np.uint64],
    times: npt.NDArray[np.uint64],
    nids: npt.NDArray[np.int16],
) -> None:
    """`write_back` of rows as a recorder has them, asking for what comes 64 rows later.

    Of items of 32 bits, time and node too are read.
    """
    loop = getattr(_library(), f"update_uint{8 * array.itemsize}_t")
    loop(*map(_items, (array, places, times, nids)), ctypes.c_size_t(len(places)))


def sequential_sum(words: npt.NDArray[np.uint64]) -> int:
    """Read all words of an array in order: the bound of any scan."""
    return int(_library().read_in_order(_items(words), ctypes.c_size_t(len(words))))


def spread(
    words: npt.NDArray[np.uint64], stride: int, fields: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint64]:
    """Copy some words of each record of `stride` words, a line of the result for each."""
    count = len(words) // stride
    copied = np.empty((len(fields), count), np.uint64)
    size = ctypes.c_size_t
    _library().spread(
        _items(words), size(count), size(stride), _items(fields), size(len(fields)), _items(copied)
    )
    return copied


def _random(what: str, array: npt.NDArray[np.generic], places: npt.NDArray[np.uint32]) -> int:
    loop = getattr(_library(), f"{what}_uint{8 * array.itemsize}_t")
    return int(loop(_items(array), _items(places), ctypes.c_size_t(len(places))))


def _items(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as directory:
        source, made = Path(directory, "loops.c"), Path(directory, "loops.so")
        source.write_text(SOURCE)
        subprocess.run(
            ["cc", "-O3", "-march=native", "-fPIC", "-shared", "-o", made, source], check=True
        )
        library = ctypes.CDLL(str(made))
    for name in ("read_uint8_t", "read_uint32_t", "write_uint8_t", "write_uint32_t"):
        getattr(library, name).restype = ctypes.c_uint64
    library.read_in_order.restype = ctypes.c_uint64
    return library
