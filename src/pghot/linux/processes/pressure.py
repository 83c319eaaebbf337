"""Pressure stall information of memory: how long tasks stood still for want of it.

Documentation/accounting/psi.rst.  It counts time in reclaim, refaults and swapping; an access
to slow memory is no stall, so what promotion wins does not show here, and what it costs may.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.processes.cgroups import find_cgroup

OF_THE_HOST = "/proc/pressure/memory"
OF_A_GROUP = "memory.pressure"

_LINE = re.compile(r"^(some|full) .*\btotal=(\d+)$", re.MULTILINE)


class Pressure(NamedTuple):
    """Microseconds so far in which some task stood still for memory, and in which all did."""

    some_us: int
    full_us: int


def pressure_file(host: Host, cgroup: str | None = None) -> str | None:
    """The file of a control group where it has one, else the host's; None where neither is.

    CONFIG_PSI=n has no file, and psi=0 on the kernel's command line one that cannot be read.
    """
    names = [OF_THE_HOST]
    if cgroup is not None:
        with suppress(InputError):  # it has gone
            names.insert(0, f"{find_cgroup(host, cgroup)}/{OF_A_GROUP}")
    return next((name for name in names if read_pressure(host, name)), None)


def read_pressure(host: Host, name: str) -> Pressure | None:
    """What a file says; None where it cannot be read or says nothing of `some`."""
    totals = {kind: int(total) for kind, total in _LINE.findall(host.text_or(name))}
    return Pressure(totals["some"], totals.get("full", 0)) if "some" in totals else None
