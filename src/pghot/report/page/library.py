"""The charting library as one script: Vega, Vega-Lite and vega-embed, out of vl-convert."""

from __future__ import annotations

import importlib.metadata
import os
from contextlib import suppress
from pathlib import Path

from pghot.errors import PghotError
from pghot.files.whole import whole_file

PACKAGE = "vl-convert-python"
SNIPPET = "window.vegaEmbed = vegaEmbed;"
VEGA_LITE = "6.1"
"""Version of the specifications that `charts` writes."""


def script() -> str:
    """The library; PghotError, one line, where the package is missing.

    To put it together takes seconds, so it is kept in the user's cache directory.
    """
    try:
        import vl_convert
    except ImportError:
        raise PghotError(
            "pghot report needs the package vl-convert-python: pip install 'pghot[report]'"
        ) from None
    kept = _kept()
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    text: str = vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE)
    _keep(kept, text)
    return text


def _kept() -> Path:
    version = importlib.metadata.version(PACKAGE)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "pghot" / f"vega-{version}-{VEGA_LITE}.js"


def _keep(path: Path, text: str) -> None:
    """Keep it for the next time; without a place to write that takes as long again."""
    with suppress(OSError, PghotError, RuntimeError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(path, force=True) as stream:
            stream.write(text.encode())
