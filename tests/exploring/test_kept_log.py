"""A log that is decoded once replays as the log itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import pghot
from pghot.exploring.kept_log import KeptLog, LastLog, kept_log

EXAMPLE = Path(pghot.__file__).parents[2] / "examples" / "sqlite.parquet"


def test_it_replays_as_its_file_and_every_time_alike():
    known = pghot.replay(EXAMPLE)
    with kept_log(EXAMPLE, 2) as log:
        assert isinstance(log, KeptLog)
        for _ in range(2):
            found = pghot.replay(log)
            assert found.engine.vmstat.as_dict() == known.engine.vmstat.as_dict()
            assert found.fast_share == known.fast_share


def test_a_log_of_one_replay_is_not_kept():
    with kept_log(EXAMPLE, 1) as log:
        assert log == EXAMPLE


def test_a_worker_decodes_a_log_again_only_where_another_came_between():
    last = LastLog()
    first = last.get(EXAMPLE, "a")
    assert last.get(EXAMPLE, "a") is first
    assert last.get(EXAMPLE, "b") is not first
    assert last.get(EXAMPLE, "a") is not first
    assert pghot.replay(last.get(EXAMPLE, "a")).accesses == pghot.replay(EXAMPLE).accesses


def test_a_worker_that_could_not_read_a_log_reads_the_next(tmp_path):
    last = LastLog()
    with pytest.raises(pghot.InputError, match="No such file"):
        last.get(tmp_path / "none", "a")
    assert isinstance(last.get(EXAMPLE, "a"), KeptLog)
