"""Which of a loop's two forms is imported: compiled, or interpreted from the same source.

A module that says `import cython` holds loops.  The build compiles it to an object beside
it and writes down of which sources (BUILT).  Python would import any object that it finds
before the source; the finder here sees to it that none is used that was built from other
sources, as after an edit in an editable install.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from zlib import crc32

from pghot.errors import PghotError

PACKAGE = Path(__file__).parent
BUILT = PACKAGE / "_built.txt"
"""A line for each object: the module's name and `digest` of its sources."""

SUFFIX = ".abi3.so"
"""One object serves every CPython from 3.11 on: its stable ABI."""

CHOICE = "PGHOT_LOOPS"
"""Environment variable: `interpreted` leaves the objects alone."""

SLOWER = 300
"""About how many times as long interpreted loops take (bench/interpreted.py)."""


class StaleError(PghotError):
    """An object was built from other sources than there are now."""


class InterpretedError(PghotError):
    """A command needs compiled loops and there are none."""


def digest(source: bytes, declarations: bytes) -> str:
    """Sum of a loop's source and of all .pxd files, in hexadecimal: for accidents, not attacks."""
    return f"{crc32(source, crc32(declarations)):08x}"


def declarations(package: Path = PACKAGE) -> bytes:
    """Contents of all .pxd files of the package, in the order of their names."""
    return b"\0".join(path.read_bytes() for path in sorted(package.rglob("*.pxd")))


def loops() -> str:
    """How loops run in this process: "compiled", or "interpreted" by choice or for want."""
    return "interpreted" if _FINDER.interpreted else "compiled"


def require(what: str) -> None:
    """Raise InterpretedError where loops are not compiled; `what` cannot do without."""
    if _FINDER.interpreted:
        raise InterpretedError(
            f"{what} needs compiled loops, and here they are interpreted; "
            "install a C compiler and Python's headers, then install pghot again"
        )


class _Finder:
    """Finds the modules that hold loops, and only these."""

    def __init__(self) -> None:
        self._built = _read_built()
        self._chosen = os.environ.get(CHOICE) == "interpreted"
        self._declarations: bytes | None = None
        self._told = False

    @property
    def interpreted(self) -> bool:
        return self._chosen or not self._built

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Spec of a module that holds loops; None leaves all others to Python."""
        if not name.startswith("pghot.") or path is None:
            return None
        if name in self._built and not self._chosen:
            self._check(name)
            return None
        if self._built and not self._chosen:
            return None
        source = _source(name)
        if not source.is_file() or not _holds_loops(source):
            return None
        self._tell()
        return spec_from_file_location(name, source, loader=SourceFileLoader(name, str(source)))

    def _check(self, name: str) -> None:
        """Refuse an object that was built from other sources."""
        if self._declarations is None:
            self._declarations = declarations()
        source = _source(name)
        if (
            source.is_file()
            and digest(source.read_bytes(), self._declarations) != self._built[name]
        ):
            raise StaleError(
                f"{source} has changed since it was compiled; compile it again: "
                "scripts/setup in a checkout, or pip install"
            )

    def _tell(self) -> None:
        """Say once that there are no objects, unless that was asked for."""
        if self._told or self._chosen:
            return
        self._told = True
        print(
            f"pghot: loops are not compiled here and take some {SLOWER} times as long; "
            "with a C compiler and Python's headers, install pghot again",
            file=sys.stderr,
        )


def _source(name: str) -> Path:
    return PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")


def _holds_loops(source: Path) -> bool:
    return b"\nimport cython\n" in source.read_bytes()


def _read_built() -> dict[str, str]:
    try:
        text = BUILT.read_text("ascii")
    except OSError:
        return {}
    return dict(line.split() for line in text.splitlines())


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)
