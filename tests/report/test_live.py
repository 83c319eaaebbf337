"""What a person sees of a run: the line while it runs, the tables at its end, the JSON."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from contextlib import suppress
from functools import partial

import pytest

from pghot.driving.run_state import SourceCounts
from pghot.engine.reasons import LIVE
from pghot.live.options import LiveOptions
from pghot.live.result import LiveResult
from pghot.report.live import StatusLine, status_line
from pghot.report.live_table import print_live
from tests.linux.host_trees import write
from tests.live.world import FAST, HUGE, MS, World, run, state_in

HOT = range(100, 140)
ESCAPE = "\x1b"


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """A two-tier host with process 40 and forty pages of it on the slow node."""
    monkeypatch.setenv("COLUMNS", "80")
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    for page in HOT:
        world.map(40, page)
    return world


@pytest.fixture
def tables(capsys):
    """The tables of a result with white space folded."""

    def tables(result) -> str:
        capsys.readouterr()
        print_live(result)
        return " ".join(capsys.readouterr().out.split())

    return tables


def told(result: LiveResult, **figures: object) -> LiveResult:
    """The same result with other figures of the host."""
    live = dataclasses.replace(result.state.live, **figures)
    return dataclasses.replace(result, state=dataclasses.replace(result.state, live=live))


def test_the_status_names_every_figure_and_its_unit(world):
    world.heat(40, *HOT)
    world.busy = {(40, 100)}
    result, _heard, _status = run(world)
    live = result.state.live
    line = status_line(live)
    assert re.fullmatch(
        rf" +1 s  samples 160  slow faults \d+/s  hot {live.found_hot}  "
        rf"promoted 39 \(156.0 KiB\)  refused {live.refused['EBUSY']}  cpu \d+%",
        line,
    )


def test_the_status_tells_lost_samples_where_any_were_lost(world):
    world.source.counts.lost = 1234
    result, _heard, _status = run(world)
    assert status_line(result.state.live).endswith("lost 1,234")


def test_pages_promoted_are_pages_of_4_kib_also_where_folios_are_huge(world, tables):
    world.map(40, 1024, pages=HUGE)
    world.heat(40, 1024 + 5)
    result, _heard, _status = run(world)
    assert "promoted 512 (2.0 MiB)" in status_line(result.state.live)
    said = tables(result)
    assert "found hot 1 folios" in said
    assert "pages promoted 512 2.0 MiB" in said


def test_the_tables_name_what_ran_for_how_long_and_why_it_ended(world, tables):
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=2))
    assert tables(result).startswith("2.0 s, default mode, improved; the time was up")


def test_every_refusal_is_told_by_name_with_its_count_and_in_words(world, tables):
    world.heat(40, *HOT)
    world.busy = {(40, 100), (40, 101)}
    world.clock.at(5 * MS, lambda: world.fork(40, 42))  # shares them all
    world.clock.at(150 * MS, lambda: world.exit(42))
    result, _heard, _status = run(world)
    said = tables(result)
    refused = result.state.live.refused
    assert refused.keys() >= {"EACCES", "EBUSY"}
    for name, count in refused.items():
        assert f"refused: {name} {count:,} {LIVE[name]}" in said


def test_a_full_target_is_told_as_room_that_lacks(world, tables):
    world.free[FAST] = 0
    world.heat(40, *HOT, times=2)
    result, _heard, _status = run(world)
    said = tables(result)
    assert re.search(
        r"refused: isolation \d+ not isolated: unmovable, or no room on the target", said
    )
    assert "pages promoted 0 0 B" in said


def test_a_dry_run_says_what_would_be_moved(world, tables):
    world.heat(40, *HOT, times=2)
    result, _heard, _status = run(world, dry_run=True)
    said = tables(result)
    assert "pages would be moved 40 160.0 KiB" in said
    assert "calls of move_pages" not in said


def test_what_the_kernel_promoted_itself_is_counted_apart(world, tables):
    world.kernel_promoted = 500
    world.clock.at(300 * MS, lambda: setattr(world, "kernel_promoted", 517))
    result, _heard, _status = run(world)
    assert "promoted by the kernel itself 17 pages" in tables(result)


def test_the_figures_of_each_source_are_named(world, tables):
    world.heat(40, 100, times=3)
    result, _heard, _status = run(world)
    assert "samples 3 lost 0 the ring was full, or the hardware dropped them" in tables(result)
    assert "corrupt" not in tables(result)
    counts = SourceCounts(
        lost=11, throttled=12, unresolved=13, kernel=14, not_memory=15, corrupt=16
    )
    said = tables(told(result, sources={"hintfault": counts}))
    for line in (
        "lost 11 the ring was full",
        "throttled 12 times that",
        "without address 13 no physical address",
        "the kernel's own 14 or of no process",
        "not of memory 15 served by a cache, or no load or store",
        "corrupt 16 records that made no sense",
    ):
        assert line in said


def test_samples_left_out_are_told_by_reason(world, tables):
    world.process(41)
    world.map(41, 100)
    world.map(40, 500, FAST)
    world.heat(41, 100)
    world.heat(40, 500, times=3)
    world.heat(40, 139, times=2, each_ms=10)
    world.clock.at(50 * MS, lambda: world.unmap(40, 139))
    said = tables(run(world)[0])
    for line in (
        "of other processes 4",
        "on the top tier already 3",
        "of pages freed since 2",
    ):
        assert line in said
    assert "of pages that cannot move" not in said


def test_rows_that_came_late_are_told(world, tables):
    world.clock.at(350 * MS, partial(world.access, 40, 100, ago_us=100_000))
    assert "samples that came late 1 " in tables(run(world)[0])
    assert "came late" not in tables(run(world)[0])


def test_the_calls_of_move_pages_are_told_in_milliseconds(world, tables):
    world.heat(40, *HOT, times=2)
    world.ns_a_page = 1_000_000  # forty of them take 40 ms of a budget of 20
    said = tables(run(world)[0])
    assert "calls of move_pages half within 99 % within longest over budget" in said
    assert re.search(r"1 40\.00 ms 40\.00 ms 40\.00 ms 1 ", said)


def test_memcgs_are_told_by_number_and_control_group(world, tables):
    write(world.root, "/sys/fs/cgroup/cgroup.controllers", "memory cpu")
    write(world.root, "/sys/fs/cgroup/web.slice/cgroup.procs", "40")
    inode = world.path("/sys/fs/cgroup/web.slice").stat().st_ino
    for page in range(200, 210):
        world.map(40, page, memcg=inode)
    world.heat(40, *range(200, 210))
    result, _heard, _status = run(world)
    assert re.search(rf"memcg pages control group \S+ {inode} 10 /web\.slice", tables(result))
    live = result.summary()["live"]
    assert live["memcg_promoted"] == {str(inode): 10}
    assert live["memcg_names"] == {str(inode): "/web.slice"}


@pytest.mark.parametrize(
    ("times", "pid", "advice"),
    [
        (0, 40, "no sample came at all: see pghot doctor"),
        (1, 41, "no target accessed memory of a lower tier: see pghot topology"),
        (1, 40, "no page was accessed often enough within the window: see freq_threshold"),
    ],
)
def test_where_nothing_was_promoted_it_says_where_to_look(world, tables, times, pid, advice):
    world.process(41)
    world.map(41, 100)
    world.heat(pid, 100, times=times)
    assert tables(run(world)[0]).endswith(advice)


def test_where_something_was_promoted_there_is_no_advice(world, tables):
    world.heat(40, 100)
    assert "see " not in tables(run(world)[0])


def test_the_tables_fit_eighty_columns_and_cut_nothing_short(world, capsys):
    world.heat(40, *HOT)
    world.busy = {(40, 100)}
    result, _heard, _status = run(world)
    many = 12_345_678_901
    counts = SourceCounts(**{field.name: many for field in dataclasses.fields(SourceCounts)})
    names = {"0": "/kubepods.slice/" + "pod-0123456789abcdef" * 5}
    result = told(result, sources={"hintfault": counts, "hwhint": counts}, memcg_names=names)
    capsys.readouterr()
    print_live(result)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert said.count("12,345,678,901") == 16
    assert "…" not in said


def test_the_json_says_the_same_by_name(world):
    world.heat(40, *HOT)
    world.busy = {(40, 100)}
    world.clock.at(300 * MS, lambda: setattr(world, "kernel_promoted", 17))
    result, _heard, _status = run(world)
    summary = json.loads(json.dumps(result.summary()))
    live = summary["live"]
    assert summary["vmstat"]["pgpromote_success"] == live["promoted_pages"] == 39
    assert summary["nodes"]["0"]["free_pages"] == world.free[FAST]
    assert summary["accesses"] + live["left_out"]["on the top tier already"] == 160
    assert live["refused"] == result.state.live.refused
    assert live["sources"]["hintfault"]["seen"] == 160
    assert live["found_hot"] == result.state.live.found_hot
    assert live["kernel_promoted_pages"] == 17
    assert live["ended"] == "the time was up"
    assert live["real_s"] == pytest.approx(1, abs=0.1)
    assert live["batch_latency"]["count"] == len(world.moves)
    assert (live["dry_run"], live["late_rows"], live["fidelity"]) == (False, 0, "improved")


def on_terminal(write_to) -> str:
    """What is written to a terminal."""
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as stream:
        write_to(stream)
    said = b""
    with suppress(OSError):  # EIO: all that was written has been read, and nobody writes
        while part := os.read(reader, 1 << 16):
            said += part
    os.close(reader)
    return said.decode()


@pytest.mark.parametrize("no_color", [True, False])
def test_what_goes_to_a_file_has_no_escapes(world, capsys, monkeypatch, no_color):
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    world.heat(40, *HOT)
    result, _heard, _status = run(world)
    capsys.readouterr()
    print_live(result)
    StatusLine(period_s=0).show(result.state)
    done = capsys.readouterr()
    assert ESCAPE not in done.out + done.err
    assert "\r" not in done.err


def test_on_a_terminal_no_color_leaves_no_colour(world, monkeypatch):
    world.heat(40, *HOT)
    result, _heard, _status = run(world)
    monkeypatch.setenv("TERM", "xterm-256color")

    def to(stream):
        monkeypatch.setattr("sys.stdout", stream)
        print_live(result)

    assert ESCAPE in on_terminal(to)
    monkeypatch.setenv("NO_COLOR", "1")
    codes = re.findall(r"\x1b\[([0-9;]*)m", on_terminal(to))
    assert {code for all_ in codes for code in all_.split(";")} <= {"", "0", "1", "2"}


def test_on_a_terminal_the_status_writes_over_itself_and_never_wraps(world, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    result, _heard, _status = run(world)

    def to(stream):
        line = StatusLine(stream=stream)
        line.show(result.state)
        line.show(result.state)
        line.say("something else")
        line.end()

    *rows, last = on_terminal(to).split("\r\n")
    assert last == ""
    (row,) = rows
    _start, first, second, cleared, message = row.split("\r")
    assert first == second == status_line(result.state.live)[:39]
    assert cleared == " " * 39
    assert message == "pghot: something else"


def test_elsewhere_the_status_is_a_line_every_ten_seconds(world):
    stream = io.StringIO()
    line = StatusLine(stream=stream)
    heard = []

    def status(state):
        heard.append(state.live.real_s)
        line.show(state)

    run(world, LiveOptions(pids=(40,), duration=31), status=status)
    assert [int(seconds) for seconds in heard] == list(range(1, 32))
    seconds = [int(text.split()[0]) for text in stream.getvalue().splitlines()]
    assert seconds == [10, 20, 30]
