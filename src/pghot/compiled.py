"""Which of a loop's two forms is imported: compiled, or interpreted from the same source.

A module that says `import cython` holds loops.  The build compiles it to an object beside
it and writes down of which sources (BUILT).  Python would import any object that it finds
before the source; the finder here sees to it that none is used that was built from other
sources, as after an edit in an editable install, and that no loop runs interpreted unsaid.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from zlib import crc32

from pghot.errors import PghotError

TYPE_CHECKING = False  # known to type checkers; importing typing for it costs as much as the rest
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PACKAGE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib takes longer than all else here
BUILT = f"{PACKAGE}/_built.txt"
"""A line for each object: the module's name and `digest` of its sources."""

SUFFIX = ".abi3.so"
"""One object serves every CPython from 3.11 on: its stable ABI."""

CHOICE = "PGHOT_LOOPS"
"""Environment variable: `interpreted` leaves the objects alone."""

SLOWER = 300
"""About how many times as long interpreted loops take (bench/interpreted.py)."""

_AGAIN = "compile it again: scripts/setup in a checkout, or pip install"


class StaleError(PghotError):
    """An object was built from other sources than there are now, or cannot be loaded."""


class InterpretedError(PghotError):
    """A command needs compiled loops and there are none."""


def digest(source: bytes, declarations: bytes) -> str:
    """Sum of a loop's source and of all .pxd files, in hexadecimal: for accidents, not attacks."""
    return f"{crc32(source, crc32(declarations)):08x}"


def declarations(package: str = PACKAGE) -> bytes:
    """Names and contents of all .pxd files of the package, in the order of their names."""
    found = sorted(_declarations(package, ""))
    return b"\0".join(
        part for name in found for part in (name.encode(), _read(f"{package}/{name}"))
    )


def loops() -> str:
    """How loops run in this process: "compiled", or "interpreted" by choice or for want."""
    return "interpreted" if _FINDER.interpreted else "compiled"


def require(what: str) -> None:
    """Raise InterpretedError where loops are not compiled; `what` cannot do without."""
    if _FINDER.chosen:
        raise InterpretedError(f"{what} needs compiled loops, and {CHOICE} wants them interpreted")
    if _FINDER.interpreted:
        raise InterpretedError(
            f"{what} needs compiled loops, and here they are interpreted; "
            "install a C compiler and Python's headers, then install pghot again"
        )


class _Object(ExtensionFileLoader):
    """Loads an object; one that cannot be loaded is told in a line."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            return super().create_module(spec)
        except ImportError as error:
            raise StaleError(f"{error}; {_AGAIN}") from None


class _Finder:
    """Finds the modules of the package, each in the form that it is to have."""

    def __init__(self) -> None:
        self.chosen = os.environ.get(CHOICE) == "interpreted"
        self._built = {} if self.chosen else _read_built()
        self._declarations: bytes | None = None
        self._finders: dict[tuple[str, str], FileFinder] = {}
        self._told = False

    @property
    def interpreted(self) -> bool:
        return not self._built

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Spec of a module of the package; None leaves all others to Python."""
        if path is None or not name.startswith("pghot."):
            return None
        stem = "/".join((PACKAGE, *name.split(".")[1:]))
        if name in self._built:
            self._check(name, f"{stem}.py")
            return self._spec(name, stem, _Object, SUFFIX)
        if _holds_loops(f"{stem}.py"):
            if self._built:
                raise StaleError(f"{stem}.py has not been compiled; {_AGAIN}")
            self._tell()
        return self._spec(name, stem, SourceFileLoader, ".py")

    def _check(self, name: str, source: str) -> None:
        """Refuse an object that was built from other sources, or is gone."""
        if self._declarations is None:
            self._declarations = declarations()
        try:
            now = digest(_read(source), self._declarations)
        except FileNotFoundError:
            raise StaleError(f"{source} is not there, only what was compiled of it") from None
        if now != self._built[name]:
            raise StaleError(f"{source} has changed since it was compiled; {_AGAIN}")
        if not os.path.isfile(made := source.removesuffix(".py") + SUFFIX):  # noqa: PTH113
            raise StaleError(f"{made} is not there; {_AGAIN}")

    def _spec(self, name: str, stem: str, loader: type, suffix: str) -> ModuleSpec | None:
        """What Python's own finder would give, were there no other form of the module.

        Of each folder one finder: each lists it.
        """
        folder = stem.rpartition("/")[0]
        finder = self._finders.get((folder, suffix))
        if finder is None:
            finder = self._finders[folder, suffix] = FileFinder(folder, (loader, [suffix]))
        return finder.find_spec(name)

    def invalidate_caches(self) -> None:
        """Let go of what was listed, as importlib.invalidate_caches() asks for."""
        self._finders.clear()

    def _tell(self) -> None:
        """Warn once that loops run interpreted, unless that was asked for."""
        if self._told or self.chosen:
            return
        self._told = True
        print(
            f"pghot: loops are not compiled here and take some {SLOWER} times as long; "
            "with a C compiler and Python's headers, install pghot again",
            file=sys.stderr,
        )


def _holds_loops(source: str) -> bool:
    try:
        return b"\nimport cython\n" in _read(source)
    except OSError:
        return False


def _declarations(folder: str, prefix: str) -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".pxd"):
                found.append(prefix + entry.name)
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                found += _declarations(entry.path, f"{prefix}{entry.name}/")
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def _read_built() -> dict[str, str]:
    """Digests by module; none where nothing was compiled."""
    try:
        lines = _read(BUILT).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError:
        return {"": ""}  # there are objects, and none that could be trusted
    return {name: sum_ for name, _, sum_ in (line.partition(" ") for line in lines)}


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)
