"""Sizes as people write them: `8GiB`, `512 MiB`, `4096`."""

from __future__ import annotations

import re

_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_size(text: str) -> int:
    """The bytes of a size such as `8GiB`, `512 MiB` or `4096`; ValueError otherwise."""
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([KMGT]iB|B)?\s*", text)
    if not match:
        raise ValueError(f"size {text!r}: wants a number and KiB, MiB, GiB or TiB")
    return int(match[1]) << _UNITS[match[2] or "B"]


def format_size(size: int) -> str:
    """Write bytes in the largest unit that leaves a whole number: `8 GiB`, `1536 MiB`."""
    if not size:
        return "0 B"
    unit = next(name for name, bits in reversed(_UNITS.items()) if size % (1 << bits) == 0)
    return f"{size >> _UNITS[unit]} {unit}"
