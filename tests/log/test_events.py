"""An event log holds what was counted, stays within its limit, and survives what a log must."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.engine.engine import Engine
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.engine.memory import Folio
from pghot.engine.reasons import ENGINE
from pghot.errors import InputError
from pghot.log.event_parts import LEAST_LIMIT, file_name
from pghot.log.event_read import EventReader
from pghot.log.event_schema import ACCESSES, CANDIDATES, COLUMNS
from pghot.log.events import create_events
from tests.log.made import LOWER, entries, log_rows, pghot, write_log
from tests.rig import SLOW_PFN, Rig

ROOT = Path(__file__).resolve().parents[2]


def live(engine: Engine, seed: int, looks: int, rows: int = 300) -> None:
    """Let an engine record and look, at random; some 100 ms a look."""
    rng = np.random.default_rng(seed)
    now = 0
    for _ in range(looks):
        times = np.sort(now + rng.integers(0, 100, rows)).astype(np.uint64)
        pfns = SLOW_PFN + rng.integers(0, 90_000, rows)
        pfns[: rows // 2] = SLOW_PFN - 1 + rng.integers(0, 700, rows // 2)
        engine.record_many(pfns, rng.integers(-2, 2, rows), rng.integers(0, 3, rows), times)
        now += 100
        list(engine.look(now))


def tables(directory: Path) -> tuple[list[dict], list[dict], EventReader]:
    """All rows of a log, and its reader, read to the end."""
    reader = EventReader(directory)
    accesses, candidates = [], []
    for part in reader.parts():
        accesses += part.accesses.to_pylist()
        candidates += part.candidates.to_pylist()
    return accesses, candidates, reader


def size_of(directory: Path) -> int:
    return sum(entry.stat().st_size for entry in directory.iterdir())


@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 1 << 32),
    fidelity=st.sampled_from(sorted(FIDELITIES)),
    layout=st.sampled_from(sorted(LAYOUTS)),
    limit=st.sampled_from(["0", "1", "65536"]),
    free=st.sampled_from([100, 100_000]),
)
def test_the_log_tells_the_same_counts_as_the_counters(
    tmp_path, seed, fidelity, layout, limit, free
):
    tunables = {"pghot_promote_rate_limit_MBps": limit, "freq_threshold": "1"}
    folios = [Folio(SLOW_PFN + 512, 512)]
    fid, lay = FIDELITIES[fidelity], LAYOUTS[layout]
    rig = Rig(lay, fidelity=fid, free=free, folios=folios, tunables=tunables)
    with create_events(tmp_path / "events", force=True) as events:
        events.log(rig.engine)
        live(rig.engine, seed, 6)
    accesses, candidates, _reader = tables(tmp_path / "events")
    of_accesses = Counter(row["fate"] for row in accesses)
    outcomes = Counter(row["outcome"] for row in candidates)
    assert len(accesses) == 6 * 300
    assert of_accesses["recorded"] == rig.stat("pghot_recorded_accesses")
    taken = [row for row in accesses if row["fate"] not in {"bad_node", "bad_source"}]
    sources = Counter(row["source"] for row in taken)
    assert sources["hintfault"] == rig.stat("pghot_recorded_hintfaults")
    assert sources["hwhint"] == rig.stat("pghot_recorded_hwhints")
    moved = [row["pages"] for row in candidates if row["outcome"] == "moved"]
    assert sum(moved) == rig.stat("pgpromote_success")
    assert {n: outcomes[n] for n in ENGINE} == {n: rig.engine.refused[n] for n in ENGINE}
    batched = {row["batch"] for row in candidates if row["outcome"] in {"moved", "migration"}}
    assert batched == set(range(len(batched)))
    assert all(
        row["batch"] == -1 for row in candidates if row["outcome"] not in {"moved", "migration"}
    )


def test_a_log_never_grows_beyond_its_limit_and_says_from_when_on_it_is_complete(tmp_path):
    rig = Rig()
    directory = tmp_path / "events"
    with create_events(directory, LEAST_LIMIT) as events:
        log = events.log(rig.engine)
        add = log._parts.add

        def watched(*tables):
            add(*tables)
            assert size_of(directory) <= LEAST_LIMIT

        log._parts.add = watched
        live(rig.engine, 1, 400, rows=1000)
    assert LEAST_LIMIT // 2 < size_of(directory) <= LEAST_LIMIT
    accesses, candidates, reader = tables(directory)
    assert 0 < reader.complete_from < 40_000
    assert len(entries(directory)) > 4
    since = [row for row in accesses if row["now"] > reader.complete_from]
    seqs = sorted({row["seq"] for row in since} | {row["seq"] for row in candidates})
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    by_call = Counter(row["seq"] for row in since)
    assert set(list(by_call.values())[1:]) == {1000}


def test_a_log_that_lost_nothing_is_complete_from_the_start(tmp_path):
    rig = Rig()
    with create_events(tmp_path / "events") as events:
        events.log(rig.engine)
        live(rig.engine, 1, 250)
    _accesses, _candidates, reader = tables(tmp_path / "events")
    assert (reader.complete_from, reader.damaged) == (0, [])
    assert reader.said is not None
    assert (reader.said.end, reader.said.hz) == (25_000, 1000)
    assert reader.said.tunables["freq_threshold"] == 2


def test_only_the_owner_can_read_it(tmp_path):
    rig = Rig()
    umask = os.umask(0)
    try:
        with create_events(tmp_path / "events") as events:
            events.log(rig.engine)
            live(rig.engine, 1, 3)
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((tmp_path / "events" / name).stat().st_mode) for name in ("", ".")]
    assert set(modes) == {0o700}
    for entry in (tmp_path / "events").iterdir():
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600


@pytest.fixture
def three_parts(tmp_path: Path) -> Path:
    rig = Rig()
    with create_events(tmp_path / "events") as events:
        events.log(rig.engine)
        live(rig.engine, 1, 250)
    assert len(entries(tmp_path / "events")) == 6
    return tmp_path / "events"


@pytest.mark.parametrize("table", [ACCESSES, CANDIDATES])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_cut_short_is_left_out_and_named(three_parts, table, number, run):
    whole = len(tables(three_parts)[0])
    path = three_parts / file_name(table, number)
    os.truncate(path, path.stat().st_size // 2)
    accesses, _candidates, reader = tables(three_parts)
    assert reader.damaged == [number]
    assert 0 < len(accesses) < whole
    done = run("why", three_parts, "--refused")
    assert (done.status, done.err) == (0, "")
    assert f"Part {number} is damaged and left out." in done.out


def test_a_part_that_lacks_its_second_file_is_none(three_parts):
    (three_parts / file_name(CANDIDATES, 3)).unlink()
    accesses, _candidates, reader = tables(three_parts)
    assert reader.damaged == []
    assert max(row["now"] for row in accesses) < 20_100


def test_any_bytes_in_the_place_of_a_part_are_a_damaged_part(three_parts, run):
    for number in (1, 2, 3):
        (three_parts / file_name(CANDIDATES, number)).write_bytes(b"PAR1 is not enough PAR1")
    assert "no part of this event log can be read" in run("why", three_parts, "5").refusal(2)


def test_what_ended_before_kill_9_can_be_read(tmp_path):
    script = f"""
import os
from tests.log.test_events import live
from tests.rig import Rig
from pghot.log.events import create_events
with create_events({str(tmp_path / "events")!r}) as events:
    rig = Rig()
    events.log(rig.engine)
    live(rig.engine, 1, 250)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    accesses, _candidates, reader = tables(tmp_path / "events")
    assert max(row["now"] for row in accesses) == 19_999
    assert (reader.complete_from, reader.damaged) == (0, [])


def test_a_run_that_fails_keeps_what_was_told(tmp_path):
    rig = Rig()

    def interrupted():
        with create_events(tmp_path / "events") as events:
            events.log(rig.engine)
            live(rig.engine, 1, 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(tables(tmp_path / "events")[0]) == 900


# The directory.


def test_earlier_events_are_lost_only_by_force(three_parts, run, tmp_path):
    log = write_log(tmp_path / "log.parquet", log_rows())
    line = run("replay", log, "--events", three_parts).refusal()
    assert line.endswith("choose another --events, or give --force to lose the events in it")
    assert run("replay", log, "--events", three_parts, "--force").status == 0
    assert entries(three_parts) == [file_name(name, 1) for name in (ACCESSES, CANDIDATES)]


def test_a_directory_of_something_else_is_never_cleared(run, tmp_path):
    log = write_log(tmp_path / "log.parquet", log_rows())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    line = run("replay", log, "--events", tmp_path / "mine", "--force").refusal()
    assert line.endswith("is not empty; choose another --events")
    assert entries(tmp_path / "mine") == ["letter"]


def test_two_logs_do_not_share_a_directory(tmp_path):
    with create_events(tmp_path / "events"), pytest.raises(InputError, match="another pghot"):
        create_events(tmp_path / "events").__enter__()


def test_nothing_told_leaves_no_directory(tmp_path):
    with create_events(tmp_path / "events"):
        pass
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "words"), [("12", "wants 1MiB or more"), ("much", "wants a number")]
)
def test_a_limit_that_is_none_is_refused_before_anything_is_written(run, tmp_path, limit, words):
    log = write_log(tmp_path / "log.parquet", log_rows())
    line = run("replay", log, "--events", tmp_path / "e", "--events-limit", limit).refusal()
    assert words in line
    assert entries(tmp_path) == ["log.parquet"]


def test_a_full_disk_is_one_line(tmp_path):
    log = write_log(tmp_path / "log.parquet", log_rows())
    done = pghot("replay", log, "--events", tmp_path / "events", limit=512)
    assert done.refusal(1).startswith(f"{tmp_path / 'events'}: cannot be written: ")


# What the files are.


def test_the_files_are_parquet_with_the_documented_columns(run, tmp_path):
    log = write_log(tmp_path / "log.parquet", log_rows())
    assert run("replay", log, "--events", tmp_path / "events").status == 0
    for name, columns in COLUMNS.items():
        table = pq.read_table(tmp_path / "events" / file_name(name, 1))
        assert table.column_names == list(columns)
    first = pq.read_table(tmp_path / "events" / file_name(ACCESSES, 1)).to_pylist()[0]
    assert first == {
        "seq": 1, "now": 0, "pfn": LOWER, "tail": 0, "pages": 1, "nid": -1,
        "source": "hintfault", "fate": "recorded", "record": 1, "pid": 0, "vaddr": 0,
    }  # fmt: skip


def test_a_replay_is_the_same_with_and_without_events(run, tmp_path):
    log = write_log(tmp_path / "log.parquet", log_rows(100, 9))
    for fidelity in FIDELITIES:
        plain = json.loads(run("replay", log, "--json", "--fidelity", fidelity).out)
        options = ("--events", tmp_path / fidelity, "--fidelity", fidelity)
        logged = json.loads(run("replay", log, "--json", *options).out)
        assert logged | {"command": plain["command"]} == plain
        assert plain["batches"] > 0
