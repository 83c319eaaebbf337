"""Ending a live run by a signal: the first asks for it, the second does not ask."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pghot.linux.processes.launch import Launched

_BUT_HANGUP = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_SIGNALS = (*_BUT_HANGUP, signal.SIGHUP)


class Stop:
    """Which signal asked to stop, None so far."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def stopping(launched: Launched | None, *, hangup: bool = True) -> Iterator[Stop]:
    """Note signals instead of dying of them; a launched command gets them as well.

    Ctrl-C is the command's affair: the run goes on until that ends.  SIGHUP is left to its
    handler where `hangup` is False.
    """
    stop = Stop()
    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        if launched is not None:
            launched.forward(number)
        if stop.signal is not None:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        if launched is None or number != signal.SIGINT:
            stop.signal = number

    try:
        for number in _SIGNALS if hangup else _BUT_HANGUP:
            if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                before[number] = signal.signal(number, note)
        yield stop
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
