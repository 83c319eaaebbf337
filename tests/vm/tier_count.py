"""The plugin of tier_count.c beside heat.c: what QEMU is given, what was counted."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.vm.layout import Layout
from tests.vm.machine import LOAD_FLAGS

HERE = Path(__file__).parent
TEXT = 0x10000000, 0x11000000
"""Where heat is linked to, so that nothing else in the guest is counted or slowed down."""

MARK, MEMORY = 0x1FFFFFF00000, 0x200000000000
"""Addresses of heat.c: a store to MARK makes a line of counts; its pages begin at MEMORY."""

MOST_BYTES = 1 << 40
PORT = "pghot.samples"
"""The virtio-serial port by which samples reach the guest."""

SAMPLE = np.dtype(
    [("time_ns", "<u8"), ("vaddr", "<u8"), ("physical", "<u8"), ("cpu", "<u4"), ("store", "<u4")]
)
"""struct sample of tier_count.c; the time is the host's."""

_PLUGIN_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


class Counts(NamedTuple):
    """Accesses to the load's pages so far: all, and those that missed the cache, by tier."""

    all: int
    fast: int
    slow: int

    def share(self, before: Counts) -> float:
        """The share of the memory accesses since `before` that were served fast."""
        fast, slow = self.fast - before.fast, self.slow - before.slow
        return fast / (fast + slow) if fast + slow else 0.0


def compile_heat(directory: Path) -> None:
    """Compile the load and the plugin that counts its accesses."""
    at = ("-no-pie", f"-Wl,-Ttext-segment={TEXT[0]:#x}")
    heat = ["gcc", *LOAD_FLAGS, *at, "-o", str(directory / "heat"), str(HERE / "heat.c"), "-lm"]
    plugin = ["gcc", *_PLUGIN_FLAGS, "-o", str(directory / "tier_count.so")]
    subprocess.run(heat, check=True)
    subprocess.run([*plugin, str(HERE / "tier_count.c")], check=True)


def counted(layout: Layout, directory: Path) -> Layout:
    """A machine whose emulator counts the accesses of the heat in `directory`."""
    words = (
        str(directory / "tier_count.so"),
        f"counts={directory}/counts",
        f"text={TEXT[0]:x}-{TEXT[1]:x}",
        f"data={MEMORY:x}-{MEMORY + MOST_BYTES:x}",
        f"mark={MARK:x}",
        f"fast={layout.fast_mib}",
    )
    return dataclasses.replace(layout, more=(*layout.more, f"-plugin {','.join(words)}"))


def sampled(layout: Layout, directory: Path, every: int) -> Layout:
    """A machine of `counted` whose guest reads one access in `every` from PORT."""
    pipe = directory / "samples"
    for end in ("in", "out"):  # what QEMU reads, and what the guest would write
        subprocess.run(["mkfifo", f"{pipe}.{end}"], check=True)
    layout = counted(layout, directory)
    plugin = f"{layout.more[-1]},samples={pipe}.in,every={every}"
    wires = (
        "-device virtio-serial-pci",
        f"-chardev pipe,id=samples,path={pipe}",
        f"-device virtserialport,chardev=samples,name={PORT}",
    )
    return dataclasses.replace(layout, more=(*layout.more[:-1], *wires, plugin))


def read_counts(directory: Path) -> list[Counts]:
    """What the plugin counted up to each mark."""
    lines = (directory / "counts").read_text().splitlines()
    return [Counts(*map(int, line.split()[1::2])) for line in lines]
