"""A command has a session and a terminal of its own: what goes through to it, and what not."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pghot.linux.processes.launch import Launched
from tests.linux.test_launch import PATH, needs_root, sudo, written

ROOT = Path(__file__).parents[2]
OURS = """
import os, sys, termios
from pghot.linux.processes.launch import Launched
print("ours", os.getsid(0), os.ttyname(0), flush=True)
before = termios.tcgetattr(0)
with Launched(sys.argv[1:], dict(os.environ)) as launched:
    launched.hear(lambda line: print("told", line))
    launched.fork()
    launched.start()
    status = launched.wait()
print("modes", termios.tcgetattr(0) == before, "status", status, flush=True)
"""


class Shell:
    """A terminal, in which a process starts a command as `pghot run -- COMMAND` does."""

    def __init__(self, *command: str, code: str = OURS, **environ: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            words = [sys.executable, "-c", code, *command]
            os.execve(sys.executable, words, {**os.environ, **environ})  # noqa: S606
        self.shown = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def until(self, words: str, last: str = "") -> str:
        end = time.monotonic() + 90
        while words not in self.shown or not self.shown.endswith(last):
            assert time.monotonic() < end, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.master, 4096).decode()
                except OSError:  # all have closed it
                    pytest.fail(self.shown)
        return self.shown

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def shell() -> Iterator[type]:
    open_now: list[Shell] = []

    def start(*command: str, **options: str) -> Shell:
        open_now.append(Shell(*command, **options))
        return open_now[-1]

    yield start
    for one in open_now:
        one.close()


def test_it_leads_its_own_session_in_its_own_terminal(shell) -> None:
    code = "import os; print('its', os.getsid(0), os.getpid(), os.ttyname(0), os.ttyname(2))"
    shown = shell(sys.executable, "-c", code).until("status 0")
    ours, its = (line.split() for line in shown.splitlines() if line[:3] in {"our", "its"})
    assert its[1] == its[2] != ours[1]
    assert its[3] == its[4] != ours[2]


TYPES = """
import fcntl, os, termios
for place in ("/dev/tty", *(f"/proc/self/fd/{n}" for n in range(20))):
    try:
        with open(place, "rb+", buffering=0) as terminal:
            for letter in b"typed by another\\n":
                fcntl.ioctl(terminal, termios.TIOCSTI, bytes([letter]))
    except OSError:
        pass
print("has typed")
"""


@needs_root
def test_another_user_cannot_type_into_roots_terminal(shell) -> None:
    terminal = shell(sys.executable, "-c", TYPES, PATH=PATH, **sudo())
    terminal.until("status", "\r\n")  # to the end of the last line: what waits then was typed
    after = terminal.shown.partition("status")[2]
    assert "typed by another" not in after
    # Nor does anything wait there for the shell that comes next.
    assert fcntl.ioctl(terminal.master, termios.FIONREAD, bytes(4)) == bytes(4)


def test_keys_reach_it_and_what_it_writes_is_shown(shell) -> None:
    terminal = shell("sh", "-c", "read line; echo got $line | tr a-z A-Z")
    terminal.until("ours")
    terminal.type("a word\n")
    assert "GOT A WORD" in terminal.until("status 0")


def test_ctrl_c_is_the_commands_and_its_status_is_passed_on(shell) -> None:
    terminal = shell("sh", "-c", "trap 'echo caught; exit 7' INT; echo ready; read line; sleep 60")
    terminal.until("ready")
    terminal.type("\x03")
    terminal.until("caught")
    assert "modes True status 7" in terminal.until("status 7")


def test_it_has_our_window_size_and_hears_of_a_new_one(shell) -> None:
    terminal = shell("sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    terminal.until("ready")
    for size in ((31, 101), (42, 132)):
        terminal.resize(*size)
        terminal.until(f"{size[0]} {size[1]}")


def test_our_terminal_is_as_it_was_though_others_hold_the_commands_open(shell) -> None:
    terminal = shell("sh", "-c", "(trap '' HUP; sleep 30) & echo done")
    assert "modes True status 0" in terminal.until("status 0")


def test_what_is_no_terminal_stays_what_it_is(shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = textwrap.dedent(f"""
        import os
        os.dup2(os.open({str(out)!r}, os.O_WRONLY | os.O_CREAT), 1)
        from pghot.linux.processes.launch import Launched
        with Launched(["sh", "-c", "test -t 0 && test ! -t 1 && echo so"]) as launched:
            launched.start()
            status = launched.wait()
        os.write(2, b"status %d" % status)
    """)
    assert "status 0" in shell(code=code).until("status 0")
    assert out.read_text() == "so\n"


def test_without_a_terminal_it_has_none() -> None:
    code = textwrap.dedent("""
        import os, sys
        from pghot.linux.processes.launch import Launched
        with Launched(["sh", "-c", "echo $$; cut -d' ' -f6,7 /proc/$$/stat"]) as launched:
            launched.start()
            sys.exit(launched.wait())
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    pid, session, terminal = done.stdout.split()
    assert (session, terminal) == (pid, "0")


@pytest.mark.parametrize(("allowed", "value"), [(False, "1"), (True, "0")])
def test_it_gains_no_rights_unless_that_is_asked_for(
    tmp_path: Path, allowed: bool, value: str
) -> None:
    out = tmp_path / "out"
    script = f"grep NoNewPrivs /proc/self/status >{out}"
    with Launched(["sh", "-c", script], new_privileges=allowed) as launched:
        launched.start()
        assert launched.wait() == 0
    assert out.read_text().split() == ["NoNewPrivs:", value]


@needs_root
def test_a_set_user_id_program_gains_nothing(tmp_path: Path) -> None:
    program = tmp_path / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    text = written(tmp_path, f"{program} -u >$OUT", {**sudo(), "PATH": PATH})
    assert text.strip() != "0"
