"""Probes of NUMA balancing, its scan, the nodes, and what makes room on a full fast node.

Documentation/admin-guide/sysctl/kernel.rst, mm/memory-tiers.c, mm/vmscan.c.
"""

from __future__ import annotations

import errno
import os

from pghot.engine.lists import format_list
from pghot.errors import InputError, PghotError
from pghot.linux.doctor.checks import SUDO, Check, missing, note, works
from pghot.linux.guard.balancing import balancing_mode
from pghot.linux.guard.lockdown import lockdown
from pghot.linux.guard.settings import NUMA_BALANCING, RATE_LIMIT, SCAN, SCAN_SYSCTL
from pghot.linux.host import Host
from pghot.linux.nodes.topology import DEMOTION, NumaNode, Topology, read_topology
from pghot.linux.nodes.two_tiers import (
    MENDS_TIER,
    lacks_tiers,
    no_hint_faults,
    offline_blocks,
    online_command,
)
from pghot.linux.processes.capabilities import Rights
from pghot.linux.processes.kvm import DEVICE, UNSEEN, guests

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
    sets = balancing_mode(host)
    detail = f"{now}, its promotion limit {limit} MB/s; a run sets {sets} and 0 and puts both back"
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
        locked = lockdown(host)
        if locked and error.errno == errno.EPERM:
            detail = f"kernel lockdown ({locked}, as with Secure Boot) keeps debugfs shut"
            return missing(_SCAN_PACE, f"{detail}: a run goes on at the kernel's own pace")
        return missing(_SCAN_PACE, f"{DEBUGFS}: {error.strerror or error}", SUDO)


def probe_guests(host: Host) -> list[Check]:
    """Say what is not seen of KVM's guests, where there may be some."""
    if not host.exists(DEVICE):
        return []
    pids = guests(host)
    whose = f"processes with a guest now: {', '.join(map(str, pids))}; " if pids else ""
    return [note("memory of KVM guests", f"{whose}{UNSEEN}")]


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
    return [
        _slow(topology),
        *_seen(topology),
        *(_offline(node) for node in topology.nodes if node.offline and node.pfns),
        *(note("tiers", line) for line in topology.contradictions),
        _room(host, topology),
    ]


def _slow(topology: Topology) -> Check:
    lacks = lacks_tiers(topology)
    if lacks:
        fix = f"pghot doctor --tiers {lacks.tiers}" if lacks.tiers else lacks.command
        return missing(_SLOW, lacks.what, fix, "step")
    slow, fast = format_list(topology.slow), format_list(topology.fast)
    gpus = format_list(node.id for node in topology.nodes if node.left_out)
    left_out = f"; left out, memory of GPUs: {gpus}" if gpus else ""
    return works(_SLOW, f"slow: {slow}; fast: {fast}{left_out}", "step")


def _seen(topology: Topology) -> list[Check]:
    """Whether the kernel takes hint faults on what is slow."""
    why = no_hint_faults(topology)
    return [missing("hint faults of slow memory", why, MENDS_TIER, "fault")] if why else []


def _offline(node: NumaNode) -> Check:
    return note("offline memory", offline_blocks(node), online_command(node.offline))


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
