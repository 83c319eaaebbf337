"""A report of a curve, a sweep or advice says and draws what the files hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot.cli import main
from pghot.errors import InputError
from pghot.exploring.advice import Advice, PromoteAnswer, SettingsAnswer, SizeAnswer
from pghot.exploring.policy_runs import Candidate, CandidateTrial
from pghot.exploring.sweep_table import table_of
from pghot.report.page.explored import read_explored
from pghot.report.page.page import render_content

LOG = Path(__file__).parents[3] / "examples" / "sqlite.parquet"
RAGGED = (
    b'{"log": "a", "whole": {"name": "", "accesses": 1, "pages": 1, "fast_pages": [1], '
    b'"lines": [{"name": "a", "part": "whole", "share": [], "error": []}]}}'
)
HOSTILE = "</script><b>bold</b>"


@pytest.fixture(scope="module")
def curve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curve") / "out"
    assert main(["curve", str(LOG), "-o", str(out)]) == 0
    return out


def row(point, policy, fast, threshold, share, moves, error=None):
    figures = {} if error else {"fast_share": share, "moves": moves}
    return {
        "point": point, "key": str(point), "kind": "replay", "input": "a.parquet",
        "policy": policy, "fast": "", "fast_pages": fast, "footprint_pages": 99, "seed": None,
        "settings": {"freq_threshold": threshold}, "error": error, "duration_s": 0.1,
        "figures": figures,
    }  # fmt: skip


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    rows = [
        row(0, "v7", 256, "1", 0.5, 10), row(1, "v7", 256, "2", 0.6, 10),
        row(2, "v7", 512, "1", 0.7, 20), row(3, "v7", 512, "2", 0.8, 20),
        row(4, HOSTILE, 512, "2", 0, 0, f"broken {HOSTILE}"),
    ]  # fmt: skip
    pq.write_table(table_of(rows), tmp_path / "sweep.parquet")
    return tmp_path


def advice_of(**more):
    best = CandidateTrial(
        Candidate("pghot-hwhint", (("freq_threshold", "1"),)), 0.9, 0, 0.92, 9.0, 70, 0.1
    )
    base = CandidateTrial(Candidate("pghot-hwhint"), 0.8, 0, 0.81, 9.5, 50, 0.1)
    none = CandidateTrial(Candidate("none"), 0.6, 0, 0.61, 9.9, 0, 0.0)
    trials = {"first touch": none, "interleave": none, "defaults": base, "best settings": best}
    shares = {"bound": 0.95, "lru": 0.9, "first_touch": 0.6}
    size = SizeAnswer(0.95, 900, 256, {"bound": (256, 256, 256)}, {256: shares})
    given = {
        "source": HOSTILE, "kind": "log", "size": size,
        "settings": SettingsAnswer(best, base, 36, 0.11, 0.01),
        "promote": PromoteAnswer(trials, "pays", (0.5, None)),
        "changes": ["skew"], "assumed": ["latencies"], "untold": {},
    } | more  # fmt: skip
    return Advice(**given)


def written(tmp_path: Path, advice: Advice) -> Path:
    (tmp_path / "advice.json").write_text(json.dumps(advice.to_dict()))
    return tmp_path


def test_a_curve_is_drawn_for_the_whole_log_and_its_second_half(curve):
    content = read_explored([curve])
    (section,) = content.sections
    assert [view.name for view in section.views] == ["whole log", "second half"]
    assert "hottest that fit serves 95 % from 18.9 MiB on." in content.summary
    lines = {value["run"] for value in section.views[0].spec["data"]["values"]}
    assert lines == {"hottest that fit", "hottest, without chance", "LRU", "first touch",
                     "interleave"}  # fmt: skip


def test_a_sweep_is_drawn_by_size_by_two_settings_and_as_its_front(sweep):
    content = read_explored([sweep])
    front, sizes, maps, failed = content.sections
    assert [cells[0] for cells in front.tables[0].rows] == [3, 1]
    assert {v["run"] for v in sizes.views[0].spec["data"]["values"]} == {
        "v7 freq_threshold=1", "v7 freq_threshold=2",
    }  # fmt: skip
    (view,) = maps.views
    values = {(v["x"], v["y"]): v["v"] for v in view.spec["data"]["values"]}
    assert values[("1.0 MiB", "2")] == 60
    assert failed.tables[0].rows[0][0] == 4
    assert content.summary == ["5 points, 1 failed."]


def test_advice_is_given_in_its_words(tmp_path):
    content = read_explored([written(tmp_path, advice_of())])
    assert content.summary[0].startswith("Promotion pays with 1.0 MiB of fast memory")
    assert "confirmed on another" in content.summary[1]


def test_what_cannot_be_told_is_said(tmp_path):
    untold = {"settings": "too thin", "promote": "too thin"}
    advice = advice_of(settings=None, promote=None, untold=untold)
    content = read_explored([written(tmp_path, advice)])
    assert content.summary == ["Cannot be told: too thin."] * 2


def test_nothing_of_a_file_is_markup(sweep, tmp_path):
    for content in (
        read_explored([sweep]),
        read_explored([written(tmp_path / "..", advice_of())]),
    ):
        text = render_content(content, HOSTILE, "let library;")
        assert "<b>" not in text
        assert len(re.findall("<script", text)) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("curve.json", b"{"),
        ("curve.json", b'{"log": "a"}'),
        ("curve.json", RAGGED),
        ("advice.json", b"{}"),
        ("sweep.parquet", b"PAR1"),
    ],
)
def test_files_of_others_are_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="not what pghot writes"):
        read_explored([tmp_path])


def test_a_table_that_is_no_sweep_s_is_refused(tmp_path):
    pq.write_table(pa.table({"point": [1]}), tmp_path / "sweep.parquet")
    with pytest.raises(InputError, match="it has not the columns of a sweep"):
        read_explored([tmp_path])


def test_it_has_a_report_of_its_own(curve, sweep):
    with pytest.raises(InputError, match="a curve, a sweep or advice has a report of its own"):
        read_explored([sweep, curve])
    assert read_explored([curve.parent]) is None
