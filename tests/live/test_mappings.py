"""A live run keeps the names of what its processes have mapped, for all who read it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pghot.exploring.curve import curve
from pghot.linux.host import Host
from pghot.live import mappings
from pghot.live.mappings import Mappings
from pghot.live.options import LiveOptions
from pghot.live.recording import record_accesses
from pghot.live.session import open_session
from pghot.log.events import create_events
from pghot.log.read import open_log
from pghot.log.regions import MappedRegion, regions_of
from pghot.replaying.output import output_directory
from pghot.report.page.page import render
from pghot.report.page.read import read_result
from pghot.report.why import life_dict
from pghot.why.life import life_of
from pghot.why.page import parse_page
from pghot.why.refused import refusals_of
from tests.linux.host_trees import write
from tests.live.world import PAGE, run

HEAP, CODE, UNUSED = range(100, 110), range(200, 203), range(300, 310)


def maps_of(world, pid, **pages):
    lines = [
        f"{part.start * PAGE:x}-{part.stop * PAGE:x} rw-p 00000000 00:00 0 {name}"
        for name, part in pages.items()
    ]
    write(world.root, f"/proc/{pid}/maps", "\n".join(lines) + "\n")


@pytest.fixture
def mapped(world):
    """A host whose process has a heap and a library that are hot, and memory that is not."""
    for page in (*HEAP, *CODE):
        world.map(40, page)
    world.heat(40, *HEAP, *CODE)
    maps_of(world, 40, **{"[heap]": HEAP, "/lib/libx.so.1": CODE, "/never": UNUSED})
    return world


def regions_in(path):
    with open_log(path) as log:
        return regions_of(log.metadata)


def region(pid, part, name):
    return MappedRegion(pid, part.start * PAGE, part.stop * PAGE, name)


FOUND = [region(40, HEAP, "[heap]"), region(40, CODE, "/lib/libx.so.1")]


def test_a_recording_keeps_the_mappings_that_were_accessed(mapped, tmp_path):
    path = tmp_path / "log.parquet"
    record_accesses(
        mapped, LiveOptions(pids=(40,), duration=1), path, tell=print, clock=mapped.clock,
        opened=partial(open_session, open_source=mapped.open_source),
    )  # fmt: skip
    assert regions_in(path) == FOUND
    names = {scope.name for scope in curve(path, by="region").scopes}
    assert names == {"heap of process 40", "library libx.so.1 of process 40"}


def test_the_log_of_a_run_keeps_them(mapped, tmp_path):
    path = tmp_path / "log.parquet"
    result, _heard, _status = run(mapped, record=path)
    assert regions_in(path) == FOUND
    assert result.state.live.promoted_pages == len(HEAP) + len(CODE)


def test_the_report_of_a_run_names_regions(mapped, tmp_path):
    with output_directory(tmp_path / "out") as output:
        result, _heard, _status = run(mapped, observer=output)
        output.finish(result)
    (read,) = read_result(tmp_path / "out")
    assert [(r.name, r.promoted) for r in read.regions] == [
        ("heap of process 40", len(HEAP)), ("library libx.so.1 of process 40", len(CODE)),
    ]  # fmt: skip
    assert sum(r.accesses for r in read.regions) == result.state.accesses
    assert read.heat[-1].regions == ["heap", "library libx.so.1"]
    html = render([read], "t", "")
    assert "By region" in html
    assert "Mapped there: heap, library libx.so.1." in html


def test_why_names_the_region_of_a_page(mapped, tmp_path):
    mapped.busy = {(40, page) for page in HEAP}
    with create_events(tmp_path / "events") as events:
        run(mapped, LiveOptions(pids=(40,), duration=1), events=events)
    life = life_of(tmp_path / "events", parse_page(f"40:{100 * PAGE:#x}"))
    assert life_dict(life)["region"] == "heap of process 40"
    pfn = life_of(tmp_path / "events", parse_page(str(life.steps[0].folio)))
    assert pfn.region == "heap of process 40"
    assert {folio.region for folio in refusals_of(tmp_path / "events").folios} == {
        "heap of process 40"
    }


def rows(pid, *pages):
    return {
        "pid": np.full(len(pages), pid, np.int32),
        "vaddr": np.array(pages, np.uint64) * np.uint64(PAGE),
    }


def test_a_process_is_looked_at_again_where_an_access_is_in_nothing_known(tmp_path):
    write(tmp_path, "/proc/7/maps", f"{PAGE:x}-{2 * PAGE:x} rw-p 0 0 0 [heap]\n")
    known = Mappings(Host(tmp_path))
    known.see(0, rows(7, 1))
    write(tmp_path, "/proc/7/maps", f"{PAGE:x}-{9 * PAGE:x} rw-p 0 0 0 [heap]\n")
    known.see(1, rows(7, 5))
    assert len(known.regions) == 1  # not so soon
    known.see(mappings.EVERY_US, rows(7, 1))
    assert known.regions[1:] == [MappedRegion(7, PAGE, 9 * PAGE, "[heap]")]
    assert [(heat.name, heat.accesses) for heat in known.heats()] == [("heap of process 7", 3)]


def test_a_process_without_news_is_not_read_again(tmp_path):
    write(tmp_path, "/proc/7/maps", f"{PAGE:x}-{2 * PAGE:x} rw-p 0 0 0 [heap]\n")
    known = Mappings(Host(tmp_path))
    known.see(0, rows(7, 1))
    (tmp_path / "proc/7/maps").unlink()
    known.see(mappings.EVERY_US, rows(7, 1, 1))
    assert [(heat.name, heat.accesses) for heat in known.heats()] == [("heap of process 7", 3)]


def test_of_a_process_that_ended_before_it_was_looked_at_nothing_is_known(tmp_path):
    known = Mappings(Host(tmp_path))
    known.see(0, rows(7, 1))
    assert known.regions == []
    assert [(heat.name, heat.accesses) for heat in known.heats()] == [("elsewhere", 1)]


def test_another_program_of_a_process_has_its_own_mappings(tmp_path):
    write(tmp_path, "/proc/7/maps", f"{PAGE:x}-{2 * PAGE:x} rw-p 0 0 0 /bin/a\n")
    known = Mappings(Host(tmp_path))
    known.see(0, rows(7, 1))
    write(tmp_path, "/proc/7/maps", f"{PAGE:x}-{2 * PAGE:x} rw-p 0 0 0 /bin/b\n")
    known.renewed(7)
    known.see(1, rows(7, 1))
    assert [heat.name for heat in known.heats()] == ["file a of process 7", "file b of process 7"]
