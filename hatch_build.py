"""Compiles the loops when the package is built (a build hook of Hatchling's).

Every module under src/pghot that says `import cython` becomes an extension module of
CPython's stable ABI, so that one wheel serves 3.11 and all later ones.  PGHOT_COMPILE=no
leaves the loops interpreted, =yes fails where they cannot be compiled; without either they
are compiled where there is a C compiler and Python's headers.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "pghot"
SOURCES = Path("src") / PACKAGE
SUFFIX = ".abi3.so"
ABI = "0x030B0000"
CYTHON = "cython>=3.1,<4"
"""What interpreted loops import; of compiled ones only the build needs it."""


class LoopsHook(BuildHookInterface):  # type: ignore[misc]  # Hatchling's plug-ins are untyped
    """Compiles loops in place for an editable install, or into a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what goes into the wheel; Hatchling calls this."""
        root = Path(self.root)
        objects = _objects(root)
        if version == "editable":
            _put_in_place(root, objects)
        else:
            self._put_in_wheel(root, objects, build_data)
        if not objects:
            build_data.setdefault("dependencies", []).append(CYTHON)

    def _put_in_wheel(
        self, root: Path, objects: dict[str, Path], build_data: dict[str, Any]
    ) -> None:
        if not objects:
            return
        built = self._scratch() / "_built.txt"
        built.write_text(_manifest(root, objects), "ascii")
        included = build_data["force_include"]
        included[str(built)] = f"{PACKAGE}/_built.txt"
        for name, path in objects.items():
            included[str(path)] = name.replace(".", "/") + SUFFIX
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"

    def _scratch(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="pghot-build-"))


def loop_modules(root: Path) -> dict[str, Path]:
    """Sources that hold loops, by the name of their module."""
    found = {}
    for path in sorted((root / SOURCES).rglob("*.py")):
        if "\nimport cython\n" in path.read_text("utf-8"):
            name = ".".join((PACKAGE, *path.relative_to(root / SOURCES).with_suffix("").parts))
            found[name] = path
    return found


def _objects(root: Path) -> dict[str, Path]:
    """Compiled loops by module; none where that is not wanted, or cannot be."""
    wish = os.environ.get("PGHOT_COMPILE")
    if wish == "no":
        return {}
    missing = _missing_tools()
    if missing and wish == "yes":
        raise RuntimeError(f"no {missing}: the loops cannot be compiled")
    if missing:
        print(f"no {missing}: the loops of pghot stay interpreted", file=sys.stderr)
        return {}
    return _compiled(root)


def _missing_tools() -> str | None:
    """What a compilation would lack: a compiler, or Python's headers."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and shutil.which("cc") is None:
        return "C compiler"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python.h (Debian and Ubuntu: python3-dev)"
    return None


def _compiled(root: Path) -> dict[str, Path]:
    """Objects of all loop modules, freshly compiled where their sources have changed."""
    from Cython.Build import cythonize  # noqa: PLC0415 - only where it compiles
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    modules = loop_modules(root)
    kept = root / "build" / "loops"
    flags = ["-O3", "-g0", "-fno-strict-overflow", "-Wno-unused-function"]
    extensions = [
        Extension(
            name,
            [str(path.relative_to(root))],
            define_macros=[("Py_LIMITED_API", ABI)],
            py_limited_api=True,
            extra_compile_args=flags,
            depends=[str(path) for path in sorted((root / SOURCES).rglob("*.pxd"))],
        )
        for name, path in modules.items()
    ]
    before = Path.cwd()
    os.chdir(root)  # Cython finds .pxd files from the package's own folder
    try:
        made = cythonize(
            extensions,
            build_dir=str(kept / "c"),
            include_path=["src"],
            nthreads=0,
            compiler_directives={
                "language_level": 3,
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": False,
                "freethreading_compatible": True,
                "warn.unreachable": False,
            },
            quiet=True,
        )
        command = build_ext(Distribution({"name": PACKAGE, "ext_modules": made}))
        command.build_temp, command.build_lib = str(kept / "o"), str(kept / "lib")
        command.parallel = os.cpu_count()
        command.ensure_finalized()
        command.run()
        return {
            extension.name: root / command.get_ext_fullpath(extension.name) for extension in made
        }
    finally:
        os.chdir(before)


def _put_in_place(root: Path, objects: dict[str, Path]) -> None:
    """Lay objects beside their sources and write down which; old ones go."""
    built = root / SOURCES / "_built.txt"
    built.unlink(missing_ok=True)
    for old in (root / SOURCES).rglob(f"*{SUFFIX}"):
        old.unlink()
    for name, path in objects.items():
        shutil.copyfile(path, root / "src" / (name.replace(".", "/") + SUFFIX))
    if objects:
        built.write_text(_manifest(root, objects), "ascii")


def _manifest(root: Path, objects: dict[str, Path]) -> str:
    """Lines of the file by which an object is known to be of its sources."""
    sys.path.insert(0, str(root / "src"))
    try:
        from pghot.compiled import declarations, digest  # noqa: PLC0415
    finally:
        sys.path.pop(0)
    package = root / SOURCES
    said = declarations(package)
    sources = loop_modules(root)
    return "".join(f"{name} {digest(sources[name].read_bytes(), said)}\n" for name in objects)


if __name__ == "__main__":  # after an edit, quicker than an install
    _put_in_place(Path(__file__).parent.resolve(), _objects(Path(__file__).parent.resolve()))
