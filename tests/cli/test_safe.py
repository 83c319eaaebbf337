"""What root's process loads and reads: nothing that another user could have put there."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.live_host import LiveHost
from tests.cli.test_live_commands import (
    BALANCING,
    ELSEWHERE,
    is_under_way,
    scraped,
    value,
    wait_for,
)
from tests.files.others import NOBODY, needs_root, open_the_way
from tests.log.made import Run, pghot_command

LOADED = """
import sys
sys.argv = ["pghot", "run", "-p", "40", "-d", "0.2", "--json", "--metrics", ":0"]
{before}
from pghot.cli import main
status = main(sys.argv[1:])
files = [getattr(m, "__file__", None) for m in list(sys.modules.values())]
cached = [getattr(m, "__cached__", None) for m in list(sys.modules.values())]
print(*filter(None, files + cached), sep="\\n", file=sys.stderr)
sys.exit(status)
"""


@needs_root
def test_no_module_is_loaded_from_where_others_may_write(tmp_path: Path) -> None:
    """Nor from the current directory, whose modules another user has put there."""
    place = tmp_path / "theirs"
    place.mkdir()
    for name in ("json", "numpy", "pghot", "sitecustomize"):
        (place / f"{name}.py").write_text("raise SystemExit(99)\n")
    os.chown(place, NOBODY, NOBODY)
    before = ELSEWHERE.format(root=str(tmp_path / "host"), state=str(tmp_path / "state"))
    code = tmp_path / "code.py"
    code.write_text(LOADED.format(before=before))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-P", "-c",
         f"import sys; sys.path.append({str(root)!r}); exec(open({str(code)!r}).read())"],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = [Path(line) for line in done.stderr.splitlines() if line.startswith("/")]
    assert len(loaded) > 100
    for path in loaded:
        assert not path.is_relative_to(place), path
        for step in (path, *path.parents):
            if not step.exists():
                continue
            status = step.stat()
            assert status.st_uid == 0, step
            open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            assert not open_to_others, step


def test_no_entry_point_is_looked_for(tmp_path: Path) -> None:
    """Plug-ins that are installed run only where somebody names them."""
    before = ELSEWHERE.format(root=str(tmp_path / "host"), state=str(tmp_path / "state"))
    code = f"""
import importlib.metadata, sys
real = importlib.metadata.entry_points
def asked(*words, **named):
    if sys._getframe(1).f_globals["__name__"].startswith("pghot"):
        raise SystemExit(99)
    return real(*words, **named)
importlib.metadata.entry_points = asked
{before}
from pghot.cli import main
sys.exit(main(["run", "-p", "40", "-d", "0.2", "--json"]))
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@needs_root
@pytest.mark.parametrize("how", ["owned", "writable", "below"])
def test_a_configuration_that_another_user_could_have_written_is_refused(
    how: str, live: LiveHost, run: Run, tmp_path: Path
) -> None:
    place = tmp_path / "etc"
    place.mkdir()
    open_the_way(tmp_path)
    path = place / "pghot.toml"
    path.write_text("pids = [40]\nduration = 0.3\n")
    if how == "owned":
        os.chown(path, NOBODY, NOBODY)
    elif how == "writable":
        path.chmod(0o666)
    else:
        os.chown(place, NOBODY, NOBODY)
    why = run("run", "--config", path).refusal(2)
    assert "belongs to nobody" in why or "others may write to it" in why
    assert run("config", "check", path).refusal(2) == why
    assert live.writes == []


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('record = "a\\u0000b"', "record: holds a NUL character"),
        ('command = ["true", "\\u0000"]', "command: holds a NUL character"),
        ("duration = inf", "duration: wants a finite number"),
        ("latency_budget = inf", "latency_budget: wants a finite number"),
    ],
)
def test_what_no_path_or_time_can_be_is_one_line(
    text: str, why: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "pghot.toml"
    path.write_text(text + "\n")
    assert run("run", "--config", path).refusal(2) == f"{path}: {why}"


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("words", [("-d", "inf"), ("-d", "1e300"), ("--latency-budget", "inf")])
def test_a_time_without_end_is_one_line(words: tuple[str, str], run: Run) -> None:
    assert "wants" in run("run", "-p", "40", *words).refusal(2)


STRANGER = """
import resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(400):
    held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=90))
print("held", flush=True)
sys.stdin.read()
"""


@needs_root
def test_a_strangers_connections_end_no_run_of_roots(tmp_path: Path) -> None:
    """Root's process may have 200 descriptors; somebody else opens 400 connections to it."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None or not shutil.which("setpriv"):
        pytest.skip("no python3 that others may run, or no setpriv")
    other = tmp_path / "other"
    before = ELSEWHERE.format(root=str(other), state=str(tmp_path / "state"))
    before += "\nimport resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
    words = pghot_command("run", "-p", "40", "--json", "--metrics", ":0", before=before)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        port = process.stderr.readline().decode().rpartition(":")[2].partition("/")[0]
        stranger = subprocess.Popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             python, "-c", STRANGER, port],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with stranger:
            try:
                said = stranger.stdout.readline()
                wait_for(lambda: is_under_way(scraped(f"http://127.0.0.1:{port}/")))
                process.terminate()
                out, err = process.communicate(timeout=90)
            finally:
                stranger.kill()
                process.kill()
    assert said == b"held\n"
    assert process.returncode == 0, err
    assert json.loads(out)["live"]["ended"] == "stopped by SIGTERM"
    assert value(other, BALANCING) == "0"
