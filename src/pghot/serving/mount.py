"""The tree of a run on a directory, from before the run until after it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOTCONN
from pathlib import Path
from types import ModuleType

from pghot.driving.run_state import RunState
from pghot.engine.fidelity import V7, Fidelity
from pghot.errors import Caution, InputError, PghotError
from pghot.live.mailbox import Mailbox
from pghot.serving.tree import Tree
from pghot.workers import Tell, Worker, nobody

DEVICE = Path("/dev/fuse")
FILE_SYSTEM = "pghot"
"""The subtype of the mount, `fuse.pghot`: `pghot restore` knows a mount of ours by it."""

MOUNT_S = 10.0
UNMOUNT_S = 5.0


@contextmanager
def mounted(
    mailbox: Mailbox[RunState],
    directory: Path,
    unmount: Callable[[str], None],
    tell: Tell = nobody,
    fidelity: Fidelity = V7,
) -> Iterator[None]:
    """Have the tree of `mailbox` on an empty directory as long as this lasts.

    InputError where the directory does not do, PghotError where FUSE does not.  `unmount`
    takes a mount away at once, whoever still has its files open.  The files are those that
    `fidelity` has.
    """
    _check(directory)
    directory = directory.absolute()
    served = _Served(_library(), mailbox, directory, tell, fidelity)
    served.start()
    try:
        yield
    finally:
        served.ending = True
        if served.worker.alive:
            unmount(str(directory))
            served.worker.end(UNMOUNT_S)


class _Served:
    """The thread that answers the kernel: one, as the run answers one write after another."""

    def __init__(
        self,
        library: ModuleType,
        mailbox: Mailbox[RunState],
        directory: Path,
        tell: Tell,
        fidelity: Fidelity,
    ) -> None:
        self._library = library
        self._directory = directory
        self._answered = threading.Event()
        self._mounted = False
        self._tree = Tree(mailbox, self._started, fidelity)
        self.ending = False
        self._tell = tell
        self.worker = Worker(f"--mount {directory}", self._serve, tell, again=0)

    def start(self) -> None:
        """Mount; PghotError where that fails."""
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.worker.start()
            self._answered.wait(MOUNT_S)
        finally:
            os.fchdir(here)  # libfuse goes to / before it answers (fuse_daemonize())
            os.close(here)
        if not self._mounted:
            raise PghotError(
                f"--mount {self._directory}: libfuse could not mount it (it says why above); "
                "root may, and others where fusermount3 is installed"
            )

    def _started(self) -> None:
        self._mounted = True
        self._answered.set()

    def _serve(self) -> None:
        others = {"allow_other": True} if os.geteuid() == 0 else {}
        try:
            self._library.FUSE(
                self._tree,
                str(self._directory),
                foreground=True,
                nothreads=True,
                direct_io=True,  # every read and write comes here, and the size of 0 is no end
                default_permissions=True,
                fsname=FILE_SYSTEM,
                subtype=FILE_SYSTEM,
                **others,
            )
        except RuntimeError:  # libfuse gave up; it has told stderr
            if self._mounted and not self.ending:
                raise
        else:
            if not self.ending:
                self._tell(Caution(f"--mount {self._directory}: somebody unmounted it"))
        finally:
            self._answered.set()


def _check(directory: Path) -> None:
    try:
        if any(directory.iterdir()):
            raise InputError(f"--mount {directory}: is not empty")
    except FileNotFoundError:
        raise InputError(f"--mount {directory}: no such directory; mkdir it first") from None
    except OSError as error:
        advice = "; a killed run left it: pghot restore" if error.errno == ENOTCONN else ""
        raise InputError(f"--mount {directory}: {error.strerror or error}{advice}") from error


def _library() -> ModuleType:
    """mfusepy; PghotError that says what to install."""
    if not DEVICE.exists():
        raise PghotError(f"--mount: no {DEVICE} here; modprobe fuse makes it")
    try:
        import mfusepy  # noqa: PLC0415 - only who mounts needs it
    except ImportError as error:
        raise PghotError("--mount needs mfusepy: pip install 'pghot[mount]'") from error
    except OSError as error:
        raise PghotError("--mount needs libfuse: on Debian, apt-get install fuse3") from error
    library: ModuleType = mfusepy
    return library
