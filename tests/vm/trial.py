"""In the guest: a trial beside a load, and one that is killed.

python -m tests.vm.trial PAIRS BLOCK_S

The metric is what of the load's memory is on the slow node, in MiB, as the load's own user reads
it: emulated nodes are equally fast, so that stands for its run time.  Writes one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.vm import daemon, load
from tests.vm.layout import FAST
from tests.vm.machine import SHARED

NOBODY = "65534"
SUDO = {"SUDO_UID": NOBODY, "SUDO_GID": NOBODY, "SUDO_USER": "nobody"}
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

METRIC = """
test "$(id -u)" = 65534 || exit 9
awk '{for (i = 1; i <= NF; i++) if ($i ~ /^N1=/) pages += substr($i, 4)}
     END {print pages / 256}' /proc/PID/numa_maps
"""


def placed(process: load.Load) -> dict[str, int]:
    """How many hot and cold pages are fast."""
    hot, cold = process.addresses(64)
    return {
        name: int(np.count_nonzero(process.nodes(pages) == FAST))
        for name, pages in (("hot", hot), ("cold", cold))
    }


def tried(process: load.Load, pairs: int, block_s: float) -> dict[str, object]:
    """A trial from its start to its end."""
    words = (
        *daemon.PATIENT,
        *("-p", str(process.pid), "--trial", str(2 * pairs * block_s)),
        *("--trial-block", str(block_s), "--trial-warm-up", str(block_s / 2), "--trial-seed", "3"),
        *("--metric-command", METRIC.replace("PID", str(process.pid)), "--better", "lower"),
    )
    with daemon.running(*words, environment=SUDO) as pghot:
        status = pghot.process.wait(daemon.START_S + 3 * pairs * block_s)
        said = pghot.said
        result = pghot.result() if status == 0 else {}
    live = result.get("live", {})
    figures = {name: live.get(name) for name in ("refused", "batch_latency", "left_out", "cpu_s")}
    return {"status": status, "said": said, "trial": result.get("trial"), "live": figures}


def killed(process: load.Load, block_s: float) -> dict[str, object]:
    """A trial killed in a block with promotion, and what restore makes of it."""
    words = ("-p", str(process.pid), "--trial", str(12 * block_s), "--trial-seed", "3")
    words = (*daemon.PATIENT, *words)
    before = daemon.settings()
    with daemon.running(*words, environment=SUDO) as pghot:
        pghot.wait_until_watching()
        end = time.monotonic() + daemon.START_S
        while placed(process)["hot"] == 0:
            assert time.monotonic() < end, pghot.said
            time.sleep(0.2)
        pghot.process.send_signal(signal.SIGKILL)
        pghot.process.wait()
    left = daemon.settings()
    restored = daemon.pghot("restore")
    return {
        "changed": before != left,
        "restored": restored.returncode,
        "same": daemon.settings() == before,
    }


def main() -> int:
    """Do both; 0 where the load's pages were intact."""
    pairs, block_s = int(sys.argv[1]), float(sys.argv[2])
    Path(daemon.BALANCING).write_text("0")
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        shutil.copy(Path(os.environ[SHARED]) / "load", scratch)
        os.environ[SHARED] = scratch
        with load.running(64, 16, options=("--pause-us", "0"), prefix=AS_NOBODY) as process:
            before = daemon.settings()
            told = tried(process, pairs, block_s)
            told |= {"settings_same": daemon.settings() == before, "placed": placed(process)}
            told |= {"killed": killed(process, block_s)}
            intact = process.stop().startswith("checksum ok")
    print("result", json.dumps(told))
    return 0 if intact else 1


if __name__ == "__main__":
    sys.exit(main())
