"""What damo itself writes, of one trace in each of its forms, gives one log."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.log.convert.trace_files import converted

FIRST, MIDDLE, END = 1 << 32, (1 << 32) + (100 << 12), (1 << 32) + (900 << 12)
WRITE = """
import copy, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import _damo_records as records
kept, error = records.parse_damon_trace(Path("trace.txt").read_text(), "perf-script", None)
assert error is None, error
records.write_json(kept, "json")
records.write_json_compressed(kept, "json_compressed")
records.write_perf_script(copy.deepcopy(kept), "perf_script")
for record in kept:
    record.snapshots = record.snapshots[:1]
records.write_perf_script(kept, "one_snapshot")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a trace of DAMON's, as perf prints it, and damo's files of it."""
    spec = find_spec("damo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("damo is not installed (scripts/setup --group test)")
    lines = [
        f"kdamond.0    77 [001]  {1524 + at / 10:.6f}: damon:damon_aggregated: target_id=0 "
        f"nr_regions=2 {start}-{end}: {seen} 3\n"
        for at in range(1, 31)
        for start, end, seen in ((FIRST, MIDDLE, at % 4 + 1), (MIDDLE, END, at % 2))
    ]
    directory = tmp_path_factory.mktemp("damo")
    (directory / "trace.txt").write_text("".join(lines))
    subprocess.run(
        [sys.executable, "-c", WRITE, spec.submodule_search_locations[0]],
        cwd=directory,
        check=True,
        timeout=120,
    )
    return directory


@pytest.mark.parametrize("form", ["json", "json_compressed", "perf_script"])
def test_each_form_gives_the_log_of_the_trace(written: Path, form: str) -> None:
    report, log = converted(written / "trace.txt", written / "trace.parquet")
    same, other = converted(written / form, written / "other.parquet")
    assert (report.format, same.format) == ("damon", "damon")
    assert other == log
    touched = Counter(address < MIDDLE for address in log["vaddr"])
    assert touched == {True: sum(at % 4 + 1 for at in range(1, 31)), False: 15}


def test_the_mark_of_a_single_snapshot_is_no_region(written: Path) -> None:
    _report, log = converted(written / "one_snapshot", written / "one.parquet")
    assert len(log["pfn"]) == 2 + 1
