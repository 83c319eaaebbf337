"""Which live sources to use on a host, and why, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.sources.live_source import EXTERNAL
from pghot.sources.registry import MODULES, SourceModule, find, is_external


class Choice(NamedTuple):
    """The names of the sources to open, and the line that says why these."""

    names: tuple[str, ...]
    reason: str


def choose(
    host: Host, wanted: Sequence[str] = (), lacking: Mapping[str, str] = MappingProxyType({})
) -> Choice:
    """Take the sources that are `wanted`, or all of this package's that the host has.

    `lacking` are sources that are not to be had for another reason than their own.

    Another package's is looked for only where it is wanted.  InputError for a name that is
    none; PghotError where a wanted one is not there, or where the host has none.  Whether
    the kernel lets us open them shows when it is done.
    """
    modules = MODULES | {name: find(name) for name in wanted}
    missing = {name: module.why_not(host) or lacking.get(name) for name, module in modules.items()}
    for name in wanted:
        if missing[name]:
            raise PghotError(f"source {name}: {missing[name]}")
    names = tuple(name for name in modules if not missing[name] and (not wanted or name in wanted))
    if not names:
        reasons = (f"no {modules[name].TITLE}: {why}" for name, why in missing.items())
        raise PghotError(f"nothing shows accesses here: {'; '.join(reasons)}")
    _check_reports([modules[name] for name in names])
    return Choice(
        names,
        "; ".join(_say(host, modules[name], names, missing[name]) for name in modules),
    )


def _check_reports(modules: Sequence[SourceModule]) -> None:
    """InputError where the figures of two sources would be one.

    What comes from outside is hardware hints too, and has figures of its own.
    """
    by_report: dict[str, str] = {}
    for module in modules:
        report = EXTERNAL if is_external(module.NAME) else module.REPORTS_AS
        other = by_report.setdefault(report, module.NAME)
        if other != module.NAME:
            raise InputError(
                f"--source: {other} and {module.NAME} both report as {report}; name one"
            )


def _say(host: Host, module: SourceModule, names: Sequence[str], missing: str | None) -> str:
    if missing:
        return f"no {module.TITLE}: {missing}"
    if module.NAME not in names:
        return f"no {module.TITLE}: not asked for"
    return f"{module.TITLE}: {module.uses(host)}"
