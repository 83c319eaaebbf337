"""In the guest: a load, and a run that knows of it by the emulator's samples alone.

python -m tests.vm.outside PORT SECONDS HEAT_ARGUMENT...

The run is let go first; the load goes on until 99 % of its hot pages are fast, or SECONDS are
over.  One JSON object comes last: the share of hot pages that is fast, the cold pages that are,
the run's result, and whether NUMA balancing was ever switched on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.vm import daemon

SOCKET = "/run/pghot-feed.sock"
HOT = 0.99


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """The load, stopped once its memory is touched; its first line says its pid."""
    program = Path(os.environ["PGHOT_VM_SHARED"]) / "heat"
    return subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)


def until_ready(heat: subprocess.Popen[str]) -> None:
    assert heat.stdout is not None
    for line in heat.stdout:
        if line.startswith("ready"):
            return


def until_hot(heat: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """What it says last: the shares that are fast when all that is hot is, or time is up."""
    assert heat.stdout is not None
    end = time.monotonic() + seconds
    said: dict[str, float] = {}
    for line in heat.stdout:
        print(line, end="", flush=True)
        words = line.split()
        said = dict(zip(words[::2], map(float, words[1::2]), strict=True))
        if said["hot"] >= HOT or time.monotonic() > end:
            break
    return said


def until_listening(run: daemon.Daemon) -> None:
    end = time.monotonic() + daemon.START_S
    while not Path(SOCKET).is_socket():
        assert run.process.poll() is None, run.said
        assert time.monotonic() < end, run.said
        time.sleep(0.05)


def main() -> int:
    """Run it; 0 where the load's pages were intact."""
    port, seconds, *arguments = sys.argv[1:]
    daemon.BALANCING.write_text("0")
    heat = start(arguments)
    until_ready(heat)
    with daemon.running("-p", str(heat.pid), "--source", f"external:{SOCKET}") as run:
        until_listening(run)
        relay = subprocess.Popen([sys.executable, "-m", "tests.vm.relay", port, SOCKET])
        os.kill(heat.pid, signal.SIGCONT)
        told = until_hot(heat, float(seconds))
        balancing = daemon.BALANCING.read_text().strip()
        live = run.stop()
        print(run.said)
        relay.terminate()
        relay.wait()
    heat.terminate()
    assert heat.stdout is not None
    said = heat.stdout.read()
    cold = [int(line.split()[1]) for line in said.splitlines() if line.startswith("cold")]
    told |= {"cold": cold[0], "balancing": balancing, "result": live}
    print("result", json.dumps(told))
    return 0 if "checksum ok" in said else 1


if __name__ == "__main__":
    sys.exit(main())
