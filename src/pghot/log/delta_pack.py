"""Parquet's DELTA_BINARY_PACKED encoding of 64-bit numbers (its Encodings.md).

Each number is kept as its difference to the one before it, in as few bits as the largest of
32 neighbours takes.
"""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u8, u32, u64
else:
    from pghot.engine.arrays import u8, u32, u64

BLOCK = 128
"""Values of a block; it has four miniblocks."""

_BLOCK = cython.declare(cython.long, BLOCK)
_MINIBLOCK = cython.declare(cython.long, 32)
_MINIBLOCKS = cython.declare(cython.long, 4)
_HEAD = 4 * 10
"""The longest header of a page: four numbers."""

_BLOCK_HEAD = 10 + 4
_U32 = cython.declare(cython.ulong, 0xFFFF_FFFF)
_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)
_SIGN = cython.declare(cython.ulong, 1 << 63)


def pack(values: npt.NDArray[np.uint64]) -> memoryview:
    """The bytes of a page's values."""
    blocks = -(-len(values) // BLOCK)
    page = np.empty(_HEAD + blocks * (_BLOCK_HEAD + 8 * BLOCK), np.uint8)
    packer = _Packer(page)
    words = np.empty(2 * int(_MINIBLOCK), np.uint32)
    size = packer.pack(values, np.empty(BLOCK, np.uint64), words)
    return page[:size].data


@cython.final
@cython.cclass
class _Packer:
    """Writes a page from its start; `at` is the byte that is next."""

    page: cython.p_uchar
    at: cython.long

    def __init__(self, page: npt.NDArray[np.uint8]) -> None:
        self.page = u8(page)
        self.at = 0

    def pack(
        self,
        values: npt.NDArray[np.uint64],
        block: npt.NDArray[np.uint64],
        words: npt.NDArray[np.uint32],
    ) -> int:
        """Write all of a page, with room for a block and a miniblock; the bytes there are."""
        value: cython.p_ulong = u64(values)
        delta: cython.p_ulong = u64(block)
        packed: cython.p_uint = u32(words)
        count: cython.long = len(values)
        at: cython.long = 1
        with cython.nogil:
            self.number(_BLOCK)
            self.number(_MINIBLOCKS)
            self.number(count)
            self.zigzag(value[0] if count else 0)
            while at < count:
                self.block(value, at, min(_BLOCK, count - at), delta, packed)
                at += _BLOCK
        return self.at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def block(
        self,
        value: cython.p_ulong,
        first: cython.long,
        count: cython.long,
        delta: cython.p_ulong,
        packed: cython.p_uint,
    ) -> cython.void:
        """Write up to BLOCK values."""
        least: cython.ulong = _SIGN - 1  # the signed maximum
        widths: cython.long
        at: cython.long
        for at in range(count):
            delta[at] = (value[first + at] - value[first + at - 1]) & _U64
            # Signed, as unsigned with the sign bit turned over.
            least = delta[at] if (delta[at] ^ _SIGN) < (least ^ _SIGN) else least
        self.zigzag(least)
        for at in range(count):
            delta[at] = (delta[at] - least) & _U64
        for at in range(count, _BLOCK):
            delta[at] = 0
        widths = self.at
        self.at += _MINIBLOCKS
        for at in range(_MINIBLOCKS):
            self.page[widths + at] = 0
            if at * _MINIBLOCK < count:
                self.page[widths + at] = self.miniblock(delta, at * _MINIBLOCK, packed)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def miniblock(
        self, delta: cython.p_ulong, first: cython.long, packed: cython.p_uint
    ) -> cython.int:
        """Write 32 numbers in as many bits as the widest takes: those bits."""
        every: cython.ulong = 0
        held: cython.ulong = 0
        bits: cython.int = 0
        width: cython.int = 0
        low: cython.int
        word: cython.int = 0
        at: cython.long
        for at in range(_MINIBLOCK):
            every |= delta[first + at]
        while every:
            width += 1
            every >>= 1
        low = min(width, 32)
        for at in range(_MINIBLOCK):
            # `held` has less than 32 bits before each piece, and a piece at most 32.
            held |= (delta[first + at] & _U32) << bits
            bits += low
            if bits >= 32:
                packed[word] = held & _U32
                word += 1
                held >>= 32
                bits -= 32
            if width > 32:
                held |= (delta[first + at] >> 32) << bits
                bits += width - 32
                if bits >= 32:
                    packed[word] = held & _U32
                    word += 1
                    held >>= 32
                    bits -= 32
        self.words(packed, word)
        return width

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def words(self, packed: cython.p_uint, count: cython.int) -> cython.void:
        """Write words of 32 bits, the least byte first."""
        at: cython.int
        place: cython.long = self.at
        for at in range(count):
            self.page[place] = packed[at] & 0xFF
            self.page[place + 1] = (packed[at] >> 8) & 0xFF
            self.page[place + 2] = (packed[at] >> 16) & 0xFF
            self.page[place + 3] = packed[at] >> 24
            place += 4
        self.at = place

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def number(self, number: cython.ulong) -> cython.void:
        """Write a ULEB128."""
        while number >= 0x80:
            self.page[self.at] = (number & 0x7F) | 0x80
            self.at += 1
            number >>= 7
        self.page[self.at] = number
        self.at += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def zigzag(self, number: cython.ulong) -> cython.void:
        """Write a signed number, of whose bits `number` is made."""
        self.number(((number << 1) & _U64) ^ (_U64 if number & _SIGN else 0))
