"""`pghot run` on a stock kernel with what people run: a Redis server, a Python process."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from tests.vm import commands, daemon, dict_load, redis
from tests.vm.groups import group
from tests.vm.layout import FAST, SLOW
from tests.vm.promotion import fast, wait_until_pages_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

KEYS, HOT = 8000, 2000
NOBODY = 65534


@pytest.mark.skipif(not shutil.which(redis.PROGRAM), reason=f"needs {redis.PACKAGE}")
def test_hot_keys_of_a_redis_server_become_fast_while_it_answers(tmp_path: Path) -> None:
    with group("pghot-redis") as ours:
        ours.allow(str(SLOW))
        with redis.serving(tmp_path, ours.inside) as server:
            server.fill(KEYS)
            ours.allow(f"{FAST}-{SLOW}")
            pages = server.pages()
            chosen = random.Random(1).sample(sorted(pages), HOT)
            hot = redis.addresses(pages[key] for key in chosen)
            cold = redis.addresses(set(pages.values()) - set(hot.tolist()))
            assert (len(hot), len(cold)) > (0.99 * HOT, 0.9 * (KEYS - HOT))
            assert fast(server.process.pid, np.concatenate([hot, cold])) == 0
            pid = str(server.process.pid)
            with daemon.running(*daemon.PATIENT, "-p", pid) as pghot:
                pghot.wait_until_watching()
                with asked(server, chosen) as answers:
                    wait_until_pages_fast(server.process.pid, hot)
                cold_moved = fast(server.process.pid, cold)
                live = pghot.stop()["live"]
            assert answers
            assert all(answers)
            assert server.compare(KEYS)
    assert cold_moved <= 0.01 * len(cold)
    print(f"{len(answers) * redis.AT_ONCE} right answers meanwhile, {cold_moved} cold pages moved")
    print(f"promoted {live['promoted_pages']}, refused {live['refused']}")


@contextmanager
def asked(server: redis.Redis, keys: list[int]) -> Iterator[list[bool]]:
    """Ask for the keys round after round, in a thread: each entry a request, right or wrong."""
    answers: list[bool] = []
    enough = threading.Event()

    def ask() -> None:
        for request, due in itertools.cycle(server.peeks(keys)):
            answers.append(server.ask(request, due))
            if enough.is_set():
                return

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield answers
    finally:
        enough.set()
        client.join(60)


def test_the_hot_part_of_a_python_dict_becomes_fast_in_a_process_of_the_sudo_user(
    tmp_path: Path,
) -> None:
    script = tmp_path / "dict_load.py"
    shutil.copy(dict_load.__file__, script)
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    user = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "SUDO_USER": "nobody"}
    python = _python_of_anybody()
    words = (python, str(script), str(KEYS), str(HOT), str(SLOW))
    words = (*daemon.PATIENT, "--", *words)
    with launched(*words, directory=tmp_path, environment=user) as (command, printed):
        said = dict(printed.readline().split() for _ in range(4))
        assert int(said["uid"]) == NOBODY
        pid = int(said["pid"])
        hot, cold = (np.array(said[name].split(","), np.uint64) for name in ("hot", "cold"))
        cold = np.setdiff1d(cold, hot)
        wait_until_pages_fast(pid, hot)
        cold_moved = fast(pid, cold)
        command.send_signal(signal.SIGTERM)
        assert printed.readline() == "values ok\n"
        printed.read()
        assert command.wait(daemon.START_S) == 0
    assert cold_moved <= 0.01 * len(cold)
    print(f"{len(hot)} hot pages fast, {cold_moved} of {len(cold)} cold pages moved")


@contextmanager
def launched(
    *words: str, directory: Path, environment: dict[str, str]
) -> Iterator[tuple[commands.Command, TextIO]]:
    """Run `pghot run WORDS`: with it, what the command it launches prints."""
    fifo = directory / "stdout"
    os.mkfifo(fifo)
    with (
        commands.running(("run", *words), fifo, directory / "stderr", environment) as command,
        fifo.open() as printed,
    ):
        yield command, printed


def _python_of_anybody() -> str:
    """An interpreter that any user may run: ours may lie in root's home."""
    for path in (sys.executable, *Path("/usr/bin").glob("python3"), "/usr/local/bin/python3"):
        try:
            subprocess.run([path, "-c", ""], check=True, user=NOBODY, group=NOBODY)
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(path)
    pytest.skip("no Python 3 that other users may run (python3)")
