"""A guest whose PID 1 is systemd: its kernel, its disk, and what its checks said."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.vm.kernels import Kernel
from tests.vm.layout import Layout
from tests.vm.machine import CPU

TIMEOUT_S = float(os.environ.get("PGHOT_VM_TIMEOUT", "1800"))


class Said(NamedTuple):
    """How a check ended, and what it saw."""

    outcome: str
    text: str


def boot(kernel: Kernel, image: Path, initramfs: Path, scratch: Path) -> dict[str, Said]:
    """Boot until the guest powers itself off; what each check said, by name."""
    layout, results = Layout(), scratch / "results"
    with (scratch / "console").open("wb") as console:
        qemu = subprocess.Popen(
            _qemu(kernel, image, initramfs, layout, results),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
        try:
            qemu.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass  # what was said before tells how far it came
        finally:
            qemu.kill()
            qemu.wait()
    lines = results.read_text(errors="replace").splitlines() if results.exists() else []
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return {row["check"]: Said(row["outcome"], row["text"]) for row in rows}


def console_end(scratch: Path) -> str:
    """The last lines of the console."""
    return "\n".join((scratch / "console").read_text(errors="replace").splitlines()[-40:])


def _qemu(
    kernel: Kernel, image: Path, initramfs: Path, layout: Layout, results: Path
) -> list[str]:
    options = (word for option in layout.options() for word in option.split(" ", 1))
    return [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU),
        *options,
        *("-smp", str(layout.cpus), "-display", "none", "-no-reboot", "-nic", "none"),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 panic=-1 systemd.show_status=0"),
        *("-drive", f"file={image},if=virtio,format=raw,snapshot=on"),
        *("-serial", "stdio", "-serial", f"file:{results}"),
    ]
