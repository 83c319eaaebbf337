"""What is binned while a replay or a run goes adds up to what it ends with."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.binning.forms import Binned, read_binned
from pghot.binning.run_binner import RunBinner
from pghot.errors import InputError
from pghot.replaying.replay import Settings, replay
from pghot.replaying.result import Result
from tests.log.made import LOWER, MACHINE, log_rows, write_log, write_machine


def binned(tmp_path, **tunables: str) -> tuple[Result, Binned]:
    log = write_log(tmp_path / "log.parquet", log_rows(pages=200, rounds=30))
    machine = write_machine(tmp_path / "m.toml", MACHINE.replace("30000", "150"))
    binner = RunBinner()
    result = replay(log, machine, Settings(tunables=tunables), observer=binner)
    return result, result.binned(binner)


def test_the_columns_of_a_replay_add_up_to_its_result(tmp_path) -> None:
    result, found = binned(tmp_path)
    series = found.series
    assert series is not None
    assert sum(series.accesses) == result.accesses
    assert sum(series.fast or []) == result.engine.accesses_on_toptier > 0
    assert sum(series.fast_without or []) == result.engine.accesses_born_on_toptier
    assert {name: sum(counts) for name, counts in series.refused.items()} == found.refused
    assert found.refused == dict(result.engine.refused) != {}
    assert series.free_pages["0"][-1] == result.memory.free_pages(0)


def test_the_map_of_a_replay_has_every_access_at_its_pfn(tmp_path) -> None:
    result, found = binned(tmp_path)
    (heat,) = found.heat
    assert (heat.place, heat.first, sum(heat.counts)) == ("node 1", LOWER, result.accesses)
    table = np.array(heat.counts).reshape(heat.rows, heat.columns)
    assert heat.first + table.any(axis=1).nonzero()[0].max() * heat.pages_a_row <= LOWER + 199 * 7


def test_watching_changes_nothing_of_the_result(tmp_path) -> None:
    watched, _found = binned(tmp_path)
    alone = replay(tmp_path / "log.parquet", tmp_path / "m.toml")
    assert alone.summary() == watched.summary()


SERIES = '"series":{"step_us":1,"accesses":[1],"fast":[]}'
HEAT = (
    '"heat":[{"place":"","part":"","unit":"","first":0,"pages_a_row":1,"rows":2,"step_us":1,'
    '"columns":2,"share":1,"counts":[1]}]'
)


def file_with(what: str) -> str:
    return f'{{"version":1,"runs":[{{"kind":"run","name":"","fidelity":"v7",{what}}}]}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not what pghot writes"),
        ("[]", "not what pghot writes"),
        ('{"version":2,"runs":[]}', "version 2"),
        (file_with(SERIES), "differ in length"),
        (file_with(HEAT), "not rows x columns"),
        (file_with('"heat":[{"counts":[-1]}]'), "not what pghot writes"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_a_line(tmp_path, text, words) -> None:
    path = tmp_path / "binned.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        read_binned(path)
    assert "\n" not in str(raised.value)
