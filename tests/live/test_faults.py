"""A write, fsync, rename, open, socket or thread of a run fails, or kills it: many, in turn.

After each: the host's settings are back, or come back by the journal; what was to be kept is
kept or its loss is told; nothing half-written has a final name.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.live.faulty import FILES, KILL, STEPS

ROOT = Path(__file__).parents[2]
Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory):
    """What came of a run for each step of a kind; the settings as they were before."""

    @cache
    def of(kind: str) -> tuple[list[Outcome], dict[str, str]]:
        place = tmp_path_factory.mktemp(kind)
        seed = random.randrange(1 << 30)  # by the seed that pytest-randomly prints
        done = subprocess.run(
            [sys.executable, "-m", "tests.live.faulty", kind, str(place), str(seed)],
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert told
        (before,) = {json.dumps(one["settings_after"]) for one in told}
        return told, json.loads(before)

    return of


KINDS = pytest.mark.parametrize("kind", STEPS)


def name(one: Outcome) -> str:
    what = os.strerror(one["number"]) if one["number"] else "killed"
    return f"{one['kind']} {one['at']}: {what}: {one['code']}: {one['stderr']}"


@KINDS
def test_settings_are_back_or_come_back_by_the_journal(outcomes, kind: str) -> None:
    told, before = outcomes(kind)
    assert before["/proc/sys/kernel/numa_balancing"] == "0"
    for one in told:
        if one["number"] != KILL:
            assert one["settings"] == before, name(one)
        assert one["settings_after"] == before, name(one)
        assert one["recovered"].get("lines", []) == [], name(one)
        assert not one["journal"], name(one)


@KINDS
def test_nothing_half_written_has_a_final_name(outcomes, kind: str) -> None:
    for one in outcomes(kind)[0]:
        assert not isinstance(one["log"], str), name(one)
        assert not isinstance(one["parts"], str), name(one)
        assert isinstance(one["out"], list), name(one)
        assert one["events"] == "", name(one)
        if one["number"] != KILL:
            # Killed between two renames, some have theirs; each of them is whole.
            assert one["out"] in ([], [*FILES]), name(one)


@KINDS
def test_what_was_to_be_kept_is_kept_or_its_loss_is_told(outcomes, kind: str) -> None:
    for one in outcomes(kind)[0]:
        if one["number"] == KILL:
            continue
        lines = one["stderr"].splitlines()
        assert "Traceback" not in one["stderr"], name(one)
        if one["code"] == 0:
            assert one["out"] == [*FILES], name(one)
            assert one["log"], name(one)
            assert one["parts"] is None, name(one)
        else:
            assert one["code"] in {1, 2}, name(one)
            assert any(os.strerror(one["number"]) in line or "start new" in line
                       for line in lines), name(one)  # fmt: skip


@KINDS
def test_a_run_that_has_begun_is_not_ended_by_what_it_does_beside(outcomes, kind: str) -> None:
    """Of the results and the recording at most one is lost by one fault."""
    for one in outcomes(kind)[0]:
        if one["number"] != KILL and "lost: " in one["stderr"]:
            assert one["out"] == [*FILES] or one["log"], name(one)


@KINDS
def test_nothing_hidden_stays_but_after_a_kill(outcomes, kind: str) -> None:
    for one in outcomes(kind)[0]:
        if one["number"] != KILL:
            assert one["hidden"] == [], name(one)
            assert not one["unfinished"], name(one)


@KINDS
def test_every_kill_is_one(outcomes, kind: str) -> None:
    """So that the tests above have something to look at."""
    killed = [one for one in outcomes(kind)[0] if one["number"] == KILL and one["hit"]]
    assert killed
    assert {one["code"] for one in killed} == {-signal.SIGKILL}
