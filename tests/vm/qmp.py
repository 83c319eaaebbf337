"""QEMU's machine protocol: one command at a time over a Unix socket (qemu-qmp-ref(7))."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


class QmpError(Exception):
    """QEMU refused a command; the message is its own."""


def execute(path: Path, *commands: tuple[str, dict[str, Any]]) -> list[Any]:
    """Run commands in order and give what each returned."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        with connection.makefile("rw") as stream:
            stream.readline()  # the greeting
            both = [("qmp_capabilities", {}), *commands]
            return [_one(stream, name, arguments) for name, arguments in both][1:]


def _one(stream: Any, name: str, arguments: dict[str, Any]) -> Any:
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "error" in answer:
            raise QmpError(f"{name}: {answer['error']['desc']}")
        if "return" in answer:  # anything else is an event
            return answer["return"]
    raise QmpError(f"{name}: QEMU has gone")


def add_memory(path: Path, *, name: str, node: int, mib: int) -> None:
    """Plug a DIMM of `mib` MiB into `node` of the running machine."""
    backend = {"qom-type": "memory-backend-ram", "id": f"m-{name}", "size": mib << 20}
    dimm = {"driver": "pc-dimm", "id": name, "memdev": f"m-{name}", "node": node}
    execute(path, ("object-add", backend), ("device_add", dimm))


def remove_memory(path: Path, *, name: str) -> None:
    """Ask the guest to give a DIMM back; it need not."""
    execute(path, ("device_del", {"id": name}))
