"""Values of sysfs and proc files: one that is none of its kind is a line with file and field."""

from __future__ import annotations

from pghot.engine.lists import parse_list
from pghot.errors import PghotError
from pghot.linux.host import Host


def read_list(host: Host, name: str) -> tuple[int, ...]:
    """The CPUs or nodes of a list such as `0-3,8`; none where the file is not there.

    PghotError where it says something else.
    """
    try:
        return parse_list(host.text_or(name))
    except ValueError as error:
        raise PghotError(f"{name}: {error}") from error


def read_number(host: Host, name: str, default: int | None = None, *, base: int = 10) -> int:
    """The whole number, 0 or more, of a file; `default` where it is not there or is empty.

    PghotError where it says something else, or where there is no `default`.
    """
    text = host.text_or(name)
    if not text and default is not None:
        return default
    return number(name, text, base=base)


def number(name: str, text: str, *, base: int = 10) -> int:
    """A whole number, 0 or more; PghotError that names the file, or the file and the field."""
    if not text:
        raise PghotError(f"{name}: missing")
    try:
        value = int(text, base)
    except ValueError:
        value = -1
    if value < 0:
        kind = "a hexadecimal number" if base == 16 else "a number"
        raise PghotError(f"{name}: {text[:40]!r}: wants {kind}")
    return value
