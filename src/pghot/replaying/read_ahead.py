"""A log read, decoded and checked on a second core, while the engine has the rows before."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

AHEAD = 2
"""Items made before they are asked for, at the most."""

Item = TypeVar("Item")


class _End(NamedTuple):
    """There is no further item, or making it has failed."""

    error: BaseException | None = None


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Items that a thread makes, in order; what making one raises comes in its place.

    Close it to end the thread: no item is made after that.  Where this process has one CPU,
    or no thread, items are made as they are asked for.

    A signal may raise SystemExit between any two steps here.  Queues and lists of C
    take an item or do not; what `threading` has of Python may keep its lock then, for ever.
    """
    made: SimpleQueue[Item | _End] = SimpleQueue()
    room: SimpleQueue[None] = SimpleQueue()
    over: list[bool] = []
    for _ in range(AHEAD):
        room.put(None)

    def make() -> None:
        end = _End()
        try:
            for item in items:
                made.put(item)
                room.get()
                if over:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by who asks
            end = _End(error)
        made.put(end)

    thread = threading.Thread(target=make, name="pghot log", daemon=True)
    if not _began(thread):
        yield from items
        return
    try:
        while not isinstance(item := made.get(), _End):
            room.put(None)
            yield item
    finally:
        over.append(True)
        room.put(None)
        thread.join()
    if item.error is not None:
        raise item.error


def _began(thread: threading.Thread) -> bool:
    """Begin a thread where that brings anything; whether it has begun."""
    if len(os.sched_getaffinity(0)) == 1:
        return False
    try:
        thread.start()
    except RuntimeError:  # no thread to be had: slower, and no worse
        return False
    return True
