"""The live sources by name: those of this package, and those of others that are installed.

A new one here is a file beside this and a line in MODULES.  Elsewhere it is an entry point of
the group `pghot.sources`, a module with the same names (docs/policies.md, "A source"); it is
imported only when `--source` names it, for it runs as root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from pghot.engine.did_you_mean import perhaps
from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.log.schema import SOURCES
from pghot.sources import hardware, hint_faults
from pghot.sources.live_source import EXTERNAL, LiveSource

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "pghot.sources"


class SourceModule(Protocol):
    """What the module of a source has."""

    NAME: str
    """What `--source` calls it."""

    TITLE: str
    """What a sentence calls it: "hint faults"."""

    REPORTS_AS: str
    """The source of its accesses in a log and in the engine: a key of `log.schema.SOURCES`."""

    def why_not(self, host: Host) -> str | None:
        """Why it is not to be had on this host, in a line; None where it is."""

    def uses(self, host: Host) -> str:
        """What of the host it goes by, in a few words."""
        ...

    def open_source(self, host: Host, *, follow: bool) -> LiveSource:
        """Open it, stopped; with `follow` it tells of forks, execs and exits too.

        PghotError, one line, where the host refuses.
        """
        ...


MODULES = {
    module.NAME: cast("SourceModule", module) for module in (hint_faults, hardware)
}  # a module has no self


def is_external(name: str) -> bool:
    """Whether a source is a socket that others write to."""
    return name.partition(":")[0] == EXTERNAL


def find(name: str) -> SourceModule:
    """The source of this name; `external:PATH` is one a socket.

    InputError where there is none, or where another package's cannot be loaded.
    """
    if name in MODULES:
        return MODULES[name]
    if is_external(name):
        from pghot.sources import external  # noqa: PLC0415 - few runs have one

        return external.External(name.partition(":")[2])
    from importlib.metadata import entry_points  # noqa: PLC0415 - a run wants it for others alone

    others = {point.name: point for point in entry_points(group=GROUP)}
    if name not in others:
        known = [*MODULES, f"{EXTERNAL}:PATH", *others]
        near = perhaps(name, known)
        raise InputError(f"{name!r}: no source; {near}there are {', '.join(known)}")
    return _load(others[name])


def _load(point: EntryPoint) -> SourceModule:
    package = point.dist.name if point.dist is not None else point.module
    where = f"source {point.name} of {package}"
    try:
        module: SourceModule = point.load()
    except Exception as error:  # whatever a module of another package may raise
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    wanted = ("NAME", "TITLE", "REPORTS_AS", "why_not", "uses", "open_source")
    missing = [name for name in wanted if not hasattr(module, name)]
    if missing:
        raise InputError(f"{where}: {point.value} has no {', '.join(missing)}")
    if module.REPORTS_AS not in SOURCES:
        reports = f"REPORTS_AS is {module.REPORTS_AS!r}, not one of {', '.join(SOURCES)}"
        raise InputError(f"{where}: {reports}")
    return module
