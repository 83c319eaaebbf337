"""What a run says is dropped and counted where nobody takes it; the run does not notice."""

from __future__ import annotations

import io
import json
import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from pghot.report import stderr
from pghot.report.live import StatusLine
from pghot.report.log_lines import JsonLines
from pghot.report.stderr import Messages


def missing(count: int) -> str:
    return f"[{count} missing]"


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def test_a_pipe_that_nobody_reads_blocks_nobody(pipe, monkeypatch) -> None:
    monkeypatch.setattr(stderr, "PATIENCE_MS", 0)
    reader, stream = pipe
    messages = Messages(stream, missing)
    took = [messages.write("x" * 4095 + "\n") for _ in range(40)]
    assert took == [True] * 16 + [False] * 24
    assert messages.dropped == 24
    os.read(reader, 1 << 16)
    assert messages.write("again\n")
    assert os.read(reader, 1 << 16) == b"[24 missing]again\n"


def test_a_reader_that_has_gone_is_nothing_to_fail_for() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        lines = StatusLine(stream=stream)
        for _ in range(3):
            lines.say("anybody?")
        assert lines._messages.dropped == 3


def test_a_full_disk_is_counted_and_told_once_there_is_room() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as stream:
        lines = JsonLines(stream=stream)
        lines.say("a line")
        lines.say("another")
        told = io.StringIO()
        lines._messages._stream, lines._messages._descriptor = told, -1
        lines.say("the third")
    first, second = map(json.loads, told.getvalue().splitlines())
    assert (first["level"], first["message"]) == (
        "warning", "2 messages before this one were dropped",
    )  # fmt: skip
    assert second["message"] == "the third"


def test_a_stream_that_was_closed_before_we_began_takes_nothing(monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    messages = Messages(None, missing)
    assert not messages.write("hello\n")
    assert not messages.terminal


def test_while_a_command_has_its_own_terminal_ours_has_ends_of_lines_all_the_same() -> None:
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as stream:
        tty.setraw(stream.fileno(), termios.TCSANOW)
        Messages(stream, missing).write("one\ntwo\n")
        assert os.read(reader, 100) == b"one\r\ntwo\r\n"
    os.close(reader)
