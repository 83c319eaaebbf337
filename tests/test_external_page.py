"""docs/external.md says what the socket takes, and its feeders feed it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.linux.processes.targets import Pids
from pghot.sources.access_form import DTYPE, LONGEST_LINE, MAGIC, MOST_PAGES, RECORD, from_lines
from pghot.sources.bare_frames import MOST_HELD
from pghot.sources.external import ExternalSource
from pghot.sources.writers import MOST_WRITERS
from tests.live.world import World

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "external.md").read_text()
NOW = 10**15
CALLED = {"time": "time_ns", "where": "where", "pid": "pid", "count": "nr", "pages": "pages",
          "node": "nid", "flags": "flags"}  # fmt: skip
TYPES = {"uint64": "<u8", "int32": "<i4", "uint32": "<u4", "int16": "<i2", "uint16": "<u2"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_has_every_field_where_it_is() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\w+) \|", TEXT, re.MULTILINE)
    found = [(CALLED[name], TYPES[kind], int(offset)) for offset, kind, name in rows]
    assert found == [(name, DTYPE[name].str, DTYPE.fields[name][1]) for name in DTYPE.names]
    assert (
        f"First the {len(MAGIC)} bytes `{MAGIC.decode()}`, then records of {RECORD} bytes" in TEXT
    )


def test_the_limits_that_it_tells_are_those_that_hold() -> None:
    for said in (
        f"1 to {MOST_PAGES:,} pages",
        f"up to {LONGEST_LINE} bytes",
        f"Up to {MOST_WRITERS} may write",
        f"{MOST_HELD:,} of them",
    ):
        assert said in TEXT


def test_its_lines_are_lines() -> None:
    lines = next(block for block in blocks("") if block.startswith("- 0x1a2b3"))
    done = from_lines(lines.encode(), NOW, (0, 1))
    assert done.bad == 0
    assert done.records[["where", "pid", "nr", "pages", "nid"]].tolist() == [
        (0x1A2B3, 0, 1, 1, -1),
        (0x7F0012345000, 4711, 5, 1, 0),
        (0x200000, 0, 16, 512, -1),
    ]


@pytest.fixture
def source(tmp_path):
    world = World(tmp_path / "host")
    world.process(40)
    world.map(40, 100)
    source = ExternalSource(world, tmp_path / "feed.sock", world.clock.now_ns)
    targets = Pids([40])
    targets.resolve(world)
    source.watch(targets)
    source.enable()
    yield source
    source.close()


def test_the_feeder_in_python_feeds(source, tmp_path) -> None:
    (feeder,) = blocks("python")
    assert len(feeder.strip().splitlines()) < 10
    subprocess.run(
        [sys.executable, "-c", feeder, str(tmp_path / "feed.sock")],
        input="40 0x64000 3\n40 64010 1\n",
        text=True,
        check=True,
        timeout=60,
    )
    samples = source.drain()
    assert (samples.pid.tolist(), samples.nr.tolist()) == ([40, 40], [3, 1])
    assert (source.counts.corrupt, source.notes) == (0, [])


def test_what_bpftrace_is_told_to_print_is_a_line() -> None:
    shown = next(block for block in blocks("sh") if "bpftrace" in block)
    (form,) = re.findall(r'printf\("([^"]*)\\n"', shown)
    line = form.replace("%d", "%d").replace("%lx", "%x") % (4711, 0x7F0012345000)
    done = from_lines(f"{line}\n".encode(), NOW, (0,))
    assert (done.bad, done.records["pid"].tolist()) == (0, [4711])
