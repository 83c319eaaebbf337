"""Recording a host for `pghot advise --live`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pghot.errors import InputError, PghotError

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str, option: str = "--for") -> float:
    """Read a time such as `90`, `90s`, `10m` or `1h`; InputError where it is none."""
    match = _TIME.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise InputError(f"{option} {text}: wants a time such as 90s, 10m or 1h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


@contextmanager
def recorded(pids: str | None, duration: str) -> Iterator[str]:
    """A log of processes on this host, recorded now by `pghot record`."""
    from pghot.cli.parser import build_parser, command_module

    if pids is None:
        raise InputError("advise --live: wants -p PID")
    seconds = seconds_of(duration)
    with TemporaryDirectory(prefix="pghot-advise-") as folder:
        log = Path(folder, "log.parquet")
        words = ["record", "-p", pids, "-d", f"{seconds:g}", "-o", str(log)]
        args = build_parser(words).parse_args(words)
        status: int = command_module("record").run(args)
        if status:
            raise PghotError(f"recording ended with status {status}")
        yield str(log)
