"""A result is read whole or refused in a line; what it lacks is said."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.binning.forms import Histogram
from pghot.engine.layout import PRECISE
from pghot.errors import InputError
from pghot.report.page.batches import _coarse
from pghot.report.page.model import binned_sum, group_of
from pghot.report.page.page import render
from pghot.report.page.promotions import read_promotions
from pghot.report.page.read import read_result, read_results
from pghot.report.page.records import frequencies


@pytest.fixture
def result(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results / "full", tmp_path / "mine"))


def test_what_is_read_adds_up_to_the_summary(results: Path) -> None:
    (run,) = read_result(results / "full")
    summary = json.loads((results / "full" / "summary.json").read_text())
    assert run.timeline.promoted is not None
    assert run.timeline.promoted.sum() == run.promoted == summary["vmstat"]["pgpromote_success"]
    assert run.accesses == summary["accesses"]
    assert run.batches is not None
    assert sum(run.batches.counts) <= summary["batches"]
    assert run.refused is not None
    assert sum(run.refused.values()) > 0


def test_a_result_with_the_contracts_files_alone_is_reported_and_says_what_it_lacks(
    result: Path,
) -> None:
    (result / "binned.json").unlink()
    (run,) = read_result(result)
    html = render([run], "t", "")
    assert run.timeline.promoted is not None
    assert run.timeline.promoted.sum() == run.promoted
    for what in ("share of fast accesses", "heat map", "count of refusals"):
        assert f"No {what}: the result has no binned.json" in html


@pytest.mark.parametrize(
    "name", ["summary.json", "promotions.parquet", "records.npz", "binned.json"]
)
@pytest.mark.parametrize("how", ["empty", "cut short", "noise"])
def test_a_damaged_file_is_named_in_one_line(result: Path, name: str, how: str) -> None:
    path = result / name
    data = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "cut short": data[: len(data) // 2], "noise": b"\x93\0{" * 40}[how]
    )
    with pytest.raises(InputError, match=name) as raised:
        read_result(result)
    assert "\n" not in str(raised.value)


def test_a_directory_that_is_no_result_is_refused(run, tmp_path: Path) -> None:
    words = run("report", tmp_path, "-o", tmp_path / "r.html").refusal()
    assert "a result is what pghot replay, run or sim writes" in words
    (tmp_path / "summary.json").write_text("{}")
    words = run("report", tmp_path, "-o", tmp_path / "r.html").refusal()
    assert words.endswith("neither of a replay nor of a run or a simulation")
    assert not (tmp_path / "r.html").exists()


def test_results_of_one_name_are_told_apart(results: Path) -> None:
    runs = read_results([results / "full", results / "full"])
    assert [run.name for run in runs] == ["1: full", "2: full"]


def test_too_many_runs_are_refused(results: Path) -> None:
    with pytest.raises(InputError, match="101 runs; a report compares 100 at the most"):
        read_results([results / "full"] * 101)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 64), st.integers(0, 5)), max_size=60),
    st.integers(1, 7),
)
@settings(deadline=None)
def test_promotions_are_read_in_pieces_as_if_at_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], piece: int
) -> None:
    path = tmp_path_factory.mktemp("promotions")
    rows.sort(key=lambda row: row[2])
    time_us, pages, batch = (np.array([row[at] for row in rows], np.uint64) for at in range(3))
    pq.write_table(
        pa.table({"time_us": time_us, "pages": pages, "batch": batch}), path / "promotions.parquet"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pghot.report.page.promotions.ROWS", piece)
        promoted, sizes = read_promotions(path, 100, 10)
    at = np.minimum(np.maximum(time_us.astype(int) - 1, 0) // 100, 9)
    assert promoted is not None
    assert promoted.tolist() == np.bincount(at, pages, minlength=10).tolist()
    folios = np.bincount(batch.astype(int)) if rows else np.zeros(0, int)
    expected: dict[float, int] = {}
    for size in folios[folios > 0].tolist():
        upto = float(1 << (size - 1).bit_length())
        expected[upto] = expected.get(upto, 0) + 1
    found = {b: n for b, n in zip(sizes.upto, sizes.counts, strict=True) if n} if sizes else {}
    assert found == expected


@given(st.lists(st.integers(0, 0xFFFF_FFFF), max_size=50), st.integers(1, 9))
@settings(deadline=None)
def test_frequencies_are_read_in_pieces_as_if_at_once(
    tmp_path_factory: pytest.TempPathFactory, records: list[int], piece: int
) -> None:
    path = tmp_path_factory.mktemp("records")
    np.savez(path / "records.npz", record=np.array(records, np.uint32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pghot.report.page.records.PIECE", piece)
        found = frequencies(path, PRECISE)
    assert found == [sum(r >> 10 & 7 == freq for r in records) for freq in range(8)]


@given(st.lists(st.floats(0, 1e9), max_size=1000), st.integers(1, 300))
@settings(deadline=None)
def test_binning_keeps_the_sum_and_the_number_of_columns(values: list[float], most: int) -> None:
    found = binned_sum(values, group_of(len(values), most))
    assert len(found) <= most
    assert found.sum() == pytest.approx(sum(values))


def test_a_simulation_is_a_run_a_policy(run, tmp_path: Path) -> None:
    done = run("sim", "phase-change", "--policy", "none,pghot-hwhint", "--scale", "1/64", "-o",
               tmp_path / "sim", "--json")  # fmt: skip
    summary = json.loads(done.out)["policies"]
    base, engine = read_result(tmp_path / "sim")
    for read in (base, engine):
        policy = summary[read.name]
        assert read.run_s == policy["run_s"]
        assert read.timeline.promoted is not None
        assert read.timeline.promoted.sum() == read.promoted == policy["promoted"]
        assert read.timeline.accesses is not None
        assert read.timeline.accesses.sum() == pytest.approx(policy["accesses"])
    assert engine.tunables["freq_threshold"] == engine.threshold
    assert engine.heat
    html = render([base, engine], "t", "")
    assert "Without promotion the run took" in html
    assert "No distribution of heat of none: this policy has no records." in html


@given(st.dictionaries(st.integers(-2, 20), st.integers(1, 9), min_size=1))
@settings(deadline=None)
def test_a_histogram_by_powers_of_two_has_no_gaps_and_loses_nothing(found: dict[int, int]) -> None:
    order = sorted(found)
    fine = Histogram(upto=[1.1**at for at in order], counts=[found[at] for at in order])
    coarse = _coarse(fine, 1.0)
    assert sum(coarse.counts) == sum(found.values())
    assert all(high == low * 2 for low, high in pairwise(coarse.upto))
    assert coarse.upto[-1] >= max(1.0, 1.1 ** order[-1]) > coarse.upto[-1] / 2 * 0.999
