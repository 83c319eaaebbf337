"""Compiled loops are kept where this user may write, wherever the package is installed."""

from __future__ import annotations

import os
import stat
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
