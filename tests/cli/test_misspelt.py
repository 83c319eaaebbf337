"""A misspelt name gets the nearest one that there is."""

from __future__ import annotations

import pytest

from pghot.cli import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("repaly x", "no 'repaly'; perhaps replay? there are demo, "),
        ("convert --machin2 x -o y z", "pghot convert: no option --machin2, perhaps --machine; "),
        ("replay x y", "pghot replay: takes no argument 'y'; see pghot replay --help"),
        ("sim zipff", "zipff: no such preset or file; perhaps zipf? "),
        ("sim zipf --policy non", "perhaps none?"),
        ("sim zipf --set freq_treshold=2", "perhaps freq_threshold?"),
        ("replay examples/sqlite.parquet --set freq_treshold=2", "perhaps freq_threshold?"),
        ("help recipe", "perhaps recipes"),
        ("replay examples/sqlite.parquet --source hintfalt", "perhaps hintfault? there are"),
        ("sim zipf --policy pghot-hwhnt", "perhaps pghot-hwhint?"),
        ("convert x -o y --addresses virtul", "perhaps virtual?"),
        ("convert examples/sqlite.parquet -o y --format perf-scirpt", "perhaps perf-script"),
        ("convert x -o y --start fast", "no 'fast'; there are first-touch, slow"),
    ],
)
def test_the_nearest_name_is_told(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(words.split())
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr().err
    assert status == 2
    assert says in said
    assert said.count("\n") == 1
