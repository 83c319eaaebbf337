"""A curve says what every size of fast memory would serve of a log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pghot
from pghot.exploring.curve import curve
from pghot.exploring.fast_node import footprint_of_log, machine_with
from pghot.exploring.knee import knee
from pghot.exploring.price import Price
from pghot.exploring.sizes import parse_fast
from pghot.log.read import open_log
from pghot.log.schema import Metadata

EXAMPLE = Path(pghot.__file__).parents[2] / "examples" / "sqlite.parquet"


def log_of(path, rows, *, optional=(), metadata=None):
    columns = {
        "time_us": np.arange(len(rows["pfn"]), dtype=np.uint64) * 1000,
        "nid": np.zeros(len(rows["pfn"]), np.int16),
        "source": np.ones(len(rows["pfn"]), np.int8),
    } | {name: np.asarray(values) for name, values in rows.items()}
    with pghot.create_log(path, metadata or Metadata(), optional=optional) as writer:
        writer.write(columns)
    return path


@pytest.mark.parametrize("percent", [40, 50, 75, 100])
def test_bound_first_touch_and_interleave_are_those_of_a_replay_with_that_room(percent):
    found = curve(EXAMPLE)
    with open_log(EXAMPLE) as log:
        machine = pghot.Machine.from_dict(log.metadata.machine)
    size = int(found.whole.sizes[percent])
    room = machine_with(machine, size, footprint_of_log(EXAMPLE, machine))
    result = pghot.replay(EXAMPLE, room)
    for name in ("bound", "first_touch", "interleave"):
        share = getattr(result.baselines, name)
        assert found.whole.share(name, size) == share.whole
        assert found.whole.share(name, size, "steady") == share.steady


def test_each_process_has_a_curve_of_its_own(tmp_path):
    pid = np.array([1, 2, 1, 2, 2, 2] * 5, np.int32)
    pfn = np.array([10, 20, 11, 20, 20, 21] * 5, np.uint64)
    found = curve(
        log_of(tmp_path / "a.parquet", {"pfn": pfn, "pid": pid}, optional=("pid",)), by="process"
    )
    assert [(s.name, s.accesses, s.pages) for s in found.scopes] == [
        ("process 2", 20, 2), ("process 1", 10, 2),
    ]  # fmt: skip
    assert found.scopes[0].share("bound", 1) == 0.75
    assert found.scopes[1].share("bound", 1) == 0.5


def test_what_the_log_does_not_tell_by_is_refused(tmp_path):
    path = log_of(tmp_path / "a.parquet", {"pfn": np.array([1], np.uint64)})
    with pytest.raises(
        pghot.InputError, match="has no column memcg, so nothing is known by memcg"
    ):
        curve(path, by="memcg")


def test_a_log_without_rows_has_no_curve(tmp_path):
    path = log_of(tmp_path / "a.parquet", {"pfn": np.array([], np.uint64)})
    with pytest.raises(pghot.InputError, match="has no row, so there is no curve of it"):
        curve(path)


def test_hint_faults_are_said_to_see_slow_memory_only(tmp_path):
    rows = {"pfn": np.array([1, 2], np.uint64), "source": np.array([0, 0], np.int8)}
    found = curve(log_of(tmp_path / "a.parquet", rows))
    assert any("2 rows are hint faults: they see slow memory only" in note for note in found.notes)


def test_pages_that_were_not_sampled_are_estimated(tmp_path):
    pfn = np.random.default_rng(1).integers(0, 1000, 600).astype(np.uint64)
    found = curve(log_of(tmp_path / "a.parquet", {"pfn": pfn}))
    (note,) = [note for note in found.notes if "more pages were accessed" in note]
    unseen = int(note.split()[3].replace(",", ""))
    assert unseen == pytest.approx(1000 - found.whole.pages, rel=0.3)


def test_the_least_size_for_a_target_serves_it_and_the_one_before_does_not():
    whole = curve(EXAMPLE).whole
    pages = whole.needed("bound", 0.9)
    before = whole.sizes[np.searchsorted(whole.sizes, pages) - 1]
    assert whole.share("bound", pages) >= 0.9 > whole.share("bound", int(before))
    assert whole.needed("lru", 1.01) is None


def test_a_table_has_a_row_for_each_size_of_each_line():
    found = curve(EXAMPLE, sizes=(parse_fast("8MiB"),), price=Price(8, 2))
    table = found.to_arrow()
    assert table.num_rows == len(found.whole.lines) * len(found.whole.sizes)
    row = table.filter(
        (np.array(table["line"]) == "bound") & (np.array(table["part"]) == "whole")
        & (table["fast_pages"].to_numpy() == 2048)
    ).to_pylist()  # fmt: skip
    assert row[0]["share"] == found.whole.share("bound", 2048)
    assert row[0]["cost"] == (2048 * 8 + (6465 - 2048) * 2) / 2**18


def test_the_knee_is_where_the_curve_bends():
    sizes = np.arange(11)
    assert knee(sizes, np.minimum(sizes / 3, 1.0)) == 3
    assert knee(sizes, sizes / 10) is None
    assert knee(sizes, np.zeros(11)) is None


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("8M", 2048),
        ("8MiB", 2048),
        ("1.5MiB", 384),
        ("25%", 250),
        ("0.25", 250),
        ("1", 1000),
        ("4097", 2),
    ],
)
def test_a_size_is_bytes_or_a_share_of_what_is_touched(text, pages):
    assert parse_fast(text).of(1000) == pages


@pytest.mark.parametrize("text", ["", "lots", "8X", "-1", "8GG", "%"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(pghot.InputError, match="no size of fast memory; wants 8G, 512MiB"):
        parse_fast(text)


@pytest.mark.parametrize("text", ["", "fast=1", "fast=1,slow=x", "fast=1,slow=-1", "a=1,slow=2"])
def test_what_is_no_price_is_refused(text):
    with pytest.raises(pghot.InputError, match="wants fast=PRICE,slow=PRICE of a GiB"):
        Price.parse(text)
