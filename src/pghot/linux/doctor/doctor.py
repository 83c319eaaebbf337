"""Whether `pghot run` could work here, and if not, what is missing.  Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pghot.linux.doctor.checks import Check
from pghot.linux.doctor.probe_namespaces import probe_namespaces
from pghot.linux.doctor.probe_numa import probe_balancing, probe_guests, probe_nodes, probe_scan
from pghot.linux.doctor.probe_pages import probe_move_pages, probe_page_facts, probe_pfns
from pghot.linux.doctor.probe_perf import (
    probe_descriptors,
    probe_faults,
    probe_hardware,
    probe_rate,
    probe_rings,
)
from pghot.linux.host import Host
from pghot.linux.processes.capabilities import read_rights

SOURCES = ("fault", "hardware")
"""What a run can take accesses from; it needs one of them."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which a run needs what they look at."""

    checks: tuple[Check, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of which nothing is missing."""
        lacking = {check.needed_by for check in self.checks if check.missing}
        return tuple(source for source in SOURCES if source not in lacking)

    @property
    def first_missing(self) -> Check | None:
        """The first missing thing without which no run can work, or None."""
        needed = {"step"} if self.sources else {"step", *SOURCES[:1]}
        return next((c for c in self.checks if c.missing and c.needed_by in needed), None)

    @property
    def can_run(self) -> bool:
        """Whether `pghot run` could work here."""
        return self.first_missing is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        first = self.first_missing
        return {
            "can_run": self.can_run,
            "first_missing": first.name if first else None,
            "sources": list(self.sources),
            "checks": [
                {"name": c.name, "state": c.state.value, "detail": c.detail, "fix": c.fix}
                for c in self.checks
            ],
        }


def diagnose(host: Host, tiers: str | None = None) -> Diagnosis:
    """Look at everything a run needs; InputError where `tiers` is wrong."""
    rights = read_rights(host)
    slow, *room = probe_nodes(host, tiers)
    return Diagnosis(
        (
            slow,
            probe_namespaces(host),
            probe_faults(host, rights),
            probe_balancing(host, rights),
            probe_scan(host),
            probe_hardware(host),
            probe_rings(host, rights),
            probe_descriptors(host),
            probe_rate(host),
            probe_pfns(host),
            *probe_page_facts(host),
            *probe_move_pages(host, rights),
            *room,
            *probe_guests(host),
        )
    )
