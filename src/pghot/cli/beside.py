"""What goes on beside a run, as its options ask: each meets the run at its desk alone."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.desk import Desk


@contextlib.contextmanager
def beside(
    args: argparse.Namespace,
    given: argparse.Namespace,
    desk: Desk,
    tell: Callable[[str], None],
) -> Iterator[None]:
    """Have it all there before the host is touched, and away once it is as it was.

    `args` are the run's with nothing left unset, `given` those of the command line alone.
    """
    from pghot.serving.notify import Notifier, announced

    notifier = Notifier()
    with contextlib.ExitStack() as stack:
        if args.mount is not None:
            stack.enter_context(_mount(args, desk, tell))
        if args.config is not None:
            from pghot.cli.reloading import Reload, reloading

            reload = Reload(args.config, given, desk, notifier, tell)
            stack.enter_context(reloading(reload))
        stack.enter_context(announced(desk, notifier))
        yield


@contextlib.contextmanager
def _mount(args: argparse.Namespace, desk: Desk, tell: Callable[[str], None]) -> Iterator[None]:
    from pghot.linux.host import Host
    from pghot.linux.mounts import clear_dead_mounts, end_mount
    from pghot.serving.mount import mounted

    for path in clear_dead_mounts(Host())[0]:
        tell(f"{path}: unmounted; a killed pghot left it")
    with mounted(desk, args.mount, end_mount):
        yield
