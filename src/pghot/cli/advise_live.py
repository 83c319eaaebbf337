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
    """A log of processes on this host, recorded now as by `pghot record`, and gone in the end.

    What came of the recording goes to stderr: stdout is for the advice.
    """
    from pghot.cli.parser import build_parser
    from pghot.cli.targets import options_of
    from pghot.compiled import require
    from pghot.linux.host import Host
    from pghot.linux.processes.raise_nofile import raise_limit
    from pghot.live.recording import record_accesses
    from pghot.report.live import StatusLine

    if pids is None:
        raise InputError("advise --live: wants -p PID")
    seconds = seconds_of(duration)
    require("pghot advise --live")
    words = ["record", "-p", pids, "-d", f"{seconds:g}", "-o", ""]
    options = options_of(build_parser(words).parse_args(words))
    raise_limit()
    line = StatusLine()
    line.say(f"recording for {seconds:g} s; Ctrl-C ends it sooner")
    with TemporaryDirectory(prefix="pghot-advise-") as folder:
        log = Path(folder, "log.parquet")
        rows, why, _status = record_accesses(Host(), options, log, tell=line.say)
        line.say(f"{rows:,} accesses recorded; {why}")
        if not rows:
            raise PghotError("no access was recorded: there is nothing to advise on")
        yield str(log)
