"""A result that somebody made up takes so much memory and no more, and is refused in a line."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot.driving.answer_log import AnswerReader
from pghot.errors import InputError
from pghot.files import bounded
from pghot.files.bounded import bounded_memory
from pghot.report.page.read import read_result


@pytest.fixture
def result(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results / "full", tmp_path / "mine"))


def refused(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_result(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_compressed_records_are_refused(result: Path) -> None:
    records = io.BytesIO()
    np.lib.format.write_array(records, np.zeros(1 << 22, np.uint8))
    with zipfile.ZipFile(result / "records.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("record.npy", records.getvalue())
    assert "its records are compressed" in refused(result)


def test_records_of_another_length_than_their_header_says_are_refused(result: Path) -> None:
    with zipfile.ZipFile(result / "records.npz", "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 60,)}
        )
        archive.writestr("record.npy", header.getvalue() + bytes(100))
    assert "records.npz: not what pghot writes" in refused(result)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", '{"a": ' + "[" * 200_000),
        ("summary.json", '{"elapsed_s": 1e999}'),
        ("binned.json", '{"version": 1, "runs": ' + "[" * 200_000),
    ],
)
def test_json_that_is_deep_or_infinite_is_refused(result: Path, name: str, text: str) -> None:
    (result / name).write_text(text)
    assert str(result) in refused(result)


def test_an_infinite_time_is_refused(result: Path) -> None:
    summary = json.loads((result / "summary.json").read_text())
    (result / "summary.json").write_text(
        json.dumps(summary | {"elapsed_s": 0}).replace('"elapsed_s": 0', '"elapsed_s": 1e999')
    )
    refused(result)


def test_json_beyond_a_size_is_refused(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.read_bounded, "__defaults__", (1 << 10,))
    (result / "binned.json").write_text(" " * 1025)
    assert refused(result).endswith("over 0 MiB; what pghot writes is smaller")


CRAFTED = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows = 9_000_000
policy = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), ["none"])
zeros = pa.array(np.zeros(rows))
names = ("time_s", "accesses", "fast_accesses", "promoted", "demoted")
pq.write_table(pa.table({"policy": policy, **dict.fromkeys(names, zeros)}),
               sys.argv[1], compression="zstd", row_group_size=rows)
"""


def test_a_small_table_of_many_rows_is_refused_before_it_is_read(run, tmp_path: Path) -> None:
    done = run("sim", "gups", "--scale", "1/256", "--policy", "none", "-o", tmp_path / "sim")
    assert done.status == 0, done.err
    path = tmp_path / "sim" / "timeline.parquet"
    subprocess.run([sys.executable, "-c", CRAFTED, path], check=True)
    assert path.stat().st_size < 1 << 20
    assert "timeline.parquet: over 8,388,608 rows" in refused(tmp_path / "sim")


def test_a_group_of_rows_that_inflates_too_far_is_refused_before_it_is_read(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_MEMORY", 1 << 20)
    columns = dict.fromkeys(("time_us", "pages", "batch"), np.zeros(1 << 20, np.uint64))
    pq.write_table(pa.table(columns), result / "promotions.parquet", use_dictionary=False)
    assert refused(result).endswith("promotions.parquet: inflates to over 1 MiB at once")


def test_what_takes_more_memory_than_there_is_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes more memory than"), bounded_memory(tmp_path):
        np.ones(1 << 50)


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (zlib.compress(bytes(1 << 16)), "inflates to over 0 MiB"),
        (zlib.compress(bytes(1 << 8))[:-6], "a piece of it is cut short"),
        (b"no deflate", "incorrect header check"),
    ],
)
def test_a_tape_inflates_so_far_and_no_further(
    piece: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pghot.driving.answer_log.MOST", 1 << 12)
    with pytest.raises(InputError, match="damaged") as raised:
        AnswerReader([base64.b64encode(piece).decode()])
    assert why in str(raised.value)
