"""Lists of CPUs and nodes as the kernel writes them: `0-3,8` (lib/bitmap-str.c)."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_ID = 1 << 20
"""No list names a larger CPU or node: what is above is a slip, not a machine."""

_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)


def parse_list(text: str) -> tuple[int, ...]:
    """The numbers of a list such as `0-3,8`, ascending; ValueError where it is none."""
    numbers: set[int] = set()
    for part in text.split(",") if text.strip() else []:
        match = _PART.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= MAX_ID:
            raise ValueError(f"{text.strip()!r}: wants a list such as 0-3,8")
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def format_list(numbers: Iterable[int]) -> str:
    """Write numbers as the kernel does: `0-3,8`; the empty string for none."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in runs)
