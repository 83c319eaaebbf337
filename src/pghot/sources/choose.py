"""Which live sources to use on a host, and why, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.linux.mem_events import find_mem_events
from pghot.sources import hardware, hint_faults


class Choice(NamedTuple):
    """The names of the sources to open, and the line that says why these."""

    names: tuple[str, ...]
    reason: str


def choose(host: Host, wanted: Sequence[str] = ()) -> Choice:
    """Take the sources that are `wanted`, or all that the host has where none is named.

    InputError for a name that is none; PghotError where a wanted one is not there, or
    where the host has none.  Whether the kernel lets us open them shows when it is done.
    """
    missing = {hint_faults.NAME: hint_faults.why_not(host), hardware.NAME: hardware.why_not(host)}
    for name in wanted:
        if name not in missing:
            raise InputError(f"{name!r}: no source; there are {', '.join(missing)}")
        if missing[name]:
            raise PghotError(f"source {name}: {missing[name]}")
    names = tuple(name for name in missing if not missing[name] and (not wanted or name in wanted))
    if not names:
        raise PghotError(
            f"nothing shows accesses here: no hint faults: {missing[hint_faults.NAME]}; "
            f"no hardware sampling: {missing[hardware.NAME]}"
        )
    return Choice(names, "; ".join(_say(host, name, names, missing[name]) for name in missing))


def _say(host: Host, name: str, names: Sequence[str], missing: str | None) -> str:
    title = {hint_faults.NAME: "hint faults", hardware.NAME: "hardware sampling"}[name]
    if missing:
        return f"no {title}: {missing}"
    if name not in names:
        return f"no {title}: not asked for"
    if name == hint_faults.NAME:
        return f"{title}: NUMA balancing in tiering mode"
    return f"{title}: " + " and ".join(events.what for events in find_mem_events(host))
