"""Kernel lockdown, as with Secure Boot: what it keeps from root (kernel_lockdown(7)).

At `integrity` every open of a debugfs file that could be written gives EPERM (fs/debugfs/file.c,
debugfs_locked_down()); at `confidentiality` perf events with physical addresses and probes do
as well.
"""

from __future__ import annotations

import re

from pghot.linux.host import Host

LOCKDOWN = "/sys/kernel/security/lockdown"


def lockdown(host: Host) -> str:
    """`integrity` or `confidentiality`; empty where there is none, or it is not told."""
    match = re.search(r"\[(\w+)\]", host.text_or(LOCKDOWN))
    return "" if match is None or match[1] == "none" else match[1]
