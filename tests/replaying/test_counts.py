"""A log whose rows have a count (R7.6) replays as the twin's, and one of ones as without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.log.made import Run, log_rows, write_csv, write_machine, write_table
from tests.twin.cases import MODES, make_case
from tests.twin.compare import seen_by_pghot, seen_by_twin

COUNTS = (1, 1, 2, 3, 7, 8, 1000, (1 << 32) - 1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1 << 48), mode=st.sampled_from(MODES))
def test_any_log_with_counts_replays_as_the_twins(seed: int, mode: str) -> None:
    rng = Random(seed)
    case = make_case(rng, mode, rng.choice((5, 60, 400)), rng.choice((1, 5, 40)))
    case = replace(case, rows=tuple((*row, rng.choice(COUNTS)) for row in case.rows))
    ours, twin = seen_by_pghot(case), seen_by_twin(case)
    for what in ours:
        assert ours[what] == twin[what], what


@pytest.mark.parametrize("mode", MODES)
def test_counts_of_one_replay_as_a_log_without_them(mode: str) -> None:
    case = make_case(Random(7), mode, 300, 40)
    counted = replace(case, rows=tuple((*row, 1) for row in case.rows))
    assert seen_by_pghot(counted) == seen_by_pghot(case)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
@pytest.mark.parametrize("bad", [0, None, -1])
def test_a_row_of_no_access_is_refused_by_row_and_column(
    tmp_path: Path, run: Run, name: str, bad: int | None
) -> None:
    rows = log_rows(10, 1) | {"nr": np.full(10, 3)}
    if name == "log.csv":
        text = {(2, "nr"): "" if bad is None else str(bad)}
        log = write_csv(tmp_path / name, rows, text)
    else:
        log = write_table(tmp_path / name, rows | {"nr": [3, bad, *[3] * 8]})
    machine = write_machine(tmp_path / "machine.toml")
    line = run("replay", log, "--machine", machine).refusal()
    assert line.startswith(f"{log}: row 2, column nr: missing, or not a number that fits")
