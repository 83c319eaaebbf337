"""A Parquet file whose headers ask for more memory than its rows take is refused (R7.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot.errors import InputError
from pghot.log.read import open_log
from tests.log.made import METADATA, log_rows

INT32_MAX = (1 << 31) - 1
JUST_UNDER_2_GIB = INT32_MAX - (1 << 20)
MUCH = 256 << 20


def table(**columns: pa.Array) -> pa.Table:
    names = {"time_us": pa.uint64(), "pfn": pa.uint64(), "nid": pa.int16(), "source": pa.int8()}
    rows = {name: pa.array(log_rows()[name], kind) for name, kind in names.items()} | columns
    return pa.table(rows).replace_schema_metadata({"pghot": METADATA.to_json()})


def written(path: Path, rows: pa.Table, **how: object) -> Path:
    pq.write_table(rows, path, **{"store_schema": False, "use_dictionary": False, **how})
    return path


def read(path: Path) -> dict[str, np.ndarray]:
    with open_log(path) as log:
        chunks = list(log.chunks())
    return {name: np.concatenate([c.columns[name] for c in chunks]) for name in chunks[0].columns}


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def varint(number: int) -> bytes:
    digits = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([digit | 0x80 for digit in digits[:-1]] + digits[-1:])


def number(value: int, step: int = 1) -> bytes:
    """A field of 32 bits, `step` after the one before it, in Thrift's compact form."""
    return bytes([step << 4 | 5]) + varint(value << 1 ^ value >> 63)


def data_header(inflated: int, packed: int, values: int, encoding: int = 0) -> bytes:
    own = number(values) + number(encoding) + number(3) + number(3) + b"\0"
    return number(0) + number(inflated) + number(packed) + b"\x2c" + own + b"\0"


def words_header(inflated: int, packed: int, values: int) -> bytes:
    own = number(values) + number(0) + b"\0"
    return number(2) + number(inflated) + number(packed) + b"\x4c" + own + b"\0"


def with_header(path: Path, column: int, header: bytes) -> Path:
    """The file with other bytes where a column's first page begins."""
    chunk = pq.read_metadata(path).row_group(0).column(column)
    at = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + len(header)] = header
    path.write_bytes(content)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return written(tmp_path / "log.parquet", table(), compression="none", write_statistics=False)


def test_a_page_that_claims_to_inflate_to_2_gib(plain: Path) -> None:
    header = data_header(JUST_UNDER_2_GIB, 100, 240)
    assert "its pages inflate to 2047 MiB at once" in refused(with_header(plain, 1, header))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (data_header(100, INT32_MAX, 240), "column pfn: corrupt: a page runs past byte"),
        (data_header(100, -1, 240), "column pfn: corrupt: a page runs past byte"),
        (data_header(-1, 100, 240), "column pfn: corrupt: a page runs past byte"),
        (b"\xff" * 40, "column pfn: corrupt: no header of a page at byte"),
        (number(0) + b"\x18" + varint(1 << 62), "column pfn: corrupt: no header of a page"),
        (b"\x1c" * 40, "column pfn: corrupt: no header of a page"),
    ],
    ids=["too long", "shorter than nothing", "inflates to less", "ones", "a text", "too deep"],
)
def test_a_page_header_that_is_none(plain: Path, header: bytes, words: str) -> None:
    assert refused(with_header(plain, 1, header)).startswith(words)


def test_a_dictionary_that_claims_more_words_than_it_has_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "log.parquet", table(), use_dictionary=True, compression="none")
    header = words_header(64, 64, INT32_MAX)
    assert f"corrupt: {INT32_MAX} words in 64 bytes" in refused(with_header(path, 1, header))


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("name", ["pfn", "source"])
def test_a_long_word_that_many_rows_share_stays_one_word(
    tmp_path: Path, name: str, store_schema: bool
) -> None:
    rows = 240
    places = pa.array(np.arange(rows) % 2, pa.int32())
    words = pa.DictionaryArray.from_arrays(places, pa.array(["7" * (8 << 20), "1"]))
    path = written(
        tmp_path / "log.parquet",
        table(**{name: words}),
        use_dictionary=True,
        store_schema=store_schema,
        dictionary_pagesize_limit=64 << 20,
        compression="zstd",
    )
    before = pa.default_memory_pool().max_memory()
    with open_log(path) as log:
        (chunk,) = log.chunks()
    assert chunk.bad[name].tolist() == [True, False] * (rows // 2)
    assert (chunk.columns[name][1::2] == 1).all()
    assert pa.default_memory_pool().max_memory() <= max(before, MUCH)


@pytest.mark.parametrize(
    "values",
    [pa.array([[1, 2]] * 240), pa.array([{"x": 1}] * 240)],
    ids=["lists", "groups"],
)
def test_what_holds_any_number_of_values_a_row(tmp_path: Path, values: pa.Array) -> None:
    path = written(tmp_path / "log.parquet", table(pfn=values))
    kind = pq.read_schema(path).field("pfn").type
    assert refused(path) == f"column pfn: holds {kind}, wants whole numbers"


def test_texts_that_repeat_the_one_before_them(tmp_path: Path) -> None:
    words = pa.array(["hwhint", "hintfault"] * 120)
    encoding = {"source": "DELTA_BYTE_ARRAY"}
    said = refused(
        written(tmp_path / "log.parquet", table(source=words), column_encoding=encoding)
    )
    assert "column source: is encoded as DELTA_BYTE_ARRAY" in said


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", None])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("group", [7, 1000])
def test_logs_of_other_writers_are_read(
    tmp_path: Path, encoding: str | None, version: str, group: int
) -> None:
    words = pa.array(["hwhint", "hintfault", None] * 80)
    numbers = pa.array([str(32768 + at % 5) for at in range(240)])
    how = {"column_encoding": {"source": encoding, "pfn": encoding}} if encoding else {}
    path = written(
        tmp_path / "log.parquet",
        table(source=words, pfn=numbers),
        use_dictionary=not encoding,
        data_page_version=version,
        row_group_size=group,
        **how,
    )
    with open_log(path) as log:
        chunks = list(log.chunks())
        assert log.last_us() == log_rows()["time_us"][-1]
    sources = np.concatenate([c.columns["source"][~c.bad["source"]] for c in chunks])
    assert sources.tolist() == [1, 0] * 80
    assert np.concatenate([c.bad["source"] for c in chunks]).tolist() == [False, False, True] * 80
    pfns = np.concatenate([c.columns["pfn"] for c in chunks])
    assert pfns.tolist() == [32768 + at % 5 for at in range(240)]


def test_a_footer_that_claims_a_million_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    footer = number(2) + b"\x19\xfc" + varint(1_000_000)
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert "not a whole Parquet file" in refused(path)
