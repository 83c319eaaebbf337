"""What is attached to a run while it goes on: control socket, metrics, files, a manager."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.driving.run_state import RunState
    from pghot.live.mailbox import Mailbox


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
    group.add_argument(
        "--mount", metavar="DIR", type=Path, help="show the series' own files below DIR (FUSE)"
    )
    group.add_argument(
        "--config", metavar="FILE", type=Path, help="take options from FILE; SIGHUP rereads it"
    )


def control_directory() -> Path:
    """Where runs of this user listen: /run/pghot/ctl, or below XDG_RUNTIME_DIR."""
    from pghot.linux.guard import lock

    return lock.default_state_dir() / "ctl"


@contextmanager
def attached(
    args: argparse.Namespace, given: argparse.Namespace, tell: Callable[[str], None]
) -> Iterator[Mailbox[RunState] | None]:
    """Open what the options ask for; the mailbox of the run, None where nobody asks.

    `args` are the run's with nothing left unset, `given` those of the command line alone.
    InputError or PghotError, one line, before anything of the host has changed.
    """
    from pghot.serving.notify import Notifier, announced

    notifier = Notifier()
    asked = (args.metrics, args.mount, args.config)
    if args.no_control and not notifier.listens and not any(asked):
        yield None
        return
    from pghot.live.mailbox import Mailbox

    mailbox: Mailbox[RunState] = Mailbox()
    with ExitStack() as stack:
        if not args.no_control:
            _open_control(stack, mailbox, args.control, tell)
        if args.metrics is not None:
            _open_metrics(stack, mailbox, args.metrics, tell)
        if args.mount is not None:
            _open_mount(stack, mailbox, args.mount, args.fidelity, tell)
        if args.config is not None:
            from pghot.cli.reloading import Reload, reloading

            reload = Reload(args.config, given, mailbox, notifier, tell)
            stack.enter_context(reloading(reload, tell))
        stack.enter_context(announced(mailbox, notifier, tell))
        yield mailbox


def _open_control(
    stack: ExitStack, mailbox: Mailbox[RunState], path: Path | None, tell: Callable[[str], None]
) -> None:
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
    stack.enter_context(control(mailbox, path, about, tell))


def _open_metrics(
    stack: ExitStack, mailbox: Mailbox[RunState], address: str, tell: Callable[[str], None]
) -> None:
    from pghot import __version__
    from pghot.serving.metrics import metrics

    url = stack.enter_context(metrics(mailbox, address, __version__, tell))
    tell(f"metrics at {url}")


def _open_mount(
    stack: ExitStack,
    mailbox: Mailbox[RunState],
    directory: Path,
    fidelity: str,
    tell: Callable[[str], None],
) -> None:
    from pghot.engine.fidelity import FIDELITIES
    from pghot.errors import Caution, PghotError
    from pghot.linux.guard.mounts import clear_dead_mounts, written_down
    from pghot.linux.host import Host
    from pghot.serving.mount import mounted

    for path in clear_dead_mounts(Host())[0]:  # one of them may lie on this very directory
        tell(f"{path}: unmounted; a killed pghot left it")
    record = stack.enter_context(written_down(Host(), directory.absolute()))

    def end(_point: str) -> None:
        try:
            record.end()
        except PghotError as error:  # at the end of a run, whose result is worth more
            tell(Caution(str(error)))

    stack.enter_context(mounted(mailbox, directory, end, tell, FIDELITIES[fidelity]))
    record.made()
