"""In the guest: one load, one promoter, from the moment the load's memory is touched.

python -m tests.vm.pressure PROMOTER SECONDS HEAT_ARGUMENT... [-- PGHOT_ARGUMENT...]

PROMOTER is `none`, `numa` (NUMA balancing in tiering mode) or `pghot`.  Writes what the load and
pghot say, and one JSON object at the end.  `tests.vm.compare` boots a guest for each.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

BALANCING = Path("/proc/sys/kernel/numa_balancing")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
COUNTED = ("pgpromote_success", "pgdemote_kswapd", "pgdemote_direct", "numa_hint_faults")


class Heat:
    """The load of heat.c, stopped once its memory is touched."""

    def __init__(self, arguments: Sequence[str]) -> None:
        program = Path(os.environ["PGHOT_VM_SHARED"]) / "heat"
        command = [program, arguments[0], "0", *arguments[1:]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.lines: IO[str] = self.process.stdout
        self.pid = int(self.lines.readline().split()[1])
        for line in self.lines:  # its base, then that it is ready
            print(line, end="")
            if line.startswith("ready"):
                break

    def run(self, seconds: float) -> list[dict[str, float]]:
        """Let it go on for so long; what it says every two seconds."""
        os.kill(self.pid, signal.SIGCONT)
        end = time.monotonic() + seconds
        points = []
        for line in self.lines:
            print(line, end="", flush=True)
            words = line.split()
            points.append(dict(zip(words[::2], map(float, words[1::2]), strict=True)))
            if time.monotonic() > end:
                break
        return points

    def end(self) -> bool:
        """End it; whether all its pages were intact."""
        self.process.terminate()
        intact = "checksum ok" in self.lines.read()
        self.process.wait()
        return intact


def counters() -> dict[str, int]:
    """What the kernel has counted since boot, of what matters here."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    found = {name: int(value) for name, value in map(str.split, lines)}
    return {name: found[name] for name in COUNTED if name in found}


def start(promoter: str, pid: int, extra: Sequence[str]) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a promoter and wait until it looks; a process to end, and where its result goes."""
    result = Path(tempfile.mkdtemp()) / "result"
    if promoter == "pghot":
        command = [sys.executable, "-m", "pghot", "run", "-p", str(pid), "-o", str(result), *extra]
    else:
        BALANCING.write_text("2" if promoter == "numa" else "0")
        command = ["sleep", "1000000"]
    process = subprocess.Popen(command)
    while promoter == "pghot" and BALANCING.read_text().strip() != "2":
        assert process.poll() is None, "pghot did not start"
        time.sleep(0.1)
    return process, result


def main() -> int:
    """Run it; 0 where the load's pages were intact."""
    promoter, seconds, *rest = sys.argv[1:]
    at = rest.index("--") if "--" in rest else len(rest)
    BALANCING.write_text("0")
    DEMOTION.write_text("1")
    heat = Heat(rest[:at])
    process, result = start(promoter, heat.pid, rest[at + 1 :])
    before = counters()
    points = heat.run(float(seconds))
    after = counters()
    process.terminate()
    process.wait()
    told = {"promoter": promoter, "points": points}
    told |= {name: after[name] - before[name] for name in after}
    if (result / "summary.json").exists():
        summary = json.loads((result / "summary.json").read_text())
        told["pgpromote_success"] = summary["live"]["promoted_pages"]
        told["live"] = summary["live"]
    intact = heat.end()
    print("result", json.dumps(told))
    return 0 if intact else 1


if __name__ == "__main__":
    sys.exit(main())
