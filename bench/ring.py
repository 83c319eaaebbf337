"""Draining a perf ring, against a plain read of the same bytes.

The yardstick sums up the ring's words in order: no decoder can be faster, for it has to
read them first.  A decoder also writes almost as much as it reads: `spread` is a loop that
knows where each sample is and does nothing but copy its fields to the same columns.
"""

from __future__ import annotations

import struct

import numpy as np

from _measure import interleave, options, rows, show
from _yardstick import sequential_sum, spread
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.attr import Sample
from pghot.linux.perf.ring_decode import RingViews, decode
from pghot.linux.perf.sample_layout import sample_layout

KINDS = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.PHYS_ADDR
CASES = {"hint fault": KINDS, "hardware sample": KINDS | Sample.DATA_SRC}


def main() -> None:
    args = options(__doc__)
    found = []
    for pages in (64,) if args.quick else (64, 1024, 16384):
        for case, kinds in CASES.items():
            found += measure(f"{case}, {pages} pages", kinds, pages, args.quick)
    show("draining a ring, ns a sample", found, as_json=args.json)


def measure(case, kinds, pages, quick):
    layout = sample_layout(kinds)
    words = made(pages, layout)
    views = RingViews(words, words.view(np.int32), words.view(np.uint16))
    samples = len(words) // layout.words
    end = samples * layout.words * 8
    into = Drained(samples)
    offsets = (layout.time, layout.addr, layout.phys, layout.data_src, layout.tid)
    fields = np.array([at for at in offsets if at >= 0], np.int32)
    passes = max(1, (64 if quick else 16384) // pages)

    def drain():
        for _ in range(passes):
            into.reset()
            decode(views, 0, end, layout, into.sample_room, into.task_room, into.tally)

    def read():
        for _ in range(passes):
            sequential_sum(words)

    def copy():
        for _ in range(passes):
            spread(words, layout.words, fields)

    timing = interleave({"read": read, "spread": copy, "drain": drain}, 9)
    assert into.count("samples") == samples  # noqa: S101
    return rows(case, timing, samples * passes, {"spread": "read", "drain": "read"})


def made(pages, layout):
    """The words of a ring full of samples of random content."""
    words = np.random.default_rng(1).integers(0, 1 << 63, pages * 512, dtype=np.uint64)
    header = struct.unpack("=Q", struct.pack("=IHH", 9, 2, layout.words * 8))[0]
    words[:: layout.words] = header
    return words


if __name__ == "__main__":
    main()
