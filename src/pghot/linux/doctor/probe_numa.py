"""Probes of NUMA balancing, its scan, the nodes, and what makes room on a full fast node.

Documentation/admin-guide/sysctl/kernel.rst, mm/memory-tiers.c, mm/vmscan.c.
"""

from __future__ import annotations

import os

from pghot.engine.lists import format_list
from pghot.errors import InputError, PghotError
from pghot.linux.doctor.checks import SUDO, Check, missing, note, works
from pghot.linux.guard.settings import NUMA_BALANCING, RATE_LIMIT, SCAN, SCAN_SYSCTL
from pghot.linux.host import Host
from pghot.linux.nodes.topology import DEMOTION, Topology, read_topology
from pghot.linux.processes.capabilities import Rights

DEBUGFS = "/sys/kernel/debug"
_BALANCING = "NUMA balancing"
_SCAN_PACE = "pace of the scan (debugfs)"
_SLOW = "a slow node"


def probe_balancing(host: Host, rights: Rights) -> Check:
    """Look for NUMA balancing with a tiering mode: the sysctls, and the right to set them."""
    if not host.exists(NUMA_BALANCING):
        detail = "this kernel has none (CONFIG_NUMA_BALANCING)"
        return missing(_BALANCING, detail, "", "fault")
    if not host.exists(RATE_LIMIT):
        detail = f"this kernel's has no tiering mode (no {RATE_LIMIT})"
        return missing(_BALANCING, detail, "", "fault")
    now = f"numa_balancing is {host.text_or(NUMA_BALANCING, '?')}"
    if not rights.may_set_sysctls:
        detail = f"{now}; only root with CAP_SYS_ADMIN may set it"
        return missing(_BALANCING, detail, SUDO, "fault")
    if not os.access(host.path(NUMA_BALANCING), os.W_OK):
        detail = f"{now}; /proc/sys is mounted read-only: a container?"
        return missing(_BALANCING, detail, "run pghot outside of the container", "fault")
    limit = host.text_or(RATE_LIMIT, "?")
    detail = f"{now}, its promotion limit {limit} MB/s; a run sets 2 and 0 and puts both back"
    return works(_BALANCING, detail, "fault")


def probe_scan(host: Host) -> Check:
    """Look for the settings of how fast NUMA balancing scans: they help, no more."""
    if host.exists(f"{SCAN_SYSCTL}scan_period_min_ms"):
        return works("pace of the scan", "sysctls kernel.numa_balancing_scan_*")
    name = f"{SCAN}/scan_period_min_ms"
    try:
        return works(_SCAN_PACE, f"scan_period_min_ms is {host.text(name)}")
    except FileNotFoundError:
        if _is_mounted(host):
            return missing(_SCAN_PACE, f"this kernel has no {SCAN}")
        return missing(
            _SCAN_PACE, "debugfs is not mounted", f"sudo mount -t debugfs none {DEBUGFS}"
        )
    except OSError as error:
        return missing(_SCAN_PACE, f"{DEBUGFS}: {error.strerror or error}", SUDO)


def _is_mounted(host: Host) -> bool:
    lines = (line.split() for line in host.text_or("/proc/mounts").splitlines())
    return any(fields[1:3] == [DEBUGFS, "debugfs"] for fields in lines)


def probe_nodes(host: Host, tiers: str | None) -> list[Check]:
    """Look for a slow node and a fast one; InputError where `tiers` is wrong."""
    try:
        topology = read_topology(host, tiers)
    except InputError:
        raise
    except PghotError as error:
        return [missing(_SLOW, str(error), "", "step")]
    return [_slow(topology), _room(host, topology)]


def _slow(topology: Topology) -> Check:
    if topology.slow and topology.fast:
        slow, fast = format_list(topology.slow), format_list(topology.fast)
        return works(_SLOW, f"slow: {slow}; fast: {fast}", "step")
    if topology.slow:
        return missing(_SLOW, "no fast node has memory", "pghot doctor --tiers FAST/SLOW", "step")
    if topology.suggested_tiers:
        detail = "the kernel takes every node for top tier; some have no CPUs"
        return missing(_SLOW, detail, f"pghot doctor --tiers {topology.suggested_tiers}", "step")
    if len(topology.fast) > 1:
        detail = "all memory is top tier; where you know better, say it"
        return missing(_SLOW, detail, "pghot doctor --tiers FAST/SLOW", "step")
    return missing(_SLOW, "one node only", "pghot demo", "step")


def _room(host: Host, topology: Topology) -> Check:
    """What makes room where the fast node is full."""
    name = "room on a full fast node"
    swap = len(host.text_or("/proc/swaps").splitlines()) > 1
    if topology.demotion:
        return works(name, "cold pages are demoted")
    if topology.demotion is None:
        return note(name, f"this kernel cannot demote; swap is {'on' if swap else 'off'}")
    detail = f"demotion is off, swap is {'on' if swap else 'off'}"
    if not swap:
        detail += ": anonymous pages stay where they are, and promotion ends when it is full"
    return note(name, detail, f"echo true | sudo tee {DEMOTION}")
