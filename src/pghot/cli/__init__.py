"""The command line: one small module a command; only `main` prints errors and sets the status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 128 + signal.SIGINT
AGAIN_S = 0.05
"""Seconds until a signal that was lost is sent again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 ok, 1 failed, 2 usage or input.

    An exception with an `exit_status` is for the user and becomes one line on stderr; any
    other is a bug and keeps its traceback.
    """
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _say("interrupted; nothing was written", INTERRUPTED)
    except BrokenPipeError:  # whoever read stdout has gone
        _drop_stdout()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop_stdout()
        return _say(error.strerror or str(error), 1)
    except MemoryError:
        return _say("not enough memory", 1)
    except Exception as error:
        status = getattr(error, "exit_status", -1)
        if status < 0:
            raise
        return _say(str(error), status)


def _run(arguments: Sequence[str] | None) -> int:
    from pghot.cli.parser import build_parser, command_module

    words = sys.argv[1:] if arguments is None else arguments
    args = build_parser(words).parse_args(words)
    args.command_line = [*words]
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _stop)
    before, sys.unraisablehook = sys.unraisablehook, _raise_again
    try:
        status: int = command_module(args.command).run(args)
    finally:
        sys.unraisablehook = before
    return status


def _say(line: str, status: int) -> int:
    with suppress(OSError, ValueError):  # the status says that it failed, whoever listens
        print(f"pghot: {line}", file=sys.stderr, flush=True)
    return status


def _drop_stdout() -> None:
    """Keep the interpreter from flushing into stdout again: nothing more gets through."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _raise_again(unraisable: UnraisableHookArgs) -> None:
    """Send a signal again whose exception came up where Python ignores all: in a finalizer.

    That may be one of a generator that nobody wants any more, so it happens, if seldom.  It comes
    a little later: here an exception would be ignored as well.
    """
    from threading import Timer

    lost = unraisable.exc_value
    number = signal.SIGINT if isinstance(lost, KeyboardInterrupt) else 0
    if isinstance(lost, SystemExit) and isinstance(lost.code, int):
        number = lost.code - 128
    if number <= 0:
        sys.__unraisablehook__(unraisable)
        return
    again = Timer(AGAIN_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind as at Ctrl-C, so that nothing half-written stays behind."""
    raise SystemExit(128 + number)
