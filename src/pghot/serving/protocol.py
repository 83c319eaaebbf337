"""The control protocol: a line of JSON each way (docs/ctl.md).

The server greets, then answers each request with one line; `watch` with one a state.
"""

from __future__ import annotations

import errno
import json
from typing import Any

from pghot.errors import InputError, PghotError

VERSION = 1
"""Goes up when an older client would misread what is said; new keys alone do not count."""

LONGEST = 1 << 16
"""Bytes of a request at the most."""

GREETING = "pghot_ctl"
"""Key of the greeting that holds the version."""


class ControlError(PghotError):
    """What a run refused, as it came over the socket: `errno` of the kernel, or None."""

    def __init__(self, message: str, number: int | None, exit_status: int) -> None:
        super().__init__(message)
        self.errno = number
        self.exit_status = exit_status


def line(values: dict[str, Any]) -> bytes:
    """A line of the protocol."""
    return json.dumps(values).encode() + b"\n"


def parse(raw: bytes) -> dict[str, Any]:
    """Read a line; InputError where it is none."""
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError("not a line of JSON") from error
    if not isinstance(values, dict):
        raise InputError("not a JSON object")
    return values


def failure(error: Exception) -> dict[str, Any]:
    """The answer to a request that was refused."""
    number = getattr(error, "errno", None)
    message = str(error)
    if number is not None and (name := errno.errorcode.get(number)) and name not in message:
        message = f"{message} ({name})"
    status = getattr(error, "exit_status", 1)
    return {"error": {"message": message, "errno": number, "status": status}}


def success(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer holds; ControlError where that is a refusal."""
    if "error" in answer:
        error = answer["error"]
        raise ControlError(error["message"], error["errno"], error["status"])
    held: dict[str, Any] = answer["ok"]
    return held
