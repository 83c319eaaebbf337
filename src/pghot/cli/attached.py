"""What is attached to a run while it goes on: the control socket and metrics."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.desk import Desk


def add_attached_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("while it runs")
    control = group.add_mutually_exclusive_group()
    control.add_argument(
        "--control", metavar="PATH", type=Path, help="where pghot ctl meets the run, a socket"
    )
    control.add_argument("--no-control", action="store_true", help="listen to no pghot ctl")
    group.add_argument(
        "--metrics",
        metavar="ADDRESS:PORT",
        help="serve Prometheus metrics (loopback where no address is given; port 0: any)",
    )


def control_directory() -> Path:
    """Give where runs of this user listen: /run/pghot/ctl, or below XDG_RUNTIME_DIR."""
    from pghot.linux import lock

    return lock.default_state_dir() / "ctl"


@contextmanager
def attached(args: argparse.Namespace, tell: Callable[[str], None]) -> Iterator[Desk | None]:
    """Open what the options ask for; give the desk of the run, None where nobody asks.

    InputError or PghotError, one line, before anything of the host has changed.
    """
    if args.no_control and args.metrics is None:
        yield None
        return
    from pghot.live.desk import Desk

    desk = Desk()
    with ExitStack() as stack:
        if not args.no_control:
            _open_control(stack, desk, args.control)
        if args.metrics is not None:
            _open_metrics(stack, desk, args.metrics, tell)
        yield desk


def _open_control(stack: ExitStack, desk: Desk, path: Path | None) -> None:
    import os

    from pghot import __version__
    from pghot.serving.control import control
    from pghot.serving.sockets import live_sockets, private_directory, socket_of

    if path is None:
        directory = private_directory(control_directory())
        live_sockets(directory)  # those of dead runs go
        path = socket_of(directory, os.getpid())
    command = " ".join(shlex.join(sys.orig_argv).split())[:1000]
    about = {"pid": os.getpid(), "version": __version__, "command": command}
    stack.enter_context(control(desk, path, about))


def _open_metrics(stack: ExitStack, desk: Desk, address: str, tell: Callable[[str], None]) -> None:
    from pghot import __version__
    from pghot.serving.metrics import metrics

    url = stack.enter_context(metrics(desk, address, __version__))
    tell(f"metrics at {url}")
