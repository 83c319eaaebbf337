"""A real Prometheus server on loopback, for as long as a test needs it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: ["{rules}"]
scrape_configs:
- job_name: pghot
  static_configs: [{{targets: ["{target}"]}}]
"""


def tool(name: str) -> str:
    """A program of Debian's package prometheus; skip where it is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package prometheus)")
    return found


class Server:
    """The HTTP API of a server at a port."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer; RuntimeError where the server refuses the query."""
        url = f"{self._base}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=90) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from error

    def value(self, query: str) -> float | None:
        """The value of a query that has one; None where it has none yet."""
        result = self.get("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._base}/-/ready", timeout=90) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus(directory: Path, target: str, rules: Path) -> Iterator[Server]:
    """Run a server that scrapes `target` (host:port) and loads a file of rules."""
    program = tool("prometheus")
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(target=target, rules=rules))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (directory / "prometheus.log").open("w") as log:
        words = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                server = Server(port)
                wait_for(lambda: server.ready() or process.poll() is not None)
                assert process.poll() is None, (directory / "prometheus.log").read_text()
                yield server
            finally:
                process.terminate()
                process.wait(90)


def wait_for(condition: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
