"""Memory added while the guest runs: its tests ask, the host does (machine.answer_requests)."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

from tests.vm.machine import SHARED

_numbers = itertools.count()


def add_memory(name: str, *, node: int, mib: int) -> None:
    """Plug a DIMM of `mib` MiB, a multiple of 128, into `node`; RuntimeError where refused.

    The guest's kernel sees it some 0.1 s later, and puts it to use if
    /sys/devices/system/memory/auto_online_blocks says so.
    """
    _ask({"action": "add", "name": name, "node": node, "mib": mib})


def remove_memory(name: str) -> None:
    """Ask the guest's kernel to give a DIMM back; it may take its time, or refuse."""
    _ask({"action": "remove", "name": name})


def _ask(request: dict[str, object], timeout: float = 300) -> None:
    shared = Path(os.environ[SHARED])
    number = f"{os.getpid()}-{next(_numbers)}"
    part = shared / f"request-{number}.part"
    part.write_text(json.dumps(request))
    part.rename(part.with_suffix(".json"))
    answer = shared / f"answer-{number}.json"
    end = time.monotonic() + timeout
    while not answer.exists():
        if time.monotonic() > end:
            raise RuntimeError(f"the host did not answer {request} in {timeout} s")
        time.sleep(0.05)
    if error := json.loads(answer.read_text()):
        raise RuntimeError(f"{request}: {error}")
