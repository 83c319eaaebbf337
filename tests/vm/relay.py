"""In the guest: samples of the emulator's plugin, from a virtio-serial port to a run's socket.

python -m tests.vm.relay PORT SOCKET

A sample is `struct sample` of tier_count.c.  It goes on as a bare page frame: whose the page is,
the run has to find out, as for any device.  Its time is the emulator's, not the guest's, and is
left out.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pghot.sources.access_form import DTYPE, MAGIC
from tests.vm.load import PAGE

SAMPLE = np.dtype(
    [("time_ns", "<u8"), ("vaddr", "<u8"), ("physical", "<u8"), ("cpu", "<u4"), ("store", "<u4")]
)
PORTS = Path("/sys/class/virtio-ports")


def device(name: str) -> Path:
    """The device of the port of this name."""
    with contextlib.suppress(OSError):
        subprocess.run(["modprobe", "virtio_console"], check=False)
    for port in PORTS.iterdir():
        if (port / "name").exists() and (port / "name").read_text().strip() == name:
            return Path("/dev") / port.name
    raise FileNotFoundError(f"no virtio-serial port {name}")


def records(samples: bytes) -> bytes:
    """Whole samples as records of the binary form."""
    taken = np.frombuffer(samples, SAMPLE)
    made = np.zeros(len(taken), DTYPE)
    made["where"] = taken["physical"] // PAGE
    made["nr"] = made["pages"] = 1
    made["nid"] = -1
    made["flags"] = taken["store"] != 0
    return made.tobytes()


def main() -> int:
    """Pass samples on until the run ends."""
    name, path = sys.argv[1:]
    feed = socket.socket(socket.AF_UNIX)
    feed.connect(path)
    feed.sendall(MAGIC)
    left = b""
    with device(name).open("rb", buffering=0) as port:
        while True:
            came = port.read(1 << 16) or b""
            if not came:
                time.sleep(0.05)  # the host's end is not open yet
            left += came
            whole = len(left) // SAMPLE.itemsize * SAMPLE.itemsize
            try:
                feed.sendall(records(left[:whole]))
            except BrokenPipeError:
                return 0
            left = left[whole:]


if __name__ == "__main__":
    sys.exit(main())
