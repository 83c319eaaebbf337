"""Remake examples/sqlite.parquet: SQLite builds an index and answers skewed queries.

Needs sqlite3 and valgrind (Debian packages of those names); takes some minutes.
The table is made beforehand; what is traced is the index and the queries.
Usage: python examples/make_sqlite_log.py [OUT]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = 12_000
QUERIES = 25_000
SEED = 1
SKEW = 0.9

# The cache is as small, and the clock as slow, as the data are small: 8 MiB of rows stand
# for the gigabytes of a real database, and a second of its work is stretched to a minute.
CONVERT = ["--llc-size", "256KiB", "--ips", "4000000", "--nid", "0", "--sample", "2"]

TABLE = f"""
    CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, body BLOB);
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS - 1})
        INSERT INTO item SELECT i, printf('item-%05d', i * 7919 % {ROWS}), zeroblob(700) FROM n;
"""


def workload() -> str:
    """The SQL that is traced: an index, then queries of which few keys get most."""
    draw = random.Random(SEED)
    weights = [1 / rank**SKEW for rank in range(1, ROWS + 1)]
    keys = list(range(ROWS))
    draw.shuffle(keys)  # hot rows lie scattered, as they do
    asked = draw.choices(keys, weights, k=QUERIES)
    values = ",".join(f"({key})" for key in asked)
    return f"""
        PRAGMA mmap_size = 67108864;
        CREATE INDEX item_name ON item(name);
        CREATE TEMP TABLE ask(key INTEGER);
        INSERT INTO ask VALUES {values};
        SELECT count(*), sum(length(substr(body, 300, 64))) FROM ask
            CROSS JOIN item ON item.name = printf('item-%05d', ask.key);
    """


def main() -> int:
    """Trace the workload into the converter; no trace is ever on disk."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "sqlite.parquet"
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "shop.db"
        subprocess.run(["sqlite3", "-batch", database], input=TABLE, text=True, check=True)
        sql = Path(scratch) / "workload.sql"
        sql.write_text(workload())
        pipe = Path(scratch) / "trace"
        os.mkfifo(pipe)
        with sql.open() as text:
            traced = subprocess.Popen(
                [
                    "valgrind",
                    "--tool=lackey",
                    "--trace-mem=yes",
                    f"--log-file={pipe}",
                    "sqlite3",
                    "-batch",
                    database,
                ],
                stdin=text,
            )
            with pipe.open("rb") as trace:
                subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "pghot",
                        "convert",
                        "-",
                        "--format",
                        "lackey",
                        "-o",
                        out,
                        "--force",
                        "--machine",
                        HERE / "two-tier.toml",
                        *CONVERT,
                    ],
                    stdin=trace,
                    check=True,
                )
        return traced.wait()


if __name__ == "__main__":
    sys.exit(main())
