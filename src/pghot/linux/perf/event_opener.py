"""Opening perf events on a CPU, as precise as its PMU can be."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace

from pghot.linux.host import Host
from pghot.linux.perf.attr import EventAttr, Flag

EVERY_PROCESS = -1
MIN_PRECISE_IP = 2
"""An event whose precise_ip is more is asked for less, down to this, where refused."""


class EventOpener:
    """Opens events on one CPU; what was refused as too precise once is not asked for again."""

    def __init__(self, host: Host, cpu: int) -> None:
        self._host = host
        self._cpu = cpu
        self._precise: dict[int, int] = {}

    def open(self, event: EventAttr, task: int, leader: int) -> int:
        """The descriptor of an event for a task (a thread id, or EVERY_PROCESS); OSError.

        Less precise where the PMU has nothing more precise to offer; `leader` -1 begins a group.
        """
        if task != EVERY_PROCESS:
            event = replace(event, flags=event.flags | Flag.INHERIT)
        precise = min(event.precise_ip, self._precise.get(event.type, event.precise_ip))
        while True:
            attr = replace(event, precise_ip=precise).pack()
            try:
                descriptor = self._host.perf_event_open(attr, task, self._cpu, leader)
            except OSError as error:
                less = error.errno in {errno.EINVAL, errno.EOPNOTSUPP}
                if not less or precise <= MIN_PRECISE_IP:
                    raise
                precise -= 1
                continue
            if precise < event.precise_ip:
                self._precise[event.type] = precise
            return descriptor


def refusal(host: Host, group: Sequence[EventAttr], cpu: int) -> int:
    """Open a group on a CPU for all tasks, without a ring, and close it: 0, or the errno."""
    opener, descriptors = EventOpener(host, cpu), list[int]()
    try:
        for event in group:
            leader = descriptors[0] if descriptors else -1
            descriptors.append(opener.open(event, EVERY_PROCESS, leader))
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return 0
