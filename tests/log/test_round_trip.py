"""A log is read back as it was written, in every form (R7)."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.log import read
from pghot.log.read import Chunk, open_log
from pghot.log.schema import DTYPES, REQUIRED, SOURCES, Columns, Metadata
from pghot.log.write import create_log
from tests.log.made import (
    METADATA,
    log_rows,
    optional_columns,
    write_csv,
    write_log,
    write_table,
)

FORMS = pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.zst", "log"])


def read_back(path: Path, columns: tuple[str, ...] = tuple(DTYPES)) -> Columns:
    """The whole log; its values must all be good."""
    with open_log(path) as log:
        chunks = list(log.chunks(columns))
    assert not any(chunk.bad for chunk in chunks)
    return joined(chunks)


def joined(chunks: list[Chunk]) -> Columns:
    return {name: np.concatenate([c.columns[name] for c in chunks]) for name in chunks[0].columns}


def same(left: Columns, right: Columns) -> None:
    assert list(left) == list(right)
    for name, values in left.items():
        assert values.dtype == right[name].dtype == DTYPES[name]
        np.testing.assert_array_equal(values, right[name], name)


@FORMS
def test_a_log_is_read_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    rows = log_rows()
    same(read_back(write_log(tmp_path / name, rows)), rows)


# R7.2
@FORMS
def test_optional_columns_are_kept_to_their_extremes(tmp_path: Path, name: str) -> None:
    rows = log_rows()
    rows |= optional_columns(len(rows["pfn"]))
    assert list(rows) == list(DTYPES)
    same(read_back(write_log(tmp_path / name, rows)), rows)


@FORMS
def test_numbers_of_64_bits_are_kept(tmp_path: Path, name: str) -> None:
    rows = log_rows(1, 2)
    rows["time_us"] = np.array([0, 2**64 - 1], np.uint64)
    rows["pfn"] = np.array([2**64 - 1, 0], np.uint64)
    same(read_back(write_log(tmp_path / name, rows)), rows)


@FORMS
def test_only_the_columns_asked_for_are_read(tmp_path: Path, name: str) -> None:
    rows = log_rows()
    path = write_log(tmp_path / name, rows | optional_columns(len(rows["pfn"])))
    assert list(read_back(path, ("pid", "time_us"))) == ["time_us", "pid"]
    with open_log(path) as log:
        assert list(next(log.chunks()).columns) == list(REQUIRED)
        assert log.columns == tuple(DTYPES)


@FORMS
def test_a_log_may_have_no_rows(tmp_path: Path, name: str) -> None:
    with open_log(write_log(tmp_path / name, log_rows(0, 0))) as log:
        assert sum(map(len, log.chunks())) == 0


def test_columns_that_the_contract_does_not_know_are_passed_over(tmp_path: Path) -> None:
    rows = log_rows()
    more = rows | {"colour": ["red"] * len(rows["pfn"]), "at": np.ones(len(rows["pfn"]))}
    same(read_back(write_table(tmp_path / "log.parquet", more)), rows)
    same(read_back(write_csv(tmp_path / "log.csv", more)), rows)


@FORMS
def test_rows_are_counted_from_1(tmp_path: Path, name: str, monkeypatch) -> None:
    monkeypatch.setattr(read, "ROWS_A_CHUNK", 100)
    path = write_log(tmp_path / name, log_rows(40, 6))
    with open_log(path) as log:
        assert [(chunk.first_row, len(chunk)) for chunk in log.chunks()] == [
            (1, 100),
            (101, 100),
            (201, 40),
        ]


def test_a_parquet_log_knows_its_number_of_rows_and_csv_does_not(tmp_path: Path) -> None:
    for name, rows in ("log.parquet", 240), ("log.csv", None):
        with open_log(write_log(tmp_path / name, log_rows(40, 6))) as log:
            assert log.rows == rows


@FORMS
@pytest.mark.parametrize("size", [1, 7, 239, 240, 10_000])
def test_the_size_of_chunks_changes_no_row(tmp_path: Path, name: str, size: int, monkeypatch):
    rows = log_rows()
    path = write_log(tmp_path / name, rows)
    monkeypatch.setattr(read, "ROWS_A_CHUNK", size)
    monkeypatch.setattr(read, "CSV_BLOCK", 200)
    same(read_back(path), rows)


@given(cuts=st.lists(st.integers(0, 240), max_size=6))
@settings(max_examples=20, deadline=None)
def test_rows_may_be_written_in_pieces_of_any_size(tmp_path_factory, cuts: list[int]) -> None:
    rows = log_rows(40, 6)
    path = tmp_path_factory.mktemp("cut") / "log.parquet"
    edges = [0, *sorted(cuts), 240]
    with create_log(path) as writer:
        for start, end in itertools.pairwise(edges):
            writer.write({name: values[start:end] for name, values in rows.items()})
        assert writer.rows == 240
    same(read_back(path), rows)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_the_source_may_be_a_word(tmp_path: Path, kind: pa.DataType) -> None:
    rows = log_rows()
    words = list(SOURCES)
    text = pa.array([words[number] for number in rows["source"]]).cast(kind)
    path = write_table(tmp_path / "log.parquet", rows | {"source": text})
    same(read_back(path), rows)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int64(), pa.uint8(), pa.dictionary(pa.int32(), pa.int8())], ids=str
)
def test_the_source_may_be_a_number(tmp_path: Path, kind: pa.DataType) -> None:
    rows = log_rows()
    numbers = pa.array(rows["source"])
    numbers = numbers.dictionary_encode() if pa.types.is_dictionary(kind) else numbers.cast(kind)
    assert numbers.type == kind
    same(read_back(write_table(tmp_path / "log.parquet", rows | {"source": numbers})), rows)


def test_csv_sources_may_be_words_or_numbers_and_have_spaces(tmp_path: Path) -> None:
    rows = log_rows(2, 2)
    rows["source"][:] = [0, 1, 1, 0]
    words = {(1, "source"): "hintfault", (2, "source"): " hwhint", (3, "source"): "1"}
    same(read_back(write_csv(tmp_path / "log.csv", rows, words)), rows)


def test_int64_columns_as_pandas_writes_them_are_accepted(tmp_path: Path) -> None:
    rows = log_rows()
    wide = {name: values.astype(np.int64) for name, values in rows.items()}
    same(read_back(write_table(tmp_path / "log.parquet", wide)), rows)


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    rows = log_rows()
    turned = dict(reversed(rows.items()))
    for path in (
        write_table(tmp_path / "log.parquet", turned),
        write_csv(tmp_path / "log.csv", turned),
    ):
        back = read_back(path)
        same({name: back[name] for name in rows}, rows)


@pytest.mark.parametrize("neighbour", ["5", "no number"])
def test_what_is_a_number_does_not_depend_on_its_neighbours(
    tmp_path: Path, neighbour: str
) -> None:
    texts = ["0x8000", " 32768", "00032768", "+32768", "-1", "1e3", "2.0", "18446744073709551615"]
    rows = log_rows(len(texts) + 1, 1)
    changes = {(i + 1, "pfn"): text for i, text in enumerate([*texts, neighbour])}
    with open_log(write_csv(tmp_path / "log.csv", rows, changes)) as log:
        (chunk,) = log.chunks()
    assert chunk.bad["pfn"][:-1].tolist() == [False] * 3 + [True] * 4 + [False]
    assert chunk.columns["pfn"][[0, 1, 2, 7]].tolist() == [32768] * 3 + [2**64 - 1]


@pytest.mark.parametrize("written", [True, False])
def test_write_may_be_text_or_number(tmp_path: Path, written: bool) -> None:
    rows = log_rows(1, 3)
    texts = {
        (1, "write"): str(written),
        (2, "write"): str(written).lower(),
        (3, "write"): str(int(written)),
    }
    more = rows | {"write": np.zeros(3, np.bool_)}
    assert read_back(write_csv(tmp_path / "a.csv", more, texts))["write"].tolist() == [written] * 3
    table = write_table(tmp_path / "a.parquet", rows | {"write": [int(written)] * 3})
    assert read_back(table)["write"].tolist() == [written] * 3


# Metadata


# R7.3
def test_metadata_makes_the_round_trip(tmp_path: Path) -> None:
    with open_log(write_log(tmp_path / "log.parquet", log_rows())) as log:
        assert log.metadata == METADATA
        assert log.metadata.machine["node"][1]["pages"] == 65536


def test_metadata_may_be_replaced_until_the_log_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    with create_log(path, Metadata(taken="early")) as writer:
        writer.write(log_rows())
        writer.metadata = Metadata(taken="late", hz=250)
    with open_log(path) as log:
        assert log.metadata == Metadata(taken="late", hz=250)


def test_metadata_that_another_tool_put_in_the_schema_is_read(tmp_path: Path) -> None:
    with open_log(write_table(tmp_path / "log.parquet", log_rows())) as log:
        assert log.metadata == METADATA


def test_what_metadata_says_beyond_this_version_is_kept() -> None:
    text = '{"hz": 100, "kernel": "6.19", "version": 1}'
    metadata = Metadata.from_json(text)
    assert metadata.extra == {"kernel": "6.19"}
    assert Metadata.from_json(metadata.to_json()) == metadata


def test_csv_and_files_of_others_have_no_metadata(tmp_path: Path) -> None:
    pq.write_table(pa.table(log_rows()), tmp_path / "log.parquet")
    for path in (tmp_path / "log.parquet", write_log(tmp_path / "log.csv", log_rows())):
        with open_log(path) as log:
            assert log.metadata is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff{}", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"hz": "1000"}', "holds 'hz' that is no int"),
        ('{"hz": true}', "holds 'hz' that is no int"),
        ('{"machine": []}', "holds 'machine' that is no dict"),
        ('{"version": 2}', "has format version 2; this pghot reads 1"),
        ('{"page_size": 65536}', "counts pages of 65536 bytes; pghot replays 4096"),
    ],
)
def test_metadata_that_is_none_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(log_rows()).replace_schema_metadata({"pghot": text}), path)
    with pytest.raises(InputError) as refused, open_log(path):
        pass
    assert str(refused.value) == f"{path}: its metadata {why}"
