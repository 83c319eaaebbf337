"""Boot a stock kernel on the host's own root file system, and run a command in it.

virtme-ng does the booting; QEMU emulates the processor (KVM may be there and yet hang), so
the guest is some ten times slower than the host.  The root file system is read-only; what
the guest writes goes to a directory shared with the host, or is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from tests.vm import qmp
from tests.vm.kernels import Kernel
from tests.vm.layout import Layout

ROOT = Path(__file__).parents[2]
INSIDE = "PGHOT_VM"
"""Environment variable of the guest: the kernel's version."""

SHARED = "PGHOT_VM_SHARED"
"""Environment variable of the guest: the directory shared with the host."""

MISRUN = b"Oops: int3"
"""What a kernel's console says when the emulator ran code that had been patched already.

A kernel patches its code while other CPUs run it, at each switch of NUMA balancing for one, and
QEMU, with a thread for each CPU, may run what was there before.
"""

CPU = "max,-avx,-avx2"
"""QEMU's CPU with all that it emulates, but for AVX, which QEMU 7.2 gets wrong.

NumPy's AVX2 argsort came out unsorted for nearly every array with repeats in it, and so did
`np.unique` with it.
"""

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "modprobe": "kmod",
    "ip": "iproute2",
    "strings": "binutils",
    "file": "file",  # virtme-ng asks it for the kernel's version, and finds no modules without
    "gcc": "gcc libc6-dev",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
"""Programs that booting needs, and their packages."""

LOAD_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-static")

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a run in a guest ended.  `status` is None where the command did not finish."""

    status: int | None
    boot_s: float
    shared: Path
    console: Path

    @property
    def output(self) -> str:
        """What the command wrote to stdout and stderr."""
        path = self.shared / "output"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def misran(self) -> bool:
        """Whether the emulator is known to have run the kernel wrongly."""
        return MISRUN in self.console.read_bytes()

    def explain(self) -> str:
        """The end of the console, for whoever asks why there is no status."""
        lines = self.console.read_text(errors="replace").splitlines()
        return "\n".join(["the guest's console ended with:", *lines[-30:]])


def missing() -> list[str]:
    """The packages whose programs are not here."""
    path = f"{_path()}:{_SBIN}"
    absent = [name for program, name in PROGRAMS.items() if not shutil.which(program, path=path)]
    return absent if shutil.which("vng", path=path) else [*absent, "virtme-ng (scripts/setup)"]


def run(
    kernel: Kernel,
    command: Sequence[str],
    shared: Path,
    *,
    timeout: float,
    layout: Layout | None = None,
    environment: dict[str, str] | None = None,
    heard: Callable[[str], None] = lambda _text: None,
    closed: threading.Event | None = None,
) -> Finished:
    """Boot, run `command` as root in the project's directory, power off.

    `shared` is an empty directory that both sides write; `heard` gets the output as it
    comes.  After `timeout` seconds, or once `closed` is set, the machine is killed.
    """
    _write_command(kernel, command, shared, environment or {})
    console = shared / "console.log"
    began = time.monotonic()
    boot_s = 0.0
    closed = closed or threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="pghot-vm-") as scratch,
        console.open("wb") as log,
        _booted(kernel, shared, Path(scratch), layout or Layout(), log.fileno()) as process,
        _Follower(shared / "output", heard) as follower,
    ):
        while not _ended(process) and time.monotonic() < began + timeout:
            if closed.wait(0.05):
                break
            if not boot_s and (shared / "uptime").exists():
                boot_s = time.monotonic() - began
            answer_requests(shared, Path(scratch) / "qmp")
            follower.look()
    status = shared / "status"
    return Finished(int(status.read_text()) if status.exists() else None, boot_s, shared, console)


def shell(kernel: Kernel, layout: Layout | None = None) -> int:
    """Boot and give a root shell on this terminal."""
    with tempfile.TemporaryDirectory(prefix="pghot-vm-") as scratch:
        shared = Path(scratch) / "shared"
        shared.mkdir()
        (shared / "interactive").touch()
        _write_command(kernel, ["bash", "-i"], shared, {"TERM": os.environ.get("TERM", "dumb")})
        command = vng(kernel, shared, Path(scratch), layout or Layout())
        return subprocess.run(command, env=_environment(Path(scratch)), check=False).returncode


def vng(kernel: Kernel, shared: Path, scratch: Path, layout: Layout) -> list[str]:
    """The command line of virtme-ng."""
    options = [
        *layout.options(),
        f"-cpu {CPU}",
        f"-qmp unix:{scratch}/qmp,server=on,wait=off",
        "-fsdev local,id=pghot,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device virtio-9p-pci,fsdev=pghot,mount_tag=pghot-root",
    ]
    guest = shlex.join(["sh", str(ROOT / "tests/vm/guest.sh"), str(shared)])
    start = ["--exec", guest]
    if (shared / "interactive").exists():  # with --exec the console would hear no keyboard
        (shared / "shell").write_text(f"#!/bin/sh\nexec {guest}\n")
        (shared / "shell").chmod(0o755)
        start = ["--shell", str(shared / "shell")]
    return [
        *("vng", "--run", str(kernel.image), "--disable-kvm", "--disable-microvm", "--force-9p"),
        *("--verbose", "--user", "root", "--cpus", str(layout.cpus)),
        *("--memory", f"{layout.memory_mib}M", "--rwdir", str(shared)),
        *(*start, f"--qemu-opts={' '.join(options)}"),
    ]


def answer_requests(shared: Path, socket: Path) -> None:
    """Do what tests in the guest ask of the host: `request-NAME.json` in the shared directory.

    The answer is `answer-NAME.json`: null, or what QEMU had against it.
    """
    for request in sorted(shared.glob("request-*.json")):
        asked = json.loads(request.read_text())
        request.unlink()
        action = {"add": qmp.add_memory, "remove": qmp.remove_memory}[asked.pop("action")]
        error = None
        try:
            action(socket, **asked)
        except (OSError, qmp.QmpError) as refused:
            error = str(refused)
        answer = shared / request.name.replace("request-", "answer-")
        part = answer.with_suffix(".part")
        part.write_text(json.dumps(error))
        part.rename(answer)


class _Follower:
    """Passes on what is appended to a file."""

    def __init__(self, path: Path, heard: Callable[[str], None]) -> None:
        self.path = path
        self.heard = heard
        self.offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.look()

    def look(self) -> None:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
            self.offset += len(data)
            if data:
                self.heard(data.decode(errors="replace"))


@contextlib.contextmanager
def _booted(
    kernel: Kernel, shared: Path, scratch: Path, layout: Layout, log: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start virtme-ng in a session of its own, and leave nothing of it running."""
    process = subprocess.Popen(
        vng(kernel, shared, scratch, layout),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=_environment(scratch),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the number is still ours
        process.wait()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended, without reaping it."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def _environment(scratch: Path) -> dict[str, str]:
    """Give virtme-ng its own programs, and directories that go when it has gone."""
    own = {"XDG_CONFIG_HOME": str(scratch), "XDG_CACHE_HOME": str(scratch)}
    return os.environ | own | {"PATH": f"{_path()}:{_SBIN}", "TMPDIR": str(scratch)}


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


def _write_command(
    kernel: Kernel, command: Sequence[str], shared: Path, environment: dict[str, str]
) -> None:
    variables = {
        INSIDE: kernel.version,
        SHARED: str(shared),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/tmp",  # noqa: S108  # the guest's own
    }
    variables |= environment
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [f"cd {shlex.quote(str(ROOT))}", f"exec {shlex.join(command)}"]
    (shared / "command").write_text("\n".join(lines) + "\n")
    subprocess.run(
        ["gcc", *LOAD_FLAGS, str(ROOT / "tests/vm/load.c"), "-o", str(shared / "load")], check=True
    )
