"""A Python process with a hot part of a large dict on the slow node: run as a file.

    dict_load.py VALUES HOT NODE

The standard library is enough: it runs as any user, by any Python 3.  Says "uid N", "pid N",
"hot ADDRESS,..." and "cold ADDRESS,..." (of the pages that values begin in); at SIGTERM
compares every value with what must be there, says "values ok" or how many are wrong, and ends
with status 0 or 1.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys

PAGE = 4096
SET_MEMPOLICY = 238
MPOL_DEFAULT, MPOL_BIND = 0, 2


def main(values: int, hot: int, node: int) -> int:
    """Fill the dict, read the hot part until SIGTERM, compare all."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    set_mempolicy(MPOL_BIND, 1 << node)
    held = {}
    places = []
    for key in range(values):
        held[key] = value_of(key)
        places.append(id(held[key]))  # later it would be another access to each
    set_mempolicy(MPOL_DEFAULT, 0)
    chosen = set(random.Random(1).sample(range(values), hot))
    print("uid", os.getuid())
    print("pid", os.getpid())
    print("hot", pages(places[key] for key in chosen))
    print("cold", pages(places[key] for key in set(range(values)) - chosen), flush=True)
    order = sorted(chosen)
    total = 0
    while not stopped:
        for key in order:
            total += held[key][0]
    wrong = sum(value != value_of(key) for key, value in held.items())
    print(f"values wrong {wrong}" if wrong else "values ok", flush=True)
    return int(wrong > 0)


def value_of(key):
    """Make a value of somewhat less than a page."""
    return b"%08d" % key * 500


def pages(places):
    """The pages of addresses, each once."""
    return ",".join(str(page) for page in sorted({place // PAGE * PAGE for place in places}))


def set_mempolicy(mode, nodes):
    """Say where new memory comes from (set_mempolicy(2), x86-64)."""
    mask = ctypes.c_ulong(nodes)
    if ctypes.CDLL(None, use_errno=True).syscall(SET_MEMPOLICY, mode, ctypes.byref(mask), 64):
        raise OSError(ctypes.get_errno(), "set_mempolicy")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
