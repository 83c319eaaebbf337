"""The event log of a live run: whose a page is, what move_pages said, and `pghot why` of it."""

from __future__ import annotations

import pytest

from pghot.engine.fidelity import IMPROVED, V7
from pghot.errors import PghotError
from pghot.live.options import LiveOptions
from pghot.log.events import create_events
from pghot.why.advice import advice
from pghot.why.life import life_of
from pghot.why.page import parse_page
from pghot.why.refused import refusals_of
from tests.live.world import FAST, HUGE, MS, PAGE, SLOW, run

HOT = range(100, 110)
both = pytest.mark.parametrize("fidelity", [V7, IMPROVED], ids=["v7", "improved"])


def logged(world, directory, *, seconds=1, **engine):
    with create_events(directory, force=True) as events:
        return run(world, LiveOptions(pids=(40,), duration=seconds), events=events, **engine)[0]


def life(directory, pid, page):
    return life_of(directory, parse_page(f"{pid}:{page * PAGE + 24:#x}"))


@both
def test_an_address_is_found_and_its_page_has_moved(world, tmp_path, fidelity):
    pfns = [world.map(40, page) for page in HOT]
    world.heat(40, *HOT)
    logged(world, tmp_path / "events", fidelity=fidelity)
    for page, pfn in zip(HOT, pfns, strict=True):
        by_address = life(tmp_path / "events", 40, page)
        assert [s.what for s in by_address.steps if s.what != "recorded"] == ["moved"]
        assert {step.folio for step in by_address.steps} == {pfn}
        by_pfn = life_of(tmp_path / "events", parse_page(str(pfn)))
        assert by_pfn.steps == by_address.steps


def test_a_busy_page_is_refused_with_the_kernels_word(world, tmp_path):
    for page in HOT:
        world.map(40, page)
    world.heat(40, *HOT)
    world.busy = {(40, page) for page in HOT}
    result = logged(world, tmp_path / "events", fidelity=IMPROVED)
    assert result.state.live.promoted_pages == 0
    busy = life(tmp_path / "events", 40, 100)
    refused = [step for step in busy.steps if step.what == "refused"]
    assert {(step.why, step.status) for step in refused} == {("migration", "EBUSY")}
    assert sum(len(step.times) for step in refused) > 3
    assert "cannot be isolated or is held now" in advice(busy)


def test_what_the_log_refuses_is_what_the_run_counts(world, tmp_path):
    for page in HOT:
        world.map(40, page)
    world.process(41)
    world.fork(40, 41)
    world.heat(40, *HOT)
    result = logged(world, tmp_path / "events", fidelity=V7)
    found = refusals_of(tmp_path / "events")
    by_status = {reason.status: reason.times for reason in found.reasons}
    counted = result.running.mover.refused()
    assert by_status == counted == {"EACCES": by_status["EACCES"]}
    assert found.processes == [(40, by_status["EACCES"])]
    assert {folio.pid for folio in found.folios} == {40}


def test_a_page_that_was_freed_before_it_was_asked_for_says_so(world, tmp_path):
    world.map(40, 100)
    world.heat(40, 100, times=3, each_ms=10)
    world.process(41)

    def reuse():
        world.unmap(40, 100)
        world.map(41, 500)

    world.clock.at(90 * MS, reuse)
    logged(world, tmp_path / "events", fidelity=V7)
    gone = life(tmp_path / "events", 40, 100)
    assert [step.status for step in gone.steps if step.what == "refused"] == ["not that page"]


def test_a_page_is_followed_to_its_next_frame(world, tmp_path):
    first = world.map(40, 100)
    world.heat(40, 100, times=1)

    def move_away():
        world.unmap(40, 100)
        world.map(40, 300)  # takes the frame
        world.map(40, 100)

    world.clock.at(120 * MS, move_away)
    world.heat(40, 100, start_ms=150)
    world.heat(40, 300, start_ms=160, times=1)
    logged(world, tmp_path / "events")
    second = life(tmp_path / "events", 40, 100)
    folios = [step.folio for step in second.steps]
    assert folios[0] == first
    assert second.steps[-1].what == "moved"
    assert second.steps[-1].folio == folios[-1] != first


def test_another_process_at_a_shared_page_is_part_of_its_life(world, tmp_path):
    world.map(40, 100)
    world.process(41)
    world.fork(40, 41)
    for at in range(4):
        world.clock.at((10 + 20 * at) * MS, lambda: world.access(40, 100))
        world.clock.at((15 + 20 * at) * MS, lambda: world.access(41, 100))
    logged(world, tmp_path / "events", fidelity=V7)
    shared = life(tmp_path / "events", 40, 100)
    recorded = sum(len(step.times) for step in shared.steps if step.what == "recorded")
    assert recorded == 8
    assert shared.steps[-1].status == "EACCES"


def test_any_address_of_a_folio_is_its(world, tmp_path):
    pfn = world.map(40, 512, pages=HUGE)
    world.heat(40, 517, 520)
    logged(world, tmp_path / "events")
    for page in (512, 517, 1000):
        steps = life(tmp_path / "events", 40, page).steps
        assert {(step.folio, step.pages) for step in steps} == {(pfn, HUGE)}
        assert steps[-1].what == "moved"
    with pytest.raises(PghotError, match="nothing of it"):
        life(tmp_path / "events", 40, 1024)


def test_another_process_at_the_same_address_has_another_life(world, tmp_path):
    world.map(40, 100)
    world.heat(40, 100)
    logged(world, tmp_path / "events")
    with pytest.raises(PghotError, match="nothing of it"):
        life(tmp_path / "events", 41, 100)


def test_a_dry_run_says_what_would_have_been_asked_for(world, tmp_path):
    world.map(40, 100)
    world.heat(40, 100)
    logged(world, tmp_path / "events", dry_run=True)
    moved = [step for step in life(tmp_path / "events", 40, 100).steps if step.what == "moved"]
    assert {step.status for step in moved} == {"dry run"}
    assert world.nid_of(40, 100) == SLOW


def test_a_run_goes_the_same_with_and_without_events(world, tmp_path):
    for page in HOT:
        world.map(40, page)
    world.heat(40, *HOT)
    result = logged(world, tmp_path / "events")
    assert {world.nid_of(40, page) for page in HOT} == {FAST}
    assert result.state.live.promoted_pages == len(HOT)
