"""The file stands alone, is small, and lets nothing in that it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot.binning.forms import Binned, HeatMap, Series, binned_file
from pghot.report.page.page import LIMIT, render
from tests.report.page.made_runs import a_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u2028"


class Elements(HTMLParser):
    """The elements of a page, by their tag, with attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_a_hostile_name_is_shown_and_is_not_markup() -> None:
    run = a_run(HOSTILE, about=HOSTILE, notes=[HOSTILE], tunables={HOSTILE: 1},
                refused={HOSTILE: 3}, counters={HOSTILE: 2},
                figures={HOSTILE: HOSTILE})  # fmt: skip
    page = Elements(render([run, a_run()], HOSTILE, "let library;"))
    assert page.of("img") == []
    assert len(page.of("script")) == 3  # the data, the library, our own
    assert [a for tag, a in page.found if any(name.startswith("on") for name in a)] == []


def test_the_policy_forbids_everything_but_the_pages_own_scripts() -> None:
    text = render([a_run()], "t", "let a = '</script>';")
    (policy,) = [a["content"] for a in Elements(text).of("meta") if "http-equiv" in a]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert "unsafe" not in rules["script-src"]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]


def test_nothing_in_the_page_has_an_address_to_fetch() -> None:
    page = Elements(render([a_run()], "t", ""))
    fetched = [
        a.get("src") or a.get("href") for _tag, a in page.found if a.keys() & {"src", "href"}
    ]
    assert all(link.startswith("#") for link in fetched)
    assert page.of("link") == []


def test_sections_come_in_order_and_each_has_a_heading() -> None:
    page = Elements(render([a_run()], "t", ""))
    ids = [a["id"] for a in page.of("section")]
    assert ids == ["summary", "made", "fast", "moves", "refused", "map", "heat", "batches",
                   "compared", "figures"]  # fmt: skip
    headings = {a["id"] for a in page.of("h2")}
    assert {a["aria-labelledby"] for a in page.of("section")} == headings
    assert page.of("html") == [{"lang": "en"}]


def test_every_chart_has_words_and_its_data_as_a_table() -> None:
    text = render([a_run(frequency=[0, 3, 4, 0], threshold=2)], "t", "")
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) >= 2
    for figure in figures:
        assert re.search(r"<figcaption>.{20,}</figcaption>", figure)
        assert re.search(r"<details>.*<table>.*<th scope=\"col\">", figure, re.DOTALL)
    views = json.loads(re.search(r'id="views">(.*?)</script>', text)[1])
    assert all(view["spec"]["description"] for view in views.values())


def huge(path: Path, number: int) -> Path:
    """Write the largest result that a run could leave: everything at its bound."""
    path.mkdir()
    rng = np.random.default_rng(number)
    columns = 512
    many = rng.integers(1 << 40, 1 << 50, columns).tolist()
    nids = [str(nid) for nid in range(16)]
    heat = [
        HeatMap(place=f"pid {4_000_000 + at}", part=part, unit="virtual page", first=0x7FFF_1234_5,
                pages_a_row=1 << 20, rows=64, step_us=800_000, columns=128, share=0.9,
                counts=rng.integers(1 << 40, 1 << 50, 64 * 128).tolist())
        for at in range(6) for part in ("hottest", "whole")
    ]  # fmt: skip
    reasons = [f"reason {at} of a host that refuses for many" for at in range(16)]
    series = Series(
        step_us=10**9, accesses=many, fast=many, fast_without=many,
        refused=dict.fromkeys(reasons, many), threshold_ms=dict.fromkeys(nids, many),
        free_pages=dict.fromkeys(nids, many),
    )  # fmt: skip
    refused = dict.fromkeys(reasons, 1 << 50)
    (path / "binned.json").write_bytes(binned_file([Binned(
        kind="run", name="default", fidelity="improved", refused=refused, series=series, heat=heat,
    )]))  # fmt: skip
    counters = {f"pghot_counter_{at}": 1 << 50 for at in range(20)}
    summary = {
        "mode": "default", "hz": 1000, "tunables": counters, "vmstat": counters,
        "nodes": dict.fromkeys(nids, counters), "batches": 1 << 30, "accesses": sum(many),
        "elapsed_s": 512e3, "live": {"dry_run": False, "left_out": counters},
    }  # fmt: skip
    (path / "summary.json").write_text(json.dumps(summary))
    rows = 300_000
    pq.write_table(pa.table({
        "time_us": np.sort(rng.integers(0, 512 * 10**9, rows).astype(np.uint64)),
        "pages": np.full(rows, 512, np.uint32),
        "batch": np.arange(rows, dtype=np.uint32) // 100,
    }), path / "promotions.parquet")  # fmt: skip
    np.savez(path / "records.npz", record=rng.integers(0, 256, 1 << 20).astype(np.uint8))
    return path


@pytest.mark.parametrize("several", [1, 16, 100])
def test_the_largest_results_make_a_report_under_2_mb(run, tmp_path: Path, several: int) -> None:
    paths = [huge(tmp_path / f"{'a long name ' * 20}{at}", at) for at in range(several)]
    done = run("report", *paths, "-o", tmp_path / "r.html")
    assert done.status == 0, done.err
    assert 900_000 < (tmp_path / "r.html").stat().st_size < LIMIT


def test_the_report_is_written_once_and_over_with_force(
    run, results: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.html"
    assert run("report", results / "free", "-o", out, "--title", "Mine").status == 0
    first = out.read_bytes()
    assert b"<h1>Mine</h1>" in first
    assert "exists already" in run("report", results / "free", "-o", out).refusal()
    assert run("report", results / "free", "-o", out, "--title", "Mine", "--force").status == 0
    assert out.read_bytes() == first


def test_without_the_charting_package_one_line_says_what_to_install(
    results: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['vl_convert'] = None\n"
        "from pghot.cli import main; sys.exit(main())"
    )
    out = tmp_path / "r.html"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(results / "free"), "-o", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "pghot: pghot report needs the package vl-convert-python: pip install 'pghot[report]'\n"
    )
    assert not out.exists()


def test_a_map_has_a_shade_for_every_count() -> None:
    rng = np.random.default_rng(3)
    for counts in ([1], [5] * 4, [1, 2], rng.integers(0, 1 << 50, 64).tolist(), [10**14, 1]):
        heat = HeatMap(place="node 1", part="whole", unit="PFN", first=0, pages_a_row=1, rows=1,
                       step_us=1, columns=len(counts), share=1, counts=counts)  # fmt: skip
        text = render([a_run(heat=[heat])], "t", "")
        view = msgspec.json.decode(re.search(r'id="views">(.*?)</script>', text)[1])["map-0"]
        shades = view["spec"]["encoding"]["color"]["scale"]
        assert len(shades["domain"]) == len(shades["range"]) == len(view["heat"]["bounds"]) + 1
        assert view["heat"]["bounds"] == sorted(set(view["heat"]["bounds"]))
