"""A small checkout with two loops: the project's own build hook and finder, nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
LOOP = '''"""A sum."""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.pghot.units import STEP
else:
    from pghot.units import STEP


def total(n: cython.long) -> int:
    i: cython.long
    sum_: cython.long = 0
    with cython.nogil:
        for i in range(n):
            sum_ += i * STEP
    return sum_


def is_compiled() -> bool:
    return cython.compiled
'''
MORE = """import os
import cython


def is_compiled():
    return cython.compiled
"""
SAY = "from pghot.sums import *; from pghot.deep.more import is_compiled as m; print(({}))"


def hook_module() -> ModuleType:
    """hatch_build.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Checkout:
    """The small checkout, and what one does with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "src" / "pghot"
        (self.package / "deep").mkdir(parents=True)
        shutil.copy(ROOT / "hatch_build.py", root)
        for name in ("compiled.py", "errors.py"):
            shutil.copy(ROOT / "src" / "pghot" / name, self.package)
        (self.package / "__init__.py").write_text("import pghot.compiled\n")
        (self.package / "deep" / "__init__.py").write_text("")
        (self.package / "units.py").write_text("STEP = 3\n")
        (self.package / "units.pxd").write_text("cdef enum:\n    STEP = 3\n")
        self.loop = self.package / "sums.py"
        self.loop.write_text(LOOP)
        (self.package / "deep" / "more.py").write_text(MORE)
        self.object = self.package / "sums.abi3.so"
        self.built = self.package / "_built.txt"

    def build(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run hatch_build.py."""
        quick = {"CFLAGS": "-O0", "PGHOT_COMPILE": ""}
        return self._python(str(self.root / "hatch_build.py"), *arguments, **quick | env)

    def say(self, expression: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Import both loops in a new process and print the expression."""
        return self._python("-c", SAY.format(expression), **env)

    def _python(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": str(self.root / "src"), "PGHOT_LOOPS": ""} | env,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
