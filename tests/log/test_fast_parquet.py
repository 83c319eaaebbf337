"""A recording's parts are Parquet as any reader has it, with a CRC on every page."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.log.arrow import arrow_schema
from pghot.log.delta_pack import BLOCK, pack
from pghot.log.fast_parquet import write_rows
from pghot.log.schema import DTYPES, Columns
from tests.log.made import log_rows, optional_columns

U64 = (1 << 64) - 1


def written(rows: Columns, said: str = "{}") -> bytes:
    stream = io.BytesIO()
    write_rows(stream, rows, said)
    return stream.getvalue()


def opened(content: bytes) -> pa.parquet.ParquetFile:
    return pa.parquet.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)


def column(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The values as Arrow reads them back."""
    return opened(written({"time_us": values})).read()["time_us"].to_numpy()


@settings(deadline=None)
@given(
    st.integers(0, 3 * BLOCK + 1),
    st.integers(0, 64),
    st.integers(0, U64),
    st.randoms(use_true_random=False),
)
def test_numbers_of_any_width_and_count_come_back(count, bits, first, random) -> None:
    drawn = [(first + random.getrandbits(bits)) & U64 if bits else first for _ in range(count)]
    values = np.array(drawn, np.uint64)
    assert np.array_equal(column(values), values)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, (1 << 63) - 1, 1 << 63, U64]), max_size=2 * BLOCK))
def test_numbers_as_far_apart_as_can_be_come_back(drawn: list[int]) -> None:
    values = np.array(drawn, np.uint64)
    assert np.array_equal(column(values), values)


def test_every_column_of_the_contract_has_its_type_and_values() -> None:
    rows = log_rows() | optional_columns(240)
    file = opened(written(rows, '{"a": 1}'))
    names = tuple(name for name in DTYPES if name in rows)
    assert file.schema_arrow.remove_metadata() == arrow_schema(names)
    assert file.metadata.metadata == {b"pghot": b'{"a": 1}'}
    table = file.read()
    for name, values in rows.items():
        assert np.array_equal(table[name].to_numpy(), values), name


@pytest.mark.parametrize("name", [name for name, kind in DTYPES.items() if kind != np.uint64])
def test_a_column_of_one_value_is_that_value_and_how_often(name: str) -> None:
    rows = {"time_us": np.arange(3000, dtype=np.uint64), name: np.ones(3000, DTYPES[name])}
    content = written(rows)
    assert np.array_equal(opened(content).read()[name].to_numpy(), rows[name])
    group = opened(content).metadata.row_group(0)
    assert group.column(1).total_compressed_size < 500


def test_no_rows_are_a_file_with_columns_and_metadata() -> None:
    file = opened(written({name: np.zeros(0, kind) for name, kind in DTYPES.items()}))
    assert (file.metadata.num_rows, file.schema_arrow.names) == (0, list(DTYPES))


def test_times_take_no_more_room_than_their_steps() -> None:
    steps = np.random.default_rng(1).integers(0, 16, 100_000)
    assert len(pack(np.cumsum(steps).astype(np.uint64))) < 100_000 * 5 / 8


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_a_bit_that_turned_over_in_a_page_is_found(where: int, bit: int) -> None:
    rows = log_rows()
    content = bytearray(written(rows))
    chunk = opened(bytes(content)).metadata.row_group(0).column(1)
    end = chunk.data_page_offset + chunk.total_compressed_size
    content[end - 1 - where % (chunk.total_compressed_size - 40)] ^= 1 << bit
    with pytest.raises(OSError, match=r"could not verify page integrity|CRC"):
        opened(bytes(content)).read()
