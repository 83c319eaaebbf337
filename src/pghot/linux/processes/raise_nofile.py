"""How many descriptors a live command may have: as many as its hard limit lets it."""

from __future__ import annotations

import resource
from contextlib import suppress

_BEFORE: list[tuple[int, int]] = []


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one; again does nothing."""
    with suppress(OSError, ValueError):  # a service's filter of system calls may not let it
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            _BEFORE.append((soft, hard))


def lower_limit() -> None:
    """Set the limit as it was before: a command may count on it (select(2))."""
    if _BEFORE:
        resource.setrlimit(resource.RLIMIT_NOFILE, _BEFORE[0])
