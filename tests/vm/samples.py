"""In the guest: samples of the emulator's plugin are of the pages that the load has there.

python -m tests.vm.samples COUNT HEAT_ARGUMENT...

Reads COUNT samples of heat.c from the port (tier_count.c says how one looks) and compares the
physical address of each with /proc/PID/pagemap.  One JSON object at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.linux.host import Host
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.procstat import read_stat
from tests.vm.pressure import BALANCING, Heat, inside_a_guest
from tests.vm.tier_count import PORT, SAMPLE

PAGE_SHIFT = 12


def port() -> Path:
    """The device of the port, which udev may not have linked by its name."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(["modprobe", "virtio_console"], check=True)
    for entry in Path("/sys/class/virtio-ports").iterdir():
        if (entry / "name").read_text().strip() == PORT:
            return Path("/dev", entry.name)
    raise SystemExit(f"no port {PORT}")


def read(path: Path, count: int) -> npt.NDArray[Any]:
    """So many samples."""
    with path.open("rb", buffering=0) as file:
        data = b""
        while len(data) < count * SAMPLE.itemsize:
            data += file.read(SAMPLE.itemsize * count)
    return np.frombuffer(data, SAMPLE, count)


def main() -> int:
    """Compare; 0 where the load's pages were intact."""
    inside_a_guest()
    count, *load = sys.argv[1:]
    BALANCING.write_text("0")
    heat = Heat(load)
    path = port()
    os.kill(heat.pid, signal.SIGCONT)
    samples = read(path, int(count))
    with Pagemap(Host(), 1 << PAGE_SHIFT) as pagemap:
        stat = read_stat(Host(), heat.pid)
        assert stat is not None
        mapped = pagemap.lookup(heat.pid, samples["vaddr"], stat.starttime)
    same = mapped.present & (mapped.pfn == samples["physical"] >> np.uint64(PAGE_SHIFT))
    told = {
        "samples": len(samples),
        "same_page": int(np.count_nonzero(same)),
        "pages": len(np.unique(mapped.pfn)),
        "cpus": np.unique(samples["cpu"]).tolist(),
        "stores": int(np.count_nonzero(samples["store"])),
    }
    _cold, intact = heat.end()
    print("result", json.dumps(told | {"intact": intact}))
    return 0 if intact else 1


if __name__ == "__main__":
    sys.exit(main())
