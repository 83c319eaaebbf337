"""For every test: signals reach the programs it starts, whoever starts the tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Undo what nohup(1) and background jobs of a shell do: children inherit what is ignored."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
