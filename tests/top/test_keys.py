"""What each key does, pressed in the view itself."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.published import published
from tests.top.feeds import Given, run_state
from tests.top.screen import drive, press, settle, text_of


def given() -> Given:
    return Given([run_state(4), run_state(5)])


def column(lines: list[str], head: str, cell: int) -> list[str]:
    """A column of the table whose head line starts with `head`."""
    at = next(place for place, line in enumerate(lines) if line.startswith(head))
    rows = [line.split() for line in lines[at + 1 :] if line and not line.startswith("F1")]
    return [row[cell] for row in rows if len(row) > cell]


@pytest.mark.parametrize("key", ["q", "f10", "ctrl+c"])
def test_it_ends_with_status_0(key: str) -> None:
    async def leave(pilot: Pilot[None]) -> None:
        await pilot.press(key)
        await pilot.pause()

    app = drive(given(), leave)
    assert not app.is_running
    assert app.return_code == 0


@pytest.mark.parametrize("key", ["h", "question_mark", "f1"])
def test_help_lists_the_keys_and_any_key_closes_it(key: str) -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert any("sort by the next column" in line for line in await press(pilot, key))
        # The key that closes it does nothing else: q does not end the view.
        assert text_of(pilot.app)[0] != (await press(pilot, "q"))[0]
        assert pilot.app.is_running
        assert "redis-server" in "\n".join(text_of(pilot.app))

    drive(given(), look)


def test_tab_and_arrows_go_from_table_to_table_and_round() -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert "[Processes]" in "\n".join(text_of(pilot.app))
        for key, table in [
            ("tab", "Regions"),
            ("right", "Tunables"),
            ("tab", "Processes"),
            ("left", "Tunables"),
            ("shift+tab", "Regions"),
        ]:
            assert f"[{table}]" in "\n".join(await press(pilot, key))

    drive(given(), look)


def test_s_sorts_by_the_next_column_and_i_the_other_way_round() -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert column(text_of(pilot.app), "PID", 0) == ["812", "813", "814"]  # by accesses
        assert column(await press(pilot, "I"), "PID", 0) == ["814", "813", "812"]
        lines = await press(pilot, "s")
        assert any("v Hot folios" in line for line in lines)
        assert column(lines, "PID", 0) == ["812", "813", "814"]
        lines = await press(pilot, "s", "s", "f6")  # promoted, pid, name
        assert column(lines, "PID", 1) == ["bio_close_file", "jemalloc_bg_thd", "redis-server"]

    drive(given(), look)


def test_a_filter_follows_the_letters_stays_with_enter_and_goes_with_escape() -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert column(await press(pilot, "slash", "C", "l", "o"), "PID", 0) == ["813", "Clo"]
        assert column(await press(pilot, "enter"), "PID", 0) == ["813"]
        lines = await press(pilot, "tab")  # of every table
        assert "no row has Clo" in "\n".join(lines)
        await press(pilot, "left")
        assert column(await press(pilot, "escape"), "PID", 0) == ["812", "813", "814"]

    drive(given(), look)


def test_keys_typed_into_the_filter_are_letters() -> None:
    async def look(pilot: Pilot[None]) -> None:
        await press(pilot, "slash", "q", "h", "p", "space", "I")
        assert pilot.app.is_running
        assert "qhp I" in "\n".join(text_of(pilot.app))

    drive(given(), look)


def test_a_tunable_is_edited_in_its_place() -> None:
    feed = given()

    async def look(pilot: Pilot[None]) -> None:
        lines = await press(pilot, "e")
        assert "[Tunables]" in "\n".join(lines)
        lines = await press(pilot, "down", "down", "down", "enter", "2", "0")
        assert [line.split()[1] for line in lines if line.startswith("kmigrated_sleep_ms")] == [
            "20"
        ]
        assert feed.written == []
        lines = await press(pilot, "enter")
        assert feed.written == [("kmigrated_sleep_ms", "20")]
        assert "kmigrated_sleep_ms: wrote 20" in lines

    drive(feed, look)


def test_what_the_kernel_would_refuse_is_said_in_one_line() -> None:
    feed = given()

    async def look(pilot: Pilot[None]) -> None:
        lines = await press(pilot, "e", "e", "x", "enter")
        assert "EINVAL: enabled_sources: 'x' is no number" in lines
        assert (
            next(line for line in lines if line.startswith("enabled_sources ")).split()[1] == "0x3"
        )

    drive(feed, look)
    assert feed.written == []


def test_escape_leaves_a_tunable_as_it_is() -> None:
    feed = given()

    async def look(pilot: Pilot[None]) -> None:
        lines = await press(pilot, "e", "e", "7", "escape")
        assert [line.split()[1] for line in lines if line.startswith("enabled_sources")] == ["0x3"]

    drive(feed, look)
    assert feed.written == []


def test_while_paused_what_is_seen_stays_and_space_shows_the_newest() -> None:
    feed = Given([run_state(4)])

    async def look(pilot: Pilot[None]) -> None:
        assert "PAUSED" in (await press(pilot, "p"))[0]
        feed.states.append(run_state(5))
        await settle(pilot)
        assert "14.0 s" in text_of(pilot.app)[0]
        assert "15.0 s" in (await press(pilot, "space"))[0]
        feed.states.append(run_state(6))
        await settle(pilot)
        lines = await press(pilot, "p")
        assert "16.0 s" in lines[0]
        assert "PAUSED" not in lines[0]

    drive(feed, look)


def test_the_chosen_row_stays_chosen_when_the_order_changes() -> None:
    feed = given()

    async def look(pilot: Pilot[None]) -> None:
        await press(pilot, "down")  # 813
        rows = published(6)["processes"]
        feed.states.append(run_state(6, processes=[rows[1], rows[0] | {"accesses": 1}, rows[2]]))
        await settle(pilot)
        assert pilot.app._chosen.chosen == "813 bio_close_file"

    drive(feed, look)


def test_a_new_run_starts_with_no_rates() -> None:
    feed = given()

    async def look(pilot: Pilot[None]) -> None:
        feed.states.append(run_state(1, pid=9, started=1_700_000_100.0))
        await settle(pilot)
        lines = text_of(pilot.app)
        assert "run 9" in lines[0]
        promoted = next(line for line in lines if line.startswith("promoted"))
        assert promoted.split()[1:3] == ["-", "2,500"]

    drive(feed, look)


def test_a_run_goes_at_its_own_speed() -> None:
    async def look(pilot: Pilot[None]) -> None:
        assert "a run goes at its own speed" in await press(pilot, "plus")

    drive(given(), look)


def test_without_colour_the_screen_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screens: list[str] = []

    async def look(pilot: Pilot[None]) -> None:
        screens.append(pilot.app.export_screenshot())
        assert pilot.app.no_color

    drive(given(), look)
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def coloured(pilot: Pilot[None]) -> None:
        screens.append(pilot.app.export_screenshot())

    drive(given(), coloured)
    green = "#98a84b"  # of Rich's theme for pictures: the terminal's own, on a terminal
    assert green in screens[1]
    assert green not in screens[0]
