"""A run that does nothing but answer its mailbox: a real engine, a real thread, no host."""

from __future__ import annotations

import importlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pghot.engine.fidelity import V7, Fidelity
from pghot.engine.layout import DEFAULT, Layout
from pghot.live.mailbox import Mailbox
from pghot.serving.mount import DEVICE
from tests.published import published_state
from tests.rig import FAST, SECTION, SLOW, Rig, node

OTHER_FAST = 2


def fuse_is_missing() -> str:
    """Say what a mount lacks here; empty where nothing is."""
    try:
        importlib.import_module("mfusepy")
    except ImportError:
        return "no mfusepy"
    except OSError:
        return "no libfuse (package fuse3)"
    if not DEVICE.exists():
        return f"no {DEVICE}"
    if os.geteuid() and not shutil.which("fusermount3"):
        return "not root, and no fusermount3"
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return ""


class DeskRun:
    """A run's thread reduced to what it does for others.  Node 2 is top tier as well."""

    def __init__(self, layout: Layout = DEFAULT, fidelity: Fidelity = V7) -> None:
        nodes = (
            node(FAST, 0, 8, top=True, free=100_000),
            node(SLOW, 8 * SECTION, 4, top=False),
            node(OTHER_FAST, 12 * SECTION, 4, top=True),
        )
        self.rig = Rig(layout, nodes=nodes, fidelity=fidelity)
        self.mailbox = Mailbox()
        self.writes: list[tuple[str, str]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def publish(self) -> None:
        engine = self.rig.engine
        tables = {"tunables": engine.tunables.as_dict(), "vmstat": engine.vmstat.as_dict()}
        self.mailbox.publish(published_state(**tables))

    def write(self, name: str, text: str) -> None:
        self.rig.engine.write(name, text)
        self.writes.append((name, text))
        self.publish()

    def _run(self) -> None:
        self.publish()
        while not self._over.wait(0.002):
            self.mailbox.attend(self.write)
        self.mailbox.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def answering(layout: Layout = DEFAULT, fidelity: Fidelity = V7) -> Iterator[DeskRun]:
    with DeskRun(layout, fidelity) as run:
        yield run


def mounts_at(path: Path) -> list[str]:
    """The lines of mountinfo for a mount point."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {path} " in line]


def within(directory: Path, *words: str) -> list[str]:
    """A command that goes to a directory by itself, before it runs.

    Where a thread of this process serves that directory, the cwd of a new process would wait for
    ever: it is changed while subprocess holds the interpreter (vfork), unless the kernel
    remembers the directory's attributes.
    """
    return ["env", "-C", str(directory), *words]
