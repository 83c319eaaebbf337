"""Owners of pages of a live run: what remembering and looking up takes, and memory.

Beside them two arrays with an item for each page of the machine, which take twelve bytes a
page: what owners were before.  Accesses fall on one page in 64, as many as owners are kept of.
"""

from __future__ import annotations

import numpy as np

from _measure import MI, interleave, one_core, options, rows, show
from pghot.live.rmap import Rmap

ACCESSES = MI
APART = 64


def main() -> None:
    args = options(__doc__)
    one_core()
    found = []
    more = {}
    for mebi in (2, 16) if args.quick else (2, 64, 256):
        pages = mebi * MI
        rng = np.random.default_rng(1)
        places = rng.integers(0, pages // APART, ACCESSES) * APART
        pids = np.ones(ACCESSES, np.int32)
        vaddrs = places.astype(np.uint64) << np.uint64(12)
        owners = Rmap(pages)
        pid, vaddr = np.zeros(pages, np.int32), np.zeros(pages, np.uint64)

        def write(places=places, pids=pids, vaddrs=vaddrs, pid=pid, vaddr=vaddr) -> None:
            pid[places], vaddr[places] = pids, vaddrs

        work = {
            "arrays: write": write,
            "owners: see": lambda o=owners, p=places, i=pids, v=vaddrs: o.see(p, i, v),
            "arrays: read": lambda p=places, pid=pid, vaddr=vaddr: (pid[p], vaddr[p]),
            "owners: of": lambda o=owners, p=places: o.of(p),
        }
        timing = interleave(work, 3 if args.quick else 9)
        yardsticks = {"owners: see": "arrays: write", "owners: of": "arrays: read"}
        found += rows(f"{mebi} Mi pages", timing, ACCESSES, yardsticks)
        more[f"bytes a page, {mebi} Mi"] = round(owners.nbytes / pages, 2)
    show("owners of pages, an access", found, as_json=args.json, more=more)


if __name__ == "__main__":
    main()
