"""`pghot top` as a command: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
import sys

import msgspec
import pytest

from pghot.cli import main
from pghot.cli.shipped import shipped
from pghot.top.state import TopState

REPLAY = (
    "top",
    "--replay",
    str(shipped("sqlite.parquet", "examples")),
)


def test_once_prints_a_state_as_text_with_rates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REPLAY, "--once", "--at", "30"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert re.match(r"replay  30\.0 s  default mode, v7  .*sqlite\.parquet\n", said.out)
    assert re.search(r"^accesses +51,066 +331,610$", said.out, re.MULTILINE)
    assert re.search(r"^freq_threshold +2 +debugfs pghot/$", said.out, re.MULTILINE)
    assert "\x1b" not in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines()[1:])


def test_json_prints_the_state_that_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REPLAY, "--json", "--at", "5", "--set", "freq_threshold=1"]) == 0
    plain = json.loads(capsys.readouterr().out)
    state = msgspec.convert(plain, TopState)
    assert state.time_s == 5.0
    assert state.tunables["freq_threshold"] == 1
    assert set(plain) == set(TopState.__struct_fields__)


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        ((*REPLAY, "--sim", "gups"), "name one thing to watch", 2),
        (("top", "--once", "--at", "3"), "--at goes with --replay or --sim", 2),
        (("top", "--set", "freq_threshold=1"), "--set goes with --replay or --sim", 2),
        ((*REPLAY, "--policy", "none"), "--policy goes with --sim", 2),
        ((*REPLAY, "--at", "3"), "--at goes with --once or --json", 2),
        ((*REPLAY, "--once", "--speed", "-1"), "--speed -1.0: wants a number from 0 on", 2),
        ((*REPLAY, "--once", "--set", "freq_threshold=9"), "not within 1..3", 2),
        (("top", "--sim", "nosuch", "--once"), "nosuch: no such preset", 2),
        (("top", "--sim", "gups", "--policy", "none,oracle", "--once"), "one at a time", 2),
        (("top", "--sim", "gups", "--policy", "x", "--once"), "x", 2),
        (("top", "--replay", "nosuch.parquet", "--once"), "nosuch.parquet", 2),
        (("top", "--control", "/nonexistent/ctl", "--once"), "no run listens there", 1),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    words: tuple[str, ...], said: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == status
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("pghot: ")
    assert err.count("\n") == 1


def test_without_a_terminal_it_says_what_does_without(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(REPLAY) == 2
    assert capsys.readouterr().err == "pghot: top wants a terminal; --once prints one state\n"


def test_without_textual_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    assert main(REPLAY) == 1
    assert capsys.readouterr().err == (
        "pghot: top wants Textual: pip install 'pghot[top]'; --once does without\n"
    )
    assert main([*REPLAY, "--once", "--at", "1"]) == 0
