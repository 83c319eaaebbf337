"""Files that come with the package: beside its code once installed, else in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parents[1]


def shipped(name: str, folder: str) -> Path:
    """The path of a file that the checkout has in `folder`."""
    installed = _PACKAGE / "data" / folder / name
    return installed if installed.exists() else _CHECKOUT / folder / name
