"""What a process has mapped where: /proc/PID/maps, proc_pid_maps(5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pghot.linux.host import Host

_NO_RIGHTS = "---"
"""Mapped to keep others away: nothing is ever accessed there."""


class Mapping(NamedTuple):
    """Addresses from `start` up to `end`, and the file or what the kernel calls it."""

    start: int
    end: int
    name: str


def mappings_of(host: Host, pid: int) -> Iterator[Mapping]:
    """The mappings of a process, by address; none where it is gone or may not be read."""
    for line in host.text_or(f"/proc/{pid}/maps").splitlines():
        fields = line.split(maxsplit=5)
        start, dash, end = fields[0].partition("-") if fields else ("", "", "")
        if dash and len(fields) >= 5 and not fields[1].startswith(_NO_RIGHTS):
            yield Mapping(int(start, 16), int(end, 16), fields[5] if len(fields) > 5 else "")
