"""Compiles the loops when the package is built (a build hook of Hatchling's).

Every module under src/pghot that says `import cython` becomes an extension module of
CPython's stable ABI, so that one wheel serves 3.11 and all later ones.  PGHOT_COMPILE=no
leaves the loops interpreted, =yes fails where they cannot be compiled; without either they
are compiled where there is a C compiler and Python's headers.

Objects are kept in build/loops under a sum of all they are made of, so that only what has
changed is compiled again, whatever the times of the files say.  As a program it compiles
in place, as an editable install does.  `hatch_build.py missing` prints Debian's packages that
a compilation lacks, and the status of `hatch_build.py current` says whether the objects in
place are of the sources; these need nothing but Python.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # as a program
    BuildHookInterface = object

PACKAGE = "pghot"
SOURCES = Path("src") / PACKAGE
SUFFIX = ".abi3.so"
BUILT = "_built.txt"
ABI = "0x030B0000"
CYTHON = "cython>=3.1,<4"
"""What interpreted loops import; of compiled ones only the build needs it."""

DIRECTIVES = {
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}
FLAGS = (
    "-O3",
    "-ffp-contract=off",  # floating point to the bit as interpreted, on every CPU
    "-g0",
    "-fPIC",
    "-shared",
    "-DNDEBUG",
    f"-DPy_LIMITED_API={ABI}",
    "-fno-strict-overflow",
    "-Wno-unused-function",
)


class BuildError(Exception):
    """The loops cannot be compiled, and were to be."""


class LoopsHook(BuildHookInterface):  # type: ignore[misc]  # Hatchling's plug-ins are untyped
    """Compiles loops in place for an editable install, or into a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what goes into the wheel; Hatchling calls this."""
        root = Path(self.root)
        self._work = Work(root)
        objects = self._work.objects()
        if version == "editable":
            put_in_place(root, objects)
        elif objects:
            self._put_in_wheel(root, objects, build_data)
        if not objects:
            build_data.setdefault("dependencies", []).append(CYTHON)

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact: str) -> None:
        """Hatchling calls this when the wheel has been written."""
        self._work.close()

    def _put_in_wheel(
        self, root: Path, objects: dict[str, Path], build_data: dict[str, Any]
    ) -> None:
        built = self._work.folder / BUILT
        built.write_text(_manifest(root, objects), "ascii")
        included = build_data["force_include"]
        included[str(built)] = f"{PACKAGE}/{BUILT}"
        for name, path in objects.items():
            included[str(path)] = name.replace(".", "/") + SUFFIX
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"


class Lack(NamedTuple):
    """What a compilation lacks, and Debian's packages that have it."""

    what: str
    packages: str


class Work:
    """Where objects are kept between builds: in the checkout, or nowhere if it is read-only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "build" / "loops"
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            self._temporary = tempfile.TemporaryDirectory(prefix="pghot-build-")
            self.folder = Path(self._temporary.name)

    def close(self) -> None:
        """Leave nothing in the temporary directory, if there was one."""
        if self._temporary:
            self._temporary.cleanup()

    def objects(self) -> dict[str, Path]:
        """Compiled loops by module; none where that is not wanted, or cannot be."""
        wish = os.environ.get("PGHOT_COMPILE", "")
        if wish not in ("", "yes", "no"):
            raise BuildError(f"PGHOT_COMPILE={wish}: wants yes or no")
        if wish == "no":
            return {}
        lack = missing()
        if lack and wish == "yes":
            raise BuildError(f"no {lack.what}: the loops cannot be compiled")
        if lack:
            print(f"no {lack.what}: the loops of pghot stay interpreted", file=sys.stderr)
            return {}
        with self._alone():
            return self._compiled()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two builds of one checkout take turns."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _compiled(self) -> dict[str, Path]:
        """Objects of all loop modules; what has changed is compiled, what is of no use goes."""
        sources = loop_modules(self.root)
        recipe = self._recipe()
        objects = {
            name: self.folder / f"{name}-{sha256(recipe + path.read_bytes()).hexdigest()[:20]}.so"
            for name, path in sources.items()
        }
        wanted = [name for name, path in objects.items() if not path.is_file()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda name: self._compile(sources[name], objects[name]), wanted):
                pass
        for old in set(self.folder.glob("*.so")) - set(objects.values()):
            old.unlink()
        return objects

    def _recipe(self) -> bytes:
        """All that an object is made of, beside its own source."""
        from Cython import __version__ as cython  # noqa: PLC0415 - only where it compiles

        parts = [cython, sysconfig.get_platform(), *_compile_command(), str(DIRECTIVES)]
        text = "\0".join(parts).encode()
        return text + b"\0".join(path.read_bytes() for path in _declarations(self.root))

    def _compile(self, source: Path, target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="c-") as scratch:
            c_file, made = Path(scratch, "loops.c"), Path(scratch, "loops.so")
            directives = [f"--directive={name}={value}" for name, value in DIRECTIVES.items()]
            cython = [sys.executable, "-m", "cython", "-3", "--include-dir=src", *directives]
            relative = source.relative_to(self.root)
            self._run([*cython, f"--output-file={c_file}", str(relative)], relative)
            self._run([*_compile_command(), "-o", str(made), str(c_file)], relative)
            made.replace(target)

    def _run(self, command: list[str], source: Path) -> None:
        done = subprocess.run(  # noqa: S603 - the compilers
            command, cwd=self.root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise BuildError(f"{source} cannot be compiled:\n{shlex.join(command)}\n{said}")


def loop_modules(root: Path) -> dict[str, Path]:
    """Sources that hold loops, by the name of their module."""
    found = {}
    for path in sorted((root / SOURCES).rglob("*.py")):
        if b"\nimport cython\n" in path.read_bytes():
            name = ".".join((PACKAGE, *path.relative_to(root / SOURCES).with_suffix("").parts))
            found[name] = path
    return found


def missing() -> Lack | None:
    """What a compilation lacks: found by trying one."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    headers = f"python{version}-dev"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return Lack("CPython with a stable ABI", "")
    if _compiler() is None:
        return Lack("C compiler", f"gcc libc6-dev {headers}")
    if _compiles("#include <Python.h>\n"):
        return None
    if _compiles("#include <stdlib.h>\n"):
        return Lack(f"Python.h of {version}", headers)
    return Lack("headers of the C library", f"libc6-dev {headers}")


def _compiles(source: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="pghot-build-") as scratch:
        Path(scratch, "try.c").write_text(source, "ascii")
        command = [*_compile_command(), "-o", "try.so", "try.c"]
        tried = subprocess.run(  # noqa: S603 - the compiler
            command, cwd=scratch, capture_output=True, check=False
        )
    return tried.returncode == 0


def _compiler() -> list[str] | None:
    """The C compiler: $CC, or else what built Python, or what goes by the usual names."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        return chosen if shutil.which(chosen[0]) else None
    built = shlex.split(sysconfig.get_config_var("CC") or "")
    for command in (built[:1], ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    return None


def _compile_command() -> list[str]:
    """All of a compiler's command but the files."""
    added = (os.environ.get(name, "") for name in ("CFLAGS", "LDFLAGS"))
    return [
        *(_compiler() or ["cc"]),
        *FLAGS,
        f"-I{sysconfig.get_paths()['include']}",
        *(flag for flags in added for flag in shlex.split(flags)),
    ]


def put_in_place(root: Path, objects: dict[str, Path]) -> None:
    """Lay objects beside their sources and write down which; what is not listed goes.

    An object that a process has mapped is replaced, not written over.
    """
    wanted = {root / "src" / (name.replace(".", "/") + SUFFIX): p for name, p in objects.items()}
    for place, made in wanted.items():
        if not place.is_file() or place.read_bytes() != made.read_bytes():
            temporary = place.with_suffix(".new")
            shutil.copyfile(made, temporary)
            temporary.replace(place)
    built = root / SOURCES / BUILT
    if objects:
        temporary = built.with_suffix(".new")
        temporary.write_text(_manifest(root, objects), "ascii")
        temporary.replace(built)
    else:
        built.unlink(missing_ok=True)
    for old in (root / SOURCES).rglob(f"*{SUFFIX}"):
        if old not in wanted:
            old.unlink()


def _declarations(root: Path) -> list[Path]:
    return sorted((root / SOURCES).rglob("*.pxd"))


def _manifest(root: Path, objects: dict[str, Path]) -> str:
    """Lines of the file by which an object is known to be of its sources."""
    sys.path.insert(0, str(root / "src"))
    try:
        from pghot.compiled import declarations, digest  # noqa: PLC0415
    finally:
        sys.path.pop(0)
    said = declarations(str(root / SOURCES))
    sources = loop_modules(root)
    return "".join(f"{name} {digest(sources[name].read_bytes(), said)}\n" for name in objects)


def is_current(root: Path) -> bool:
    """Whether every loop has its object in place, and of its present source."""
    loops = loop_modules(root)
    built = root / SOURCES / BUILT
    return (
        built.is_file()
        and built.read_text("ascii") == _manifest(root, loops)
        and all(path.with_suffix(SUFFIX).is_file() for path in loops.values())
    )


def main(arguments: list[str]) -> int:
    """Compile in place: after an edit, quicker than an install."""
    root = Path(__file__).parent.resolve()
    if arguments == ["missing"]:
        lack = missing()
        print((lack.packages or lack.what) if lack else "")
        return 0
    if arguments == ["current"]:
        return 0 if is_current(root) else 1
    work = Work(root)
    put_in_place(root, work.objects())
    work.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BuildError as error:
        sys.exit(str(error))
