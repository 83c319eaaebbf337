"""Results beside each other: what differs names them, and none hides another."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pghot.binning.forms import HeatMap
from pghot.report.page.chart import bar_colour
from pghot.report.page.heat_map import map_section
from pghot.report.page.made import labelled, made_section
from pghot.report.page.model import ReportTimeline
from pghot.report.page.over_time import fast_section
from pghot.report.page.page import render
from pghot.report.page.read import NAME, read_results
from pghot.report.plain import plain
from tests.report.page.made_runs import a_run


def test_runs_are_named_by_what_sets_them_apart() -> None:
    runs = [a_run("a", tunables={"freq_threshold": n, "window": 5}) for n in (2, 3)]
    assert [run.name for run in labelled(runs)] == [
        "a (freq_threshold: 2)",
        "a (freq_threshold: 3)",
    ]
    starts = [a_run("a", made_of={"start": start}) for start in ("logged", "slow")]
    assert [run.name for run in labelled(starts)] == ["a (start: logged)", "a (start: slow)"]


def test_a_limit_of_two_names_sets_runs_apart_by_one_of_them() -> None:
    both = "pghot_promote_rate_limit_MBps", "numa_balancing_promote_rate_limit_MBps"
    runs = [a_run("a", tunables=dict.fromkeys(both, limit)) for limit in (1, 65536)]
    assert [run.name for run in labelled(runs)] == [
        "a (pghot_promote_rate_limit_MBps: 1)",
        "a (pghot_promote_rate_limit_MBps: 65536)",
    ]


def test_a_legend_has_room_for_the_longest_name_of_a_run() -> None:
    names = ["x" * NAME, "y" * NAME]
    legend = bar_colour(names, names)["legend"]
    assert legend["labelLimit"] >= 6.5 * NAME  # pixels of a letter
    assert legend["columns"] == 2
    assert bar_colour(["a", "b"], ["a", "b"])["legend"]["columns"] > 2


def test_runs_that_differ_in_much_or_nothing_keep_their_names() -> None:
    assert [run.name for run in labelled([a_run("a"), a_run("b")])] == ["a", "b"]
    much = [a_run("a", tunables={f"t{at}": n for at in range(4)}) for n in (1, 2)]
    assert [run.name for run in labelled(much)] == ["a", "a"]


def test_what_differs_comes_first_and_is_marked() -> None:
    runs = [
        a_run(name, made_of={"machine": "m.toml", "start": start}, tunables={"x": 1})
        for name, start in (("a", "logged"), ("b", "slow"))
    ]
    (table,) = made_section(runs).tables
    assert table.rows == [["≠ start", "logged", "slow"], ["machine", "m.toml", "m.toml"]]


def test_a_replay_says_what_it_is_of(results: Path) -> None:
    (run,) = read_results([results / "free"])
    assert run.made_of["log"] == str(results / "log.parquet")
    assert run.made_of["machine"] == str(results / "free.toml")
    assert run.made_of["command line"].startswith("pghot replay ")
    assert run.made_of["node 0"] == "top tier, 128.0 MiB, 117.2 MiB free at first"
    assert run.time is not None
    assert set(run.baselines) == {"as_placed", "first_touch", "interleave", "bound"}


def with_shares(name: str, share: float):
    accesses = np.full(8, 100.0)
    return a_run(name, timeline=ReportTimeline(1.0, accesses=accesses, fast=accesses * share))


def test_lines_that_coincide_are_named_and_the_one_below_is_wider() -> None:
    (view,) = fast_section([with_shares("a", 0.5), with_shares("b", 0.501)]).views
    assert "Lines that coincide, the wider one below: a and b." in view.words
    (layer,) = view.spec["layer"]
    assert "strokeWidth" not in layer["mark"]  # which Vega-Lite would go by instead
    (wider,) = layer["encoding"]["strokeWidth"]["condition"]
    assert wider["test"] == 'datum.run === "a"'
    assert wider["value"] > layer["encoding"]["strokeWidth"]["value"]
    (apart,) = fast_section([with_shares("a", 0.5), with_shares("b", 0.9)]).views
    assert "coincide" not in apart.words


def a_map(counts: list[int]) -> HeatMap:
    return HeatMap(place="node 1", part="whole", unit="PFN", first=0, pages_a_row=1, rows=8,
                   step_us=1, columns=16, share=1, counts=counts)  # fmt: skip


def test_a_map_that_would_be_a_solid_block_is_left_out_and_that_is_said() -> None:
    section = map_section([a_run(heat=[a_map([100] * 128)])])
    assert section.views == []
    assert "1 maps are left out: all of what they show was accessed alike." in section.lines
    assert len(map_section([a_run(heat=[a_map([100] * 64 + [1] * 64)])]).views) == 1
    assert len(map_section([a_run(heat=[a_map([100] * 8 + [0] * 120)])]).views) == 1


def test_more_than_sixteen_runs_become_a_table_and_a_small_chart_each() -> None:
    runs = [replace(with_shares(f"run {at}", at / 20), share=at / 20) for at in range(20)]
    text = render(runs, "t", "")
    view = json.loads(re.search(r'id="views">(.*?)</script>', text)[1])["many-0"]
    assert view["spec"]["facet"]["sort"][0] == "run 19"
    assert {row["run"] for row in view["spec"]["data"]["values"]} == {run.name for run in runs}
    rows = re.findall(r'<tr><th scope="row">(run \d+)</th>', text)
    assert rows[:2] == ["run 19", "run 18"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("redis", "redis"), ("a\x1b[31mred\n", r"a\x1b[31mred\n"), ("\udcff", "?"),
     ("<b>&", "<b>&"), ("\u202egnp", r"\u202egnp")],
)  # fmt: skip
def test_a_name_is_text_whatever_its_characters(name: str, shown: str) -> None:
    assert plain(name) == shown
    text = render([a_run(plain(name))], "t", "")
    assert shown in unescape(text)


def test_a_result_with_a_made_up_verdict_is_refused(results: Path, tmp_path: Path) -> None:
    summary = json.loads((results / "free" / "summary.json").read_text())
    path = tmp_path / "mine"
    path.mkdir()
    (path / "summary.json").write_bytes(
        msgspec.json.encode(summary | {"time": {"verdict": "pays", "saved_s": "much"}})
    )
    with pytest.raises(Exception, match=r"summary\.json: not what pghot writes"):
        read_results([path])
