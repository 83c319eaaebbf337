"""TOML files whose tables are checked as a whole, and what is wrong with one in plain words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pghot.errors import InputError
from pghot.files.bounded import read_bounded

Table = TypeVar("Table")


def read_toml(path: Path | str, read: Callable[[Path], bytes] = read_bounded) -> dict[str, Any]:
    """The content of a TOML file; InputError with one line where it is none."""
    try:
        return tomllib.loads(read(Path(path)).decode())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not TOML: no text at byte {error.start}") from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error


def convert_tables(data: dict[str, Any], kind: type[Table], name: str) -> Table:
    """`data` as a struct of `kind`; the line of an InputError opens with `name`."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {_in_plain_words(str(error))}") from error


def _in_plain_words(message: str) -> str:
    """Turn msgspec's message into ours: where, then what is wrong."""
    what, _, where = message.partition(" - at ")
    what = what.replace("Object contains unknown field", "unknown key")
    what = what.replace("Object missing required field", "missing key").replace("`", "'")
    where = where.strip("`").removeprefix("$").lstrip(".")
    if what.startswith("Expected") and "'object'" not in what:  # an array's element, no table
        where = re.sub(r"^(\w+)\[(\d+)\]$", lambda m: f"{m[1]} no. {int(m[2]) + 1}", where)
    where = re.sub(r"^(\w+)\[(\d+)\]", lambda m: f"[[{m[1]}]] no. {int(m[2]) + 1}", where)
    return f"{where}: {what}" if where else what
