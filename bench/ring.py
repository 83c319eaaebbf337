"""Draining a perf ring, against a plain read of the same bytes.

The yardstick sums up the ring's words in order: no decoder can be faster, for it has to
read them first.  A decoder also writes almost as much as it reads: `spread` is a loop that
knows where each sample is and does nothing but copy its fields to the same columns.
"""

from __future__ import annotations

import struct

import numba
import numpy as np

from _measure import interleave, options, rows, sequential_sum, show
from pghot.linux.perf_arrays import Drained
from pghot.linux.perf_attr import Sample
from pghot.linux.ring_decode import RingViews, decode
from pghot.linux.sample_layout import sample_layout

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
            spread(views, samples, layout, into.sample_room)

    timing = interleave({"read": read, "spread": copy, "drain": drain}, 9)
    assert into.count("samples") == samples  # noqa: S101
    return rows(case, timing, samples * passes, {"spread": "read", "drain": "read"})


@numba.njit
def spread(views, samples, layout, room):
    """Copy the fields of samples that follow each other, none of them wrapped."""
    for row in range(samples):
        at = row * layout.words
        room.time_ns[row] = views.words[at + layout.time]
        room.addr[row] = views.words[at + layout.addr]
        room.phys[row] = views.words[at + layout.phys]
        room.data_src[row] = views.words[at + layout.data_src]
        room.pid[row] = views.halves[2 * (at + layout.tid)]
        room.tid[row] = views.halves[2 * (at + layout.tid) + 1]
        room.cpu[row] = views.halves[2 * (at + layout.cpu)]


def made(pages, layout):
    """Give the words of a ring full of samples of random content."""
    words = np.random.default_rng(1).integers(0, 1 << 63, pages * 512, dtype=np.uint64)
    header = struct.unpack("=Q", struct.pack("=IHH", 9, 2, layout.words * 8))[0]
    words[:: layout.words] = header
    return words


if __name__ == "__main__":
    main()
