"""In the guest: one load, one promoter, from the moment the load's memory is touched.

python -m tests.vm.pressure PROMOTER SECONDS HEAT_ARGUMENT... [-- PGHOT_ARGUMENT...]

PROMOTER is `none`, `numa` (NUMA balancing in tiering mode) or `pghot`.  Writes what the load
says, and one JSON object at the end.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

HEAT = Path(os.environ["PGHOT_VM_SHARED"]) / "heat"
BALANCING = Path("/proc/sys/kernel/numa_balancing")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
COUNTED = ("pgpromote_success", "pgdemote_kswapd", "pgdemote_direct", "numa_hint_faults")


def counters() -> dict[str, int]:
    """What the kernel has counted since boot, of what matters here."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    found = {name: int(value) for name, value in map(str.split, lines)}
    names = [name for name in found if name.startswith(("pgdemote", "pgmigrate"))]
    return {name: found[name] for name in (*COUNTED, *names) if name in found}


def load_cpu_of(pid: int) -> int:
    """CPU time of a process so far, in ticks."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))


def main() -> int:
    promoter, length, *rest = sys.argv[1:]
    at = rest.index("--") if "--" in rest else len(rest)
    load_arguments, extra = rest[:at], rest[at + 1 :]
    BALANCING.write_text("0")
    DEMOTION.write_text("1")
    load = subprocess.Popen(
        [HEAT, load_arguments[0], "0", *load_arguments[1:]], stdout=subprocess.PIPE, text=True
    )
    assert load.stdout is not None
    pid = int(load.stdout.readline().split()[1])
    print(load.stdout.readline(), end="")
    ready = float(load.stdout.readline().split()[1])
    daemon = None
    if promoter == "numa":
        BALANCING.write_text("2")
    elif promoter == "pghot":
        daemon = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pghot",
                "run",
                "-p",
                str(pid),
                *(word.replace("SHARED", os.environ["PGHOT_VM_SHARED"]) for word in extra),
            ]
        )
    while promoter != "none" and BALANCING.read_text().strip() != "2":
        time.sleep(0.1)
    before = counters()
    load_before = load_cpu_of(pid)
    os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + float(length)
    for line in load.stdout:
        print(line, end="", flush=True)
        if time.monotonic() > end:
            break
    after = counters()
    load_cpu = load_cpu_of(pid) - load_before
    if daemon is not None:
        daemon.terminate()
        daemon.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    load.terminate()
    said = load.stdout.read()
    print(said)
    load.wait()
    delta = {name: after[name] - before[name] for name in after}
    print(
        json.dumps(
            {
                "promoter": promoter,
                "load_cpu": load_cpu,
                "daemon_cpu": used.ru_utime + used.ru_stime,
                "ready": ready,
            }
            | delta
        )
    )
    return 0 if "checksum ok" in said else 1


if __name__ == "__main__":
    sys.exit(main())
