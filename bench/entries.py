"""Entries of a file of 64-bit words (as pagemap and kpageflags are) that lie far apart.

The yardstick is a call of pread from Python for each.  The file is an ordinary one in memory:
what the kernel itself does for an entry of /proc comes on top, for both.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from _measure import interleave, options, rows, show
from pghot.linux.pages.entries import ENTRY, EntryFile

LENGTH = 1 << 22


def main() -> None:
    args = options(__doc__)
    count = 2_000 if args.quick else 50_000
    random = np.random.default_rng(1)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "entries")
        path.write_bytes(np.arange(LENGTH, dtype=np.uint64).tobytes())
        descriptor = os.open(path, os.O_RDONLY)
        with EntryFile(path) as file:
            for apart in (4, 64):
                steps = random.integers(1, 2 * apart, count)
                wanted = np.cumsum(steps).astype(np.uint64)
                offsets = (wanted * np.uint64(ENTRY)).tolist()

                def one_by_one(offsets: list[int] = offsets) -> None:
                    for offset in offsets:
                        os.pread(descriptor, ENTRY, offset)

                def gathered(wanted: np.ndarray = wanted) -> None:
                    file.gather(wanted)

                timing = interleave({"pread each": one_by_one, "gather": gathered}, 5)
                found += rows(f"{apart} apart", timing, count, {"gather": "pread each"})
        os.close(descriptor)
    show("entries of 64 bits, ns an entry", found, as_json=args.json)


if __name__ == "__main__":
    main()
