"""Which nodes a process may have its memory on: its cpuset, and the policies of its mappings.

/proc/PID/status, Mems_allowed_list; /proc/PID/numa_maps (mm/mempolicy.c, mpol_to_str()).
move_pages heeds the cpuset and no policy.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.lists import parse_list
from pghot.linux.host import Host

_MEMS = re.compile(r"^Mems_allowed_list:\s*(\S+)$", re.MULTILINE)
_POLICY = re.compile(
    r"^([0-9a-f]{1,16}) (bind|prefer \(many\)|prefer|weighted interleave|interleave)"
    r"(?:=[a-z|]+)*:([0-9,-]+)(?= |$)",
    re.MULTILINE | re.ASCII,
)
_START = re.compile(r"^([0-9a-f]{1,16}) ", re.MULTILINE | re.ASCII)

Nodes = frozenset[int]


class Policies(NamedTuple):
    """The mappings of a process: first addresses, ascending, and of each which of `sets` holds.

    -1: no policy names nodes.
    """

    starts: npt.NDArray[np.uint64]
    which: npt.NDArray[np.int64]
    sets: tuple[Nodes, ...]

    def of(self, vaddrs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Which of `sets` holds at each address; -1 none."""
        if not self.sets:
            return np.full(len(vaddrs), -1, np.int64)
        at = np.searchsorted(self.starts, vaddrs, side="right") - 1
        return np.where(at >= 0, self.which[np.maximum(at, 0)], -1)


NO_POLICIES = Policies(np.zeros(0, np.uint64), np.zeros(0, np.int64), ())


def mems_of(status: str) -> Nodes | None:
    """The nodes of the cpuset, by the text of a process's status; None where it has none."""
    match = _MEMS.search(status)
    try:
        return frozenset(parse_list(match[1])) if match else None
    except ValueError:
        return None


def read_policies(host: Host, pid: int) -> Policies:
    """The policies of a process that name nodes; the kernel walks its page tables for this."""
    return parse_policies(host.text_or(f"/proc/{pid}/numa_maps"))


def parse_policies(text: str) -> Policies:
    """The policies of the text of numa_maps; what makes no sense names no nodes."""
    named = {}
    for match in _POLICY.finditer(text):
        try:
            named[int(match[1], 16)] = frozenset(parse_list(match[3]))
        except ValueError:
            continue
    if not named:
        return NO_POLICIES
    starts = sorted({int(match[1], 16) for match in _START.finditer(text)})
    sets = tuple(dict.fromkeys(named.values()))
    which = [sets.index(named[start]) if start in named else -1 for start in starts]
    return Policies(np.array(starts, np.uint64), np.array(which, np.int64), sets)
