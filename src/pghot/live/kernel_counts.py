"""What the kernel has moved itself: counters of /proc/vmstat."""

from __future__ import annotations

from pghot.linux.host import Host


def kernel_promoted(host: Host) -> int:
    """The pages that the kernel has promoted itself since boot."""
    return counted(host, "pgpromote_success")


def reclaim_demoted(host: Host) -> int:
    """The pages that reclaim has demoted since boot, whoever made it (pgdemote_kswapd)."""
    return counted(host, "pgdemote_")


def counted(host: Host, prefix: str) -> int:
    """The sum of the counters of /proc/vmstat whose names start so."""
    lines = host.text_or("/proc/vmstat").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(prefix))
