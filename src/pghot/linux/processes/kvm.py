"""Guests of KVM: their accesses go through page tables of KVM's own.

A hint fault that KVM takes for a guest (get_user_pages() of hva_to_pfn()) counts as no fault of
the process, so perf shows none of it; hardware samples show a guest's accesses by physical
address.
"""

from __future__ import annotations

import re

from pghot.linux.host import Host

DEVICE = "/dev/kvm"
GUESTS = "/sys/kernel/debug/kvm"
UNSEEN = "hint faults do not show what a KVM guest accesses; hardware samples do"


def guests(host: Host) -> tuple[int, ...]:
    """The pids of the processes that have a guest, as far as debugfs lets them be seen."""
    try:
        names = host.names(GUESTS)
    except OSError:  # debugfs is root's
        return ()
    matches = (re.fullmatch(r"([0-9]{1,9})-[0-9]+", name) for name in names)
    return tuple(sorted({int(match[1]) for match in matches if match}))
