"""The charting library is put together once, and without a place to keep it every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pghot.report.page import library


def test_what_was_kept_is_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = library.script()
    (kept,) = (tmp_path / "pghot").iterdir()
    assert "vegaEmbed" in made
    assert kept.read_text() == made
    kept.write_text("kept")
    assert library.script() == "kept"


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "vegaEmbed" in library.script()
