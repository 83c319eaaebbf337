"""Numbers of four bits by index: half a byte a page, taken where it is touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import reaching, zeros

MOST = 15
"""The largest number."""

Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint8]

_LOW, _HIGH = np.uint8(0x0F), np.uint8(0xF0)


class Nibbles:
    """Numbers from 0 to MOST, 0 where none was set."""

    def __init__(self) -> None:
        self._bytes: Numbers = zeros(0, np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of address space; memory is taken where a number was set."""
        return self._bytes.nbytes

    def get(self, indices: Indices) -> Numbers:
        """The numbers of these indices."""
        found = np.zeros(len(indices), np.uint8)
        at = indices >> 1
        there = at < len(self._bytes)
        pairs = self._bytes[at[there]]
        found[there] = np.where(indices[there] & 1, pairs >> np.uint8(4), pairs & _LOW)
        return found

    def set(self, indices: Indices, numbers: Numbers) -> None:
        """Set the number of each index; of an index that comes twice, the last one stays."""
        if not len(indices):
            return
        self._bytes = reaching(self._bytes, int(indices.max()) >> 1)
        odd = (indices & 1).astype(np.bool_)
        for which, keep, shift in ((~odd, _HIGH, 0), (odd, _LOW, 4)):
            at = indices[which] >> 1
            self._bytes[at] = self._bytes[at] & keep | numbers[which] << np.uint8(shift)

    def clear(self, indices: Indices) -> None:
        """Set the numbers of these indices to 0, where there are any."""
        there = indices[indices >> 1 < len(self._bytes)]
        self.set(there, np.zeros(len(there), np.uint8))
