"""What this process may do: effective user and capabilities, from /proc/self/status."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pghot.linux.host import Host

_BITS = {
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_NICE": 23,
    "CAP_PERFMON": 38,
}
"""Bit numbers: include/uapi/linux/capability.h."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Effective user id and the effective capabilities that matter here."""

    uid: int
    capabilities: frozenset[str]

    def has(self, *names: str) -> bool:
        """Whether one of these capabilities is there."""
        return not self.capabilities.isdisjoint(names)

    @property
    def may_set_sysctls(self) -> bool:
        """Whether kernel.numa_balancing may be written.

        By user 0 (fs/proc/proc_sysctl.c, test_perm()) that also has CAP_SYS_ADMIN
        (kernel/sched/core.c, sysctl_numa_balancing()).
        """
        return self.uid == 0 and self.has("CAP_SYS_ADMIN")


def read_rights(host: Host) -> Rights:
    """What this process may do; nothing where the host does not tell."""
    status = host.text_or("/proc/self/status")
    uid = re.search(r"^Uid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    effective = re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.MULTILINE)
    mask = int(effective[1], 16) if effective else 0
    return Rights(
        int(uid[1]) if uid else -1,
        frozenset(name for name, bit in _BITS.items() if mask >> bit & 1),
    )
