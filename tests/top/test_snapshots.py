"""Whole screens, fed with made-up states (`screen.WRITE` writes them anew)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from textual.pilot import Pilot

from tests.top.feeds import Given, run_state
from tests.top.screen import drive, press, same_as_snapshot

SMALL, LARGE = (80, 24), (120, 40)
SCREENS: dict[str, tuple[tuple[int, int], Sequence[str]]] = {
    "processes-80x24": (SMALL, ()),
    "regions-80x24": (SMALL, ("tab",)),
    "tunables-80x24": (SMALL, ("left",)),
    "edit-80x24": (SMALL, ("e", "down", "down", "e", "9")),
    "refused-80x24": (SMALL, ("e", "e", "x", "enter")),
    "filter-80x24": (SMALL, ("slash", "r", "e", "d")),
    "help-80x24": (SMALL, ("h",)),
    "all-120x40": (LARGE, ()),
    "edit-120x40": (LARGE, ("e", "down", "e", "1")),
    "help-120x40": (LARGE, ("question_mark",)),
}


@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_looks_so(name: str) -> None:
    size, keys = SCREENS[name]

    async def look(pilot: Pilot[None]) -> None:
        assert same_as_snapshot(name, await press(pilot, *keys))

    drive(Given([run_state(4), run_state(5)]), look, size)


def test_before_the_first_state_it_says_what_it_waits_for() -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert same_as_snapshot("waiting-80x24", await press(pilot))

    drive(Given([], said="no pghot run listens in /run/pghot/ctl; waiting for a run"), look)


def test_when_the_run_has_ended_its_last_state_stays_and_says_so() -> None:
    last = run_state(5, live={"ended": "the command ended"})

    async def look(pilot: Pilot[None]) -> None:
        assert same_as_snapshot("ended-80x24", await press(pilot))

    drive(Given([run_state(4), last], said="waiting for a run"), look)
