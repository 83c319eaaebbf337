"""A sweep runs every point once, keeps each as it ends, and says which failed and why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import pghot
from pghot.exploring import groups
from pghot.exploring.fast_node import Footprint, machine_with
from pghot.exploring.grid import Grid, points_of
from pghot.exploring.pareto import front
from pghot.exploring.run_point import run_points
from pghot.exploring.store import POINTS, TABLE, PointStore, read_rows
from pghot.exploring.sweep import merge, sweep
from pghot.log.machine import Machine

EXAMPLE = Path(pghot.__file__).parents[2] / "examples" / "sqlite.parquet"

SECTION = 32768
MACHINE = {
    "hz": 1000,
    "node": [
        {"id": 0, "start_pfn": 0, "pages": SECTION, "toptier": True, "cpus": "0", "free_pages": 9},
        {"id": 1, "start_pfn": SECTION, "pages": SECTION, "toptier": False},
    ],
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 1,000 accesses to 40 pages of the slow node, the first of them hot."""
    rng = np.random.default_rng(1)
    pfns = SECTION + np.minimum(rng.geometric(0.1, 1000), 40)
    path = tmp_path / "log.parquet"
    with pghot.create_log(path, pghot.Metadata(machine=MACHINE)) as writer:
        writer.write(
            {
                "time_us": np.arange(1000, dtype=np.uint64) * 2000,
                "pfn": pfns.astype(np.uint64),
                "nid": np.ones(1000, np.int16),
                "source": np.ones(1000, np.int8),
            }
        )
    return path


def grid_of(log, **more):
    table = {"inputs": [str(log)], "fast": ["25%", "20"], "set": {"freq_threshold": [1, 2]}}
    return Grid.from_dict(table | more)


def without_durations(table: pa.Table) -> pa.Table:
    return table.drop_columns(["duration_s"])


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Start no processes for a handful of points."""
    monkeypatch.setattr(groups, "FEW", 1000)


class Inline(Executor):
    """Runs what is submitted at once; work after `limit` calls fails as if a worker died."""

    def __init__(self, fail=()):
        self.calls = 0
        self.fail = fail

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.calls += 1
        if self.calls in self.fail:
            future.set_exception(RuntimeError("worker died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_every_combination_is_a_row_with_all_figures(log):
    found = sweep(grid_of(log, policy=["v7", "improved"]))
    table = found.to_arrow()
    assert table.num_rows == 8
    assert table["point"].to_pylist() == list(range(8))
    assert table["fast_pages"].to_pylist()[:2] == [10, 10]
    assert table["set.freq_threshold"].to_pylist()[:4] == ["1", "2", "1", "2"]
    assert not found.failed
    alone = pghot.replay(
        log,
        machine_with(Machine.from_dict(MACHINE), 10, Footprint(40)),
        pghot.Settings(tunables={"freq_threshold": "2"}),
    )
    assert table["fast_share"][1].as_py() == alone.share_fast
    assert table["vmstat.pgpromote_success"][1].as_py() == alone.pages_promoted


def test_what_has_run_is_not_run_again(log, tmp_path):
    out = tmp_path / "out"
    assert sweep(grid_of(log), out).ran == 4
    again = sweep(grid_of(log), out)
    assert again.ran == 0
    more = sweep(grid_of(log, set={"freq_threshold": [1, 2, 3]}), out)
    assert more.ran == 2
    assert pa.parquet.read_table(out / TABLE).equals(more.to_arrow())


def test_an_interrupted_sweep_goes_on_where_it_was(log, tmp_path):
    out = tmp_path / "out"

    def interrupt(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(grid_of(log), out, executor=Inline(), progress=interrupt)
    assert not (out / TABLE).exists()
    kept = len(read_rows(out))
    assert kept == 2
    assert sweep(grid_of(log), out).ran == 4 - kept


def test_half_a_line_of_a_killed_sweep_is_passed_over(log, tmp_path):
    out = tmp_path / "out"
    whole = sweep(grid_of(log), out)
    content = (out / POINTS).read_bytes()
    (out / POINTS).write_bytes(content[: len(content) - 40])
    again = sweep(grid_of(log), out)
    assert again.ran == 1
    assert without_durations(again.to_arrow()).equals(without_durations(whole.to_arrow()))
    assert len(read_rows(out)) == 4


def test_a_log_that_has_changed_is_run_anew(log, tmp_path):
    out = tmp_path / "out"
    sweep(grid_of(log), out)
    with pghot.open_log(log) as before:
        (chunk,) = before.chunks()
    with pghot.create_log(log, pghot.Metadata(machine=MACHINE), force=True) as writer:
        writer.write({name: values[:900] for name, values in chunk.columns.items()})
    assert sweep(grid_of(log), out).ran == 4


def test_the_name_of_a_log_is_no_part_of_what_it_is(log, tmp_path):
    out = tmp_path / "out"
    sweep(grid_of(log), out)
    other = log.rename(tmp_path / "other.parquet")
    assert sweep(grid_of(other), out).ran == 0


def test_a_point_that_fails_is_a_row_with_its_error(log):
    found = sweep(grid_of(log, set={"freq_threshold": [2, 9]}, fast=["5"]))
    assert [row["error"] for row in found.rows] == [
        None,
        "freq_threshold: '9' is not within 1..3",
    ]
    assert found.to_arrow()["fast_share"].to_pylist()[1] is None


def test_an_impossible_machine_is_a_point_that_fails(log):
    (row,) = sweep(Grid.from_dict({"inputs": [str(log)], "fast": ["1G"]})).rows
    assert "node 0 has room for 128 MiB before the next node begins" in row["error"]


def test_shards_put_together_are_the_whole(log, tmp_path):
    whole = sweep(grid_of(log, policy=["v7", "v7-precise"]), tmp_path / "whole")
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        sweep(grid_of(log, policy=["v7", "v7-precise"]), part, shard=(number, 3))
    merged = merge(parts, tmp_path / "merged")
    assert without_durations(merged.to_arrow()).equals(without_durations(whole.to_arrow()))
    written = pa.parquet.read_table(tmp_path / "merged" / TABLE)
    assert without_durations(written).equals(without_durations(whole.to_arrow()))


def test_shards_of_which_one_is_missing_or_another_s_are_not_put_together(log, tmp_path):
    sweep(grid_of(log), tmp_path / "a", shard=(1, 2))
    sweep(grid_of(log, fast=["5"]), tmp_path / "b", shard=(2, 2))
    with pytest.raises(pghot.InputError, match="2 points are in none of the directories"):
        merge([tmp_path / "a"], tmp_path / "c")
    with pytest.raises(pghot.InputError, match="b: is of another grid, or other inputs, than"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    with pytest.raises(pghot.InputError, match="no directory of pghot sweep"):
        merge([tmp_path], tmp_path / "c")


def test_two_sweeps_do_not_write_to_one_directory(log, tmp_path):
    out = tmp_path / "out"

    def second(_done, _total):
        with pytest.raises(pghot.InputError, match="another sweep is writing there"):
            sweep(grid_of(log), out)

    sweep(grid_of(log), out, progress=second)


def test_a_directory_of_other_things_is_left_alone(log, tmp_path):
    with pytest.raises(pghot.InputError, match="is not empty, and no sweep's"):
        sweep(grid_of(log), tmp_path)


def test_any_executor_gives_the_same_table(log):
    here = sweep(grid_of(log)).to_arrow()
    with ThreadPoolExecutor(2) as pool:
        there = sweep(grid_of(log), executor=pool).to_arrow()
    assert without_durations(there).equals(without_durations(here))


def test_points_whose_worker_died_run_once_more(log):
    executor = Inline(fail=(1,))
    found = sweep(grid_of(log), executor=executor)
    assert not found.failed
    assert executor.calls == 5


def test_a_point_that_kills_two_workers_is_a_row_and_is_tried_again_next_time(log, tmp_path):
    found = sweep(grid_of(log), tmp_path / "out", executor=Inline(fail=(1, 3)))
    assert [row["error"] for row in found.rows] == [None, groups.DIED, None, None]
    assert sweep(grid_of(log), tmp_path / "out").ran == 1


class Full:
    """A disk with room for two lines."""

    def __init__(self):
        self.lines = 0

    def write(self, line):
        self.lines += 1
        return len(line) if self.lines <= 2 else 10


def test_a_full_disk_keeps_the_points_that_have_ended(log, tmp_path):
    store = PointStore(None, Full())
    store.path = tmp_path
    rows = iter(sweep(grid_of(log)).rows)
    store.add(next(rows))
    store.add(next(rows))
    with pytest.raises(pghot.PghotError, match="No space left on device; the points that have"):
        store.add(next(rows))
    assert len(store.rows) == 2


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"polices": ["v7"]}, "grid: unknown key 'polices'"),
        ({"policy": ["improvd"]}, "no policy improvd; perhaps improved"),
        ({"set": {"freq_treshold": [1]}}, "no such tunable; perhaps freq_threshold"),
        (
            {"inputs": ["gups"], "set": {"sampler.perid": [1]}},
            "--set sampler.perid: no such setting",
        ),
        ({"start": "slwo"}, "start slwo: no such start; perhaps slow"),
        ({"fast": ["lots"]}, "lots: no size of fast memory"),
        ({"set": {"freq_threshold": []}}, "the grid has no point"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ["nowhere.parquet"]}, "nowhere.parquet: No such file"),
        ({"inputs": ["empty.csv"], "machine": "machine.toml"}, "empty.csv: has no row"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_anything_runs(
    log, table, line, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("time_us,pfn,nid,source\n")
    shutil.copy(EXAMPLE.with_name("two-tier.toml"), "machine.toml")
    with pytest.raises(pghot.InputError, match=line):
        sweep(Grid.from_dict({"inputs": [str(log)]} | table))


def test_a_scenario_is_swept_over_policies_sizes_and_seeds():
    grid = Grid.from_dict(
        {"inputs": "gups", "scale": 0.001, "policy": ["none", "pghot-hintfault"], "seed": [1, 2],
         "fast": "50%"}
    )  # fmt: skip
    table = sweep(grid).to_arrow()
    assert table["policy"].to_pylist() == ["none"] * 2 + ["pghot-hintfault"] * 2
    assert table["error"].null_count == 4
    assert all(seconds > 0 for seconds in table["run_s"].to_pylist())


def test_a_front_holds_what_nothing_else_beats():
    def row(point, share, moves, pages):
        figures = {"fast_share": share, "moves": moves}
        return {
            "point": point,
            "input": "a",
            "error": None,
            "figures": figures,
            "fast_pages": pages,
        }

    rows = [
        row(0, 0.9, 10, 5),
        row(1, 0.9, 10, 5),
        row(2, 0.8, 10, 5),
        row(3, 0.5, 0, 5),
        row(4, 0.9, 9, 9),
    ]
    assert [kept["point"] for kept in front(rows)] == [4, 0, 3]
    assert front([row(0, None, 0, 1)]) == []  # whose share is not known


def test_points_are_the_same_whoever_counts_them(log):
    grid = grid_of(log)
    numbers = [p.number for p in points_of(grid, {str(log): ("v7",)})]
    assert numbers == [0, 1, 2, 3]


def killed_once(mark: str, given, points):
    """Run points; the first process to come here ends as the kernel's killer would end it."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return run_points(given, points)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.compiled
def test_a_worker_that_is_killed_costs_no_point(log, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "run_points", partial(killed_once, str(tmp_path / "mark")))
    monkeypatch.setattr(groups, "FEW", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    found = sweep(grid_of(log))
    assert (tmp_path / "mark").exists()
    monkeypatch.undo()
    assert without_durations(found.to_arrow()).equals(
        without_durations(sweep(grid_of(log)).to_arrow())
    )


def test_rows_are_lines_of_json(log, tmp_path):
    sweep(grid_of(log), tmp_path / "out")
    lines = (tmp_path / "out" / POINTS).read_text().splitlines()
    assert [json.loads(line)["point"] for line in lines] == [0, 1, 2, 3]


def test_the_main_thread_is_not_needed(log):
    found = []
    thread = threading.Thread(target=lambda: found.append(sweep(grid_of(log))))
    thread.start()
    thread.join()
    assert len(found[0].rows) == 4


def test_where_pages_are_placed_anew_fast_memory_may_be_less_than_the_log_has_on_it():
    grid = Grid(inputs=[str(EXAMPLE)], fast=["5%"], start="first-touch")
    (row,) = sweep(grid).rows
    known = pghot.curve(EXAMPLE).whole
    for name in ("first_touch", "bound"):
        expected = known.share(name, row["fast_pages"])
        assert row["figures"][f"baselines.{name}.fast_share"] == expected
    assert 0 < row["figures"]["moves"] <= row["fast_pages"]
    assert row["figures"]["nodes.0.free_pages"] == 0
    (refused,) = sweep(Grid(inputs=[str(EXAMPLE)], fast=["5%"])).rows
    assert "or have pages placed anew by --start first-touch" in refused["error"]
