"""Compiled loops are kept where this user may write, wherever the package is installed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from pghot.engine import jit


def one_more(value: int) -> int:
    return value + 1


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Numba find no place of its own, as for a service account without a home."""
    njit = numba.njit

    def without_cache(*args: object, **options: object) -> object:
        if options.get("cache") and not numba.config.CACHE_DIR:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache)


@pytest.mark.usefixtures("nowhere")
def test_without_any_place_of_numbas_code_is_kept_in_a_private_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = numba.config.CACHE_DIR
    assert jit.compiled(one_more)(1) == 2
    assert before == numba.config.CACHE_DIR
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"pghot-{os.getuid()}"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert list(kept.rglob("*.nbi"))


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("how", ["others may write", "a link"])
def test_a_directory_that_somebody_else_could_fill_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = tmp_path / f"pghot-{os.getuid()}"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(tmp_path / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    assert jit.compiled(one_more)(1) == 2
    assert not list(tmp_path.rglob("*.nbi"))


def test_code_is_kept_until_a_source_that_is_compiled_into_it_changes(tmp_path: Path) -> None:
    """Also one in another file than the loop's own, which is all that Numba looks at."""
    inner, outer = tmp_path / "inner.py", tmp_path / "outer.py"
    head = "from pghot.engine.jit import compiled\n"
    outer.write_text(
        f"{head}from inner import STEP, more\n"
        "@compiled\ndef loop(value):\n    return more(value) + STEP\n"
        "print(loop(1), sum(loop.stats.cache_hits.values()))\n"
    )

    def run() -> str:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        command = [sys.executable, outer]
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        return done.stdout.decode()

    body = "@compiled\ndef more(value):\n    return value + "
    inner.write_text(f"{head}STEP = 10\n{body}100\n")
    assert run() == "111 0\n"
    inner.write_text(f"{head}STEP = 20\n{body}200\n")
    assert (run(), run()) == ("221 0\n", "221 1\n")
