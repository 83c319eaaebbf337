"""What a misspelt name may have been meant for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def perhaps(name: str, known: Iterable[str], *, most: int = 1) -> str:
    """`perhaps X? `, with the nearest of the names that there are; nothing where none is near."""
    near = get_close_matches(name, list(known), n=most, cutoff=0.5)
    return f"perhaps {' or '.join(near)}? " if near else ""
