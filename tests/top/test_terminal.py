"""The real program in a real terminal: tmux."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pghot.cli.shipped import shipped

PATIENCE_S = 90.0
"""The loops may have to be compiled, on a machine that has other things to do."""


class Terminal:
    """A tmux of its own with one shell in it."""

    def __init__(self, directory: Path, columns: int, rows: int) -> None:
        self._socket = str(directory / "tmux")
        size = ("-x", str(columns), "-y", str(rows))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "TEXTUAL"))}
        env |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", *size, "exec env 'PS1=ready$ ' sh", env=env
        )

    def close(self) -> None:
        self._tmux("kill-server")

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def asks(self, what: str) -> str:
        """Ask tmux of the terminal, such as whether programs have the other screen."""
        return self._tmux("display-message", "-p", what).strip()

    def wait(self, shown: Callable[[str], bool]) -> str:
        until = time.monotonic() + PATIENCE_S
        while not shown(screen := self.screen()):
            assert time.monotonic() < until, screen
            time.sleep(0.1)
        return screen

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    terminal = Terminal(tmp_path, 80, 24)
    yield terminal
    terminal.close()


def start(terminal: Terminal) -> str:
    """Start the view of a replay from the shell, and give its first whole screen."""
    log = shipped("sqlite.parquet", "examples")
    command = f"{sys.executable} -m pghot top --replay {log}"
    terminal.wait(lambda screen: "ready$" in screen)
    terminal.keys(f"{command} --speed 4 -d 0.5 || echo status $?", "Enter")
    return terminal.wait(
        lambda screen: "hwhint" in screen and "speed 4" in screen and fills(screen)
    )


def fills(screen: str) -> bool:
    """Whether it is drawn to its last line."""
    return len(screen.rstrip("\n").splitlines()) == 24


def test_a_replay_is_watched_edited_and_left_in_a_terminal(terminal: Terminal) -> None:
    start(terminal)
    assert terminal.asks("#{alternate_on}") == "1"
    terminal.keys("Tab")
    terminal.wait(lambda screen: "[Tunables]" in screen)  # the regions were first: no pids
    terminal.keys("e")
    terminal.wait(lambda screen: "Enter writes the value" in screen)
    terminal.keys("7", "Enter")
    screen = terminal.wait(lambda screen: "EINVAL: enabled_sources: '7' has bits" in screen)
    assert "hints)" in screen  # the end of the line is there as well
    terminal.keys("p")
    terminal.wait(lambda screen: "PAUSED" in screen)
    terminal.keys("q")
    screen = terminal.wait(lambda screen: screen.rstrip().endswith("ready$"))
    assert terminal.asks("#{alternate_on} #{cursor_flag} #{mouse_any_flag}") == "0 1 0"
    terminal.keys("echo status $? && stty -a | grep -ow -e -echo -e echo", "Enter")
    screen = terminal.wait(lambda screen: "status 0\n" in screen)
    assert terminal.wait(lambda screen: "\necho\n" in screen)
    assert "Traceback" not in screen


def test_a_signal_gives_the_terminal_back_too(terminal: Terminal) -> None:
    start(terminal)
    shell = int(terminal.asks("#{pane_pid}"))
    listed = Path(f"/proc/{shell}/task/{shell}/children")
    if not listed.exists():
        pytest.skip("the kernel does not list children (CONFIG_PROC_CHILDREN)")
    os.kill(int(listed.read_text()), signal.SIGTERM)
    terminal.wait(lambda screen: f"status {128 + signal.SIGTERM}\n" in screen)
    assert terminal.asks("#{alternate_on} #{cursor_flag} #{mouse_any_flag}") == "0 1 0"
