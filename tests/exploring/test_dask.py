"""A sweep on the workers of a Dask scheduler is the sweep here, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import pghot
from pghot.cli import main
from pghot.exploring import groups
from pghot.exploring.grid import Grid
from pghot.exploring.on_dask import dask_executor
from pghot.exploring.sweep import sweep

distributed = pytest.importorskip("distributed", reason="distributed: pip install 'pghot[dask]'")

EXAMPLE = Path(pghot.__file__).parents[2] / "examples" / "sqlite.parquet"
pytestmark = [pytest.mark.compiled, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """A scheduler and two worker processes on loopback."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        yield cluster


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server on loopback that has the shipped log."""
    (tmp_path / "sqlite.parquet").symlink_to(EXAMPLE)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/sqlite.parquet"
        http.shutdown()
        thread.join()


def grid_of(source: str) -> Grid:
    return Grid.from_dict(
        {"inputs": source, "fast": ["50%", "100%"], "set": {"freq_threshold": [1, 2, 3]}}
    )


def without(table, *names):
    return table.drop_columns(["duration_s", *names])


def test_a_worker_that_is_killed_leaves_the_table_as_it_is_here(cluster, monkeypatch):
    monkeypatch.setattr(groups, "POINTS", 1)
    pids = list(distributed.Client(cluster).run(os.getpid).values())
    killed = []

    def kill(done, _total):
        if done == 1 and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    grid = grid_of(str(EXAMPLE))
    with dask_executor(cluster.scheduler_address) as executor:
        there = sweep(grid, executor=executor, progress=kill)
    assert killed
    assert not there.failed
    assert without(there.to_arrow()).equals(without(sweep(grid).to_arrow()))


def test_a_log_at_a_url_is_the_log(cluster, server, capsys, tmp_path):
    words = ["sweep", server, "--fast", "50%,100%", "--set", "freq_threshold=1,2,3"]
    out = tmp_path / "out"
    assert main([*words, "-o", str(out), "--dask", cluster.scheduler_address]) == 0
    assert "6 points (6 ran now)" in capsys.readouterr().out
    there = sweep(grid_of(server), out)
    assert there.ran == 0
    here = sweep(grid_of(str(EXAMPLE)))
    assert without(there.to_arrow(), "input").equals(without(here.to_arrow(), "input"))


def test_a_url_that_is_not_there_is_one_line(server):
    with pytest.raises(pghot.InputError, match=r"nowhere\.parquet: cannot be read: "):
        sweep(grid_of(server.replace("sqlite", "nowhere")))


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("pghot.exploring.on_dask.WAIT_S", 1)
    words = ["sweep", str(EXAMPLE), "-o", str(tmp_path / "out")]
    assert main([*words, "--dask", "tcp://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("pghot: --dask tcp://127.0.0.1:9: no scheduler: ")
