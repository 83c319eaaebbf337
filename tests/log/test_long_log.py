"""A log may be far longer than memory is large: it is written, read and replayed in pieces."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pghot.log.write import ROWS_A_GROUP
from tests.log.made import END, LOWER, pghot

WORK = """
import json, resource, sys, tempfile
sys.path.insert(0, {root!r})
import numpy as np
from pghot.log.write import create_log
from pghot.replaying.replay import replay
from tests.log.made import METADATA

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

step = 1 << 18
rows = {{
    "time_us": np.arange(step, dtype=np.uint64),
    "pfn": np.arange(step, dtype=np.uint64) * 31 % {pages} + {lower},
    "nid": np.zeros(step, np.int16),
    "source": np.ones(step, np.int8),
}}
with create_log({path!r}, METADATA) as writer:
    for _ in range({chunks}):
        writer.write(rows | {{"time_us": rows["time_us"] + np.uint64(writer.rows)}})
written = peak()
result = replay({path!r})
print(json.dumps([written, peak(), result.accesses]))
sys.exit()
"""


def peaks(path: Path, chunks: int) -> tuple[int, int]:
    """Write and replay a log in a process of its own; give its largest sizes in KiB."""
    work = WORK.format(
        root=str(Path(__file__).parents[2]), path=str(path), chunks=chunks,
        lower=LOWER, pages=END - LOWER,
    )  # fmt: skip
    done = pghot(before=work)
    assert done.err == ""
    written, replayed, accesses = map(int, done.out.strip("[]\n").split(","))
    assert accesses == chunks << 18
    return written, replayed


@pytest.mark.compiled
def test_memory_stays_flat_however_long_the_log(tmp_path: Path) -> None:
    """A million rows and twenty million; the columns of the latter alone take 400 MB."""
    short = peaks(tmp_path / "short.parquet", 4)
    long = peaks(tmp_path / "long.parquet", 76)
    assert long[0] < 1.2 * short[0]
    assert long[1] < 1.2 * short[1]
    metadata = pq.read_metadata(tmp_path / "long.parquet")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert max(groups) <= ROWS_A_GROUP
