"""Recordings of a live host, and that a replay of a run is the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pghot.log.read import open_log
from tests.vm import commands, daemon, load
from tests.vm.perf_ring import Faults
from tests.vm.promotion import fast, wait_for

WAIT_S = 300


def pghot(*words: object) -> subprocess.CompletedProcess[str]:
    done = daemon.pghot(*map(str, words))
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("mode", ["default", "precise"])
def test_a_replay_of_a_run_makes_every_record_and_decision_the_same(tmp_path, mode):
    log = tmp_path / "log.parquet"
    settings = ("--fidelity", "v7", "--mode", mode, "--set", "kmigrated_batch_nr=100")
    run = (
        daemon.PGHOT,
        "run",
        *settings,
        "--record",
        str(log),
        "-o",
        str(tmp_path / "live"),
        "--",
    )
    with load.running(32, 8, options=("--pause-us", "0"), prefix=run) as process:
        hot, _cold = process.addresses(32)
        # How many is a matter of how fast the machine is; that the replay does the same is not.
        wait_for(lambda: "" if fast(process.pid, hot) else "no page was promoted")
        assert process.stop().startswith("checksum ok")
    pghot("replay", log, *settings, "-o", tmp_path / "replay")
    results = [tmp_path / name for name in ("live", "replay")]
    for name in ("pfn", "record", "hot_sections"):
        one, other = (np.load(path / "records.npz")[name] for path in results)
        assert np.array_equal(one, other), name
    one, other = (pq.read_table(path / "promotions.parquet") for path in results)
    assert one.num_rows
    assert one.equals(other)
    one, other = (json.loads((path / "summary.json").read_text()) for path in results)
    for name in ("vmstat", "batches", "accesses", "tunables", "mode", "hz"):
        assert one[name] == other[name], name
    for nid, node in one["nodes"].items():
        for name in ("pgpromote_success", "pgpromote_candidate", "pgpromote_candidate_nrl"):
            assert node[name] == other["nodes"][nid][name], (nid, name)


@pytest.fixture
def _kernel_leaves_pages_alone():
    """NUMA balancing off, as it was after: it would bring pages nearer before we record."""
    balancing = Path("/proc/sys/kernel/numa_balancing")
    before = balancing.read_text()
    balancing.write_text("0")
    yield
    balancing.write_text(before)


@contextmanager
def recording(*words: str, said: Path) -> Iterator[commands.Command]:
    """Run `pghot record WORDS`, which has begun to watch."""
    with commands.running(("record", *words), Path(os.devnull), said) as command:

        def idle() -> str:
            assert command.poll() is None, said.read_text()
            return "" if daemon.BALANCING.read_text().strip() == "2" else "nothing is recorded"

        wait_for(idle)
        yield command


@pytest.mark.usefixtures("_kernel_leaves_pages_alone")
def test_a_recording_names_process_and_address_and_replays_on_its_own_machine(tmp_path):
    log = tmp_path / "log.parquet"
    with load.running(32, 8, options=("--pause-us", "0")) as process:
        hot, _cold = process.addresses(32)
        with recording("-p", str(process.pid), "-o", str(log), said=tmp_path / "said") as command:
            ring = Faults(process.pid)
            ring.until_all_seen(map(int, hot), WAIT_S)
            ring.close()
            command.send_signal(signal.SIGTERM)
            assert command.wait(daemon.START_S) == 0
    with open_log(log) as opened:
        rows = np.concatenate([
            chunk.columns["vaddr"][chunk.columns["pid"] == process.pid]
            for chunk in opened.chunks(("time_us", "pfn", "nid", "source", "pid", "vaddr"))
        ])  # fmt: skip
    pages = np.unique(rows >> np.uint64(12) << np.uint64(12))
    assert np.isin(hot, pages).mean() >= 0.99
    summary = json.loads(pghot("replay", log, "--json").stdout)
    assert summary["accesses"] == len(rows)
    assert not log.with_name("log.parquet.parts").exists()


@pytest.mark.usefixtures("_kernel_leaves_pages_alone")
def test_a_recording_that_is_killed_is_readable_up_to_its_last_part(tmp_path):
    log = tmp_path / "log.parquet"
    parts = tmp_path / "log.parquet.parts"
    with (
        load.running(32, 8, options=("--pause-us", "0")) as process,
        recording("-p", str(process.pid), "-o", str(log), said=tmp_path / "said") as command,
    ):
        wait_for(lambda: "" if any(parts.glob("0*.parquet")) else "no part was written", WAIT_S)
        command.kill()
    assert not log.exists()
    summary = json.loads(pghot("replay", parts, "--json").stdout)
    assert summary["accesses"] > 0
    pghot("restore")


@pytest.mark.usefixtures("_kernel_leaves_pages_alone")
def test_a_recording_knows_what_is_mapped_and_advice_is_had_of_a_live_process(tmp_path):
    before = daemon.settings()
    with load.running(32, 8, options=("--pause-us", "0")) as process:
        words = ("advise", "--live", "-p", process.pid, "--for", "20s")
        done = pghot(*words, "--json", "-o", tmp_path / "advice")
        assert process.stop().startswith("checksum ok")
    advice = json.loads(done.stdout)
    assert advice["size"]["footprint"] >= 8 << 8  # pages of 8 MiB, all of them hot
    assert "hint faults" in advice["untold"]["promote"]
    of_the_load = f" of process {process.pid}"
    (region, *_others) = advice["regions"]
    assert region["name"] == f"anonymous region 1{of_the_load}"
    assert region["share"] > 0.5
    assert json.loads((tmp_path / "advice" / "advice.json").read_text()) == advice
    assert daemon.settings() == before
    assert not list(Path(tempfile.gettempdir()).glob("pghot-advise-*"))
