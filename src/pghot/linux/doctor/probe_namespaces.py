"""Probe of namespaces: whether pids, times and rights are those of the host."""

from __future__ import annotations

from pghot.errors import PghotError
from pghot.linux.doctor.checks import Check, missing, note, works
from pghot.linux.host import Host
from pghot.linux.processes.namespaces import check_namespaces, own_pids_note

_NAME = "namespaces"


def probe_namespaces(host: Host) -> Check:
    """Look whether a run would take pids, times or rights for others (a container)."""
    try:
        check_namespaces(host)
    except PghotError as error:
        return missing(_NAME, str(error), "", "step")
    if detail := own_pids_note(host):
        return note(_NAME, detail)
    return works(_NAME, "processes, times and rights are the host's", "step")
