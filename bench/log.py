"""Encodings of a log's two wide columns: room and reading time (why pghot.log.write chose its).

Times in microseconds and page numbers, as in the log of bench/replay.py.  Yardstick: the
same columns plain and not compressed.
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from _measure import MI, interleave, one_core, options, rows, show, zipf

PAGES = 2 * MI
ROWS_A_READ = 1 << 18
PAIRS = (
    ("PLAIN", "none"),
    ("PLAIN", "lz4"),
    ("PLAIN", "zstd"),
    ("DICTIONARY", "lz4"),
    ("DELTA_BINARY_PACKED", "none"),
    ("DELTA_BINARY_PACKED", "lz4"),
    ("BYTE_STREAM_SPLIT", "lz4"),
    ("BYTE_STREAM_SPLIT", "snappy"),
    ("BYTE_STREAM_SPLIT", "zstd"),
)


def main() -> None:
    args = options(__doc__)
    one_core()
    count = MI if args.quick else 8 * MI
    columns = {
        "time_us": np.arange(count, dtype=np.uint64) * np.uint64(3) // np.uint64(5),
        "pfn": zipf(count, PAGES, np.random.default_rng(1)).astype(np.uint64) + np.uint64(PAGES),
    }
    found = []
    bytes_a_row = {}
    for name, values in columns.items():
        table = pa.table({name: values})
        files = {
            f"{encoding}, {packing}": pack(table, encoding, packing) for encoding, packing in PAIRS
        }
        timing = interleave(
            {pair: lambda data=data: read(data) for pair, data in files.items()}, 5
        )
        found += rows(name, timing, count, dict.fromkeys(files, "PLAIN, none"))
        for pair, data in files.items():
            bytes_a_row[f"{name}, {pair}"] = round(data.size / count, 2)
    show("reading a column, ns a row", found, as_json=args.json, more={"bytes a row": bytes_a_row})


def pack(table: pa.Table, encoding: str, packing: str) -> pa.Buffer:
    """The Parquet file of a table in one of the ways."""
    sink = io.BytesIO()
    name = table.column_names[0]
    dictionary = encoding == "DICTIONARY"
    pa.parquet.write_table(
        table,
        sink,
        compression=packing,
        use_dictionary=dictionary,
        column_encoding=None if dictionary else {name: encoding},
        row_group_size=MI,
        write_page_checksum=True,
    )
    return pa.py_buffer(sink.getvalue())


def read(data: pa.Buffer) -> None:
    """Read it as `pghot.log.read` does."""
    file = pa.parquet.ParquetFile(
        pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True
    )
    for batch in file.iter_batches(batch_size=ROWS_A_READ, use_threads=False):
        batch.column(0).to_numpy()


if __name__ == "__main__":
    main()
