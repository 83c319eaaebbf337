"""How fast a curve is: rows a minute and core, and the memory that it takes.

Usage: bench/curve.py [ROWS [PAGES]], 10,000,000 rows over 1,000,000 pages by default.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pghot

PIECE = 1 << 20


def write_log(path: Path, rows: int, pages: int) -> None:
    """Write a log of a skewed load, Zipf 0.9."""
    rng = np.random.default_rng(1)
    heat = np.cumsum(1 / np.arange(1, pages + 1) ** 0.9)
    place = rng.permutation(pages).astype(np.uint64)
    with pghot.create_log(path, pghot.Metadata()) as writer:
        for start in range(0, rows, PIECE):
            count = min(PIECE, rows - start)
            writer.write(
                {
                    "time_us": np.arange(start, start + count, dtype=np.uint64),
                    "pfn": place[np.searchsorted(heat / heat[-1], rng.random(count))],
                    "nid": np.zeros(count, np.int16),
                    "source": np.ones(count, np.int8),
                }
            )


def main(rows: int = 10_000_000, pages: int = 1_000_000) -> None:
    """Measure one curve."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.parquet")
        write_log(path, rows, pages)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        found = pghot.curve(path)
        spent = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{found!r}: {spent:.2f} s of CPU time, {spent / rows * 1e9:.0f} ns a row")
    pace = rows / spent * 60 / 1e6
    print(f"{pace:.0f} M rows a minute and core; {(after - before) >> 10} MiB more")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
