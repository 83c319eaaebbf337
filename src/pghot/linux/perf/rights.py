"""What perf_event_open(2) asks of a process, where it was refused.

Documentation/admin-guide/perf-security.rst; Debian's and Ubuntu's kernels take
perf_event_paranoid above 2, where they refuse all who have no CAP_SYS_ADMIN.
"""

from __future__ import annotations

from pghot.linux.guard.lockdown import lockdown
from pghot.linux.host import Host
from pghot.linux.processes.capabilities import read_rights

PARANOID = "/proc/sys/kernel/perf_event_paranoid"
LOWER = "sudo sysctl kernel.perf_event_paranoid=0"
PATCHED = 3
"""The least value that only a patched kernel tells from 2."""


def perf_advice(host: Host) -> str:
    """What is in the way, and what would let perf events be opened."""
    return ": ".join(filter(None, why_refused(host)))


def why_refused(host: Host) -> tuple[str, str]:
    """What is in the way, and the command that would mend it."""
    rights = read_rights(host)
    shown = host.text_or(PARANOID, "?")
    paranoid = int(shown) if shown.lstrip("-").isdecimal() else 0
    if rights.has("CAP_SYS_ADMIN", "CAP_PERFMON") and lockdown(host) == "confidentiality":
        return "kernel lockdown (confidentiality) refuses them to root as well", ""
    if rights.has("CAP_SYS_ADMIN"):
        return (
            "perf_event_open is refused though CAP_SYS_ADMIN is there: a container's seccomp?",
            "run pghot outside of the container",
        )
    if paranoid >= PATCHED and rights.has("CAP_PERFMON"):
        why = "this kernel (a patch of Debian's and Ubuntu's) wants CAP_SYS_ADMIN, not CAP_PERFMON"
        mend = "sudo sysctl kernel.perf_event_paranoid=2"
        return f"perf_event_paranoid is {shown}: from {PATCHED} on {why}", mend
    if rights.has("CAP_PERFMON"):
        return (
            "perf_event_open is refused though CAP_PERFMON is there: a container's seccomp?",
            "run pghot outside of the container",
        )
    return f"no CAP_PERFMON, and perf_event_paranoid is {shown}", LOWER
