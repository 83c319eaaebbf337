"""A replay of a run, with its settings, is the run (driving.answer_log, replaying.host_replay)."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pghot
from pghot.driving.answer_log import AnswerLog, AnswerReader, EntryKind
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.errors import InputError
from pghot.live.options import LiveOptions
from pghot.live.sinks import LogSink
from pghot.log.read import open_log
from pghot.log.schema import Metadata
from pghot.log.write import create_log
from pghot.replaying.replay import replay
from tests.live.world import FAST, HUGE, MS, Asker, Heard, World, run, state_in


@pytest.fixture
def worlds(tmp_path, monkeypatch):
    """A maker of hosts, one after the other in the same place."""
    state_in(tmp_path / "state", monkeypatch)

    def make() -> World:
        shutil.rmtree(tmp_path / "host", ignore_errors=True)
        world = World(tmp_path / "host")
        world.process(40)
        return world

    return make


def stir(world: World, rng: np.random.Generator) -> None:
    """Let pages be hot, cold, huge, busy, freed and reused; let room come and go."""
    for page in range(100, 220):
        world.map(40, page, memcg=int(rng.integers(3)))
    for page in range(1, 3):
        world.map(40, page * 1024, pages=HUGE)
    pages = [*range(100, 220), 1024, 1030, 2050]
    for page in rng.choice(pages, 60, replace=False).tolist():
        start, each = int(rng.integers(1, 1500)), int(rng.integers(1, 400))
        world.heat(40, page, start_ms=start, times=int(rng.integers(1, 6)), each_ms=each)
    world.busy = {(40, page) for page in rng.choice(pages, 10).tolist()}
    for at in rng.integers(1, 2000, 4).tolist():
        world.clock.at(at * MS, partial(world.free.__setitem__, FAST, int(rng.integers(400))))
    world.ns_a_page = int(rng.choice([1000, 10_000_000]))  # wake-ups are missed with the latter
    for at in rng.integers(1, 2000, 6).tolist():
        world.clock.at(at * MS, partial(reuse, world, int(rng.integers(100, 220))))


def reuse(world: World, page: int) -> None:
    if page in world.tables[40]:
        world.unmap(40, page)
        world.map(40, page + 5000)


WRITES = st.sampled_from(
    [
        ("enabled_sources", "0"),
        ("enabled_sources", "0x3"),
        ("freq_threshold", "1"),
        ("freq_threshold", "3"),
        ("freq_threshold", "none"),
        ("kmigrated_batch_nr", "2"),
        ("pghot_promote_freq_window_ms", "200"),
        ("pghot_promote_freq_window_ms", "2500\n"),
        ("pghot_promote_rate_limit_MBps", "0"),
        ("pghot_promote_rate_limit_MBps", "65536"),
        ("numa_balancing", "2"),
        ("numa_balancing", "0"),
        ("target_nid", "1"),
    ]
)


def assert_same_tunables(live: dict, replayed: dict, asker: Asker) -> None:
    one, other = dict(live["tunables"]), dict(replayed["tunables"])
    if not any(name == "enabled_sources" for name, _text in asker.answered().written):
        del one["enabled_sources"], other["enabled_sources"]  # the replay says those it has seen
    assert one == other


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 1 << 32),
    layout=st.sampled_from(sorted(LAYOUTS)),
    fidelity=st.sampled_from(sorted(FIDELITIES)),
    small=st.booleans(),
    writes=st.lists(st.tuples(st.integers(0, 2050), WRITES), max_size=8),
)
def test_a_replay_of_a_run_makes_every_record_and_decision_the_same(
    worlds, tmp_path_factory, seed, layout, fidelity, small, writes
):
    log = tmp_path_factory.mktemp("log") / "log.parquet"
    world = worlds()
    stir(world, np.random.default_rng(seed))
    smallest = "64" if FIDELITIES[fidelity].v8_files else "3"  # what v8 takes at the least
    tunables = {"kmigrated_batch_nr": smallest if small else "512"}
    asker = Asker()
    for ms, write in writes:
        asker.at(world, ms, *write)
    live, heard, _status = run(
        world,
        LiveOptions(pids=(40,), duration=2),
        record=log,
        layout=LAYOUTS[layout],
        fidelity=FIDELITIES[fidelity],
        tunables=tunables,
        mailbox=asker.mailbox,
    )
    if not live.state.accesses:
        return
    again = Heard()
    settings_ = pghot.Settings(
        layout=LAYOUTS[layout], fidelity=FIDELITIES[fidelity], tunables=tunables
    )
    result = replay(log, settings=settings_, observer=again)
    assert result.as_live
    assert again.batches == heard.batches
    mine, theirs = live.records(), result.records()
    for name, values in mine.items():
        assert np.array_equal(values, theirs[name]), name
    one, other = live.summary(), result.summary()
    assert_same_tunables(one, other, asker)
    for name in ("vmstat", "batches", "accesses", "mode", "hz"):
        assert one[name] == other[name], name
    for nid, node in one["nodes"].items():
        for name in ("pgpromote_success", "pgpromote_candidate", "nbp_threshold"):
            assert node[name] == other["nodes"][nid][name], (nid, name)


def test_a_write_in_the_middle_takes_effect_there_live_and_in_the_replay(worlds, tmp_path):
    log, world, asker = tmp_path / "log.parquet", worlds(), Asker()
    for page in range(100, 140):
        world.map(40, page)
    world.heat(40, *range(100, 120), start_ms=10, times=1)
    asker.at(world, 350, "freq_threshold", "1\n")
    world.heat(40, *range(120, 140), start_ms=410, times=1)
    live, heard, _status = run(world, record=log, mailbox=asker.mailbox)
    assert {page for page in range(100, 140) if world.nid_of(40, page) == FAST} == {
        *range(120, 140)
    }
    again = Heard()
    result = replay(log, settings=pghot.Settings(fidelity=live.engine.fidelity), observer=again)
    assert again.batches == heard.batches != []
    assert result.engine.tunables["freq_threshold"] == 1


@pytest.mark.parametrize("writes", [False, True], ids=["untouched", "written meanwhile"])
def test_after_a_pause_longer_than_a_record_can_tell_they_go_on_alike(worlds, tmp_path, writes):
    log, world, asker = tmp_path / "log.parquet", worlds(), Asker()
    for page in range(100, 160):
        world.map(40, page)
        world.heat(40, page, start_ms=page * 37, times=1)
        world.heat(40, page, start_ms=45_000 + page * 7919 % 4000, times=1)
    if writes:
        asker.at(world, 6000, "pghot_promote_freq_window_ms", "1500")
    live, _heard, _status = run(
        world, LiveOptions(pids=(40,), duration=60), record=log, mailbox=asker.mailbox
    )
    result = replay(log, settings=pghot.Settings(fidelity=live.engine.fidelity))
    mine, theirs = live.records(), result.records()
    assert len(mine["record"]) > 0
    for name, values in mine.items():
        assert np.array_equal(values, theirs[name]), name


def test_a_write_after_the_last_wake_up_is_among_what_a_replay_ends_with(worlds, tmp_path):
    log, world, asker = tmp_path / "log.parquet", worlds(), Asker()
    world.map(40, 100)
    world.free[FAST] = 0  # the folio is looked at again and again
    world.heat(40, 100)
    asker.at(world, 1000, "freq_threshold", "1")
    live, _heard, _status = run(world, record=log, mailbox=asker.mailbox)
    result = replay(log, settings=pghot.Settings(fidelity=live.engine.fidelity))
    assert result.engine.tunables["freq_threshold"] == 1
    assert result.summary()["vmstat"] == live.summary()["vmstat"]


def test_a_log_that_tells_no_end_replays_with_its_writes_all_the_same(
    worlds, tmp_path, monkeypatch
):
    monkeypatch.setattr(LogSink, "end", lambda log, _instant: log._end_part())  # as after a crash
    log, world, asker = tmp_path / "log.parquet", worlds(), Asker()
    for page in range(100, 120):
        world.map(40, page)
    world.busy = {(40, 110)}
    world.heat(40, *range(100, 120))
    for ms, text in ((350, "1"), (930, "3")):
        asker.at(world, ms, "freq_threshold", text)
    live, heard, _status = run(world, record=log, mailbox=asker.mailbox)
    again = Heard()
    result = replay(log, settings=pghot.Settings(fidelity=live.engine.fidelity), observer=again)
    assert again.batches == heard.batches
    assert result.engine.tunables["freq_threshold"] == 3


def test_while_a_log_is_recorded_the_sleep_cannot_change_and_without_one_it_can(worlds, tmp_path):
    for record in (tmp_path / "log.parquet", None):
        world, asker = worlds(), Asker()
        asker.at(world, 300, "kmigrated_sleep_ms", "200")
        live, _heard, _status = run(world, record=record, mailbox=asker.mailbox)
        if record is None:
            assert live.engine.tunables["kmigrated_sleep_ms"] == 200
            assert not asker.answered().refused
        else:
            (why,) = asker.answered().refused.values()
            assert why.startswith("kmigrated_sleep_ms: cannot change while a log is recorded")
            assert live.engine.tunables["kmigrated_sleep_ms"] == 100


def test_with_other_tunables_it_is_a_replay_as_any_other(worlds, tmp_path):
    log = tmp_path / "log.parquet"
    world = worlds()
    for page in range(100, 120):
        world.map(40, page)
    world.heat(40, *range(100, 120))
    run(world, record=log)
    result = replay(log, settings=pghot.Settings(tunables={"freq_threshold": "1"}))
    assert not result.as_live
    assert result.pages_promoted == 20


def test_a_tape_gives_back_what_it_took_in_pieces():
    answers = AnswerLog()
    answers.note(EntryKind.HEADROOM, 0, 7)
    first = answers.take()
    answers.note(EntryKind.MOVED, 1, np.array([True, False]))
    reader = AnswerReader([first, answers.take()])
    assert answers.take() == ""
    assert reader.take(EntryKind.HEADROOM, 0, 1).tolist() == [7]
    assert reader.take(EntryKind.MOVED, 1, 2).tolist() == [1, 0]
    assert reader.ended


def test_a_tape_that_does_not_fit_is_one_line():
    answers = AnswerLog()
    answers.note(EntryKind.HEADROOM, 0, 7)
    with pytest.raises(InputError, match="the replay asks for MOVED of 0"):
        AnswerReader([answers.take()]).take(EntryKind.MOVED, 0)


@pytest.mark.parametrize("values", [[99, 49], [-1, 49], [], [2, 300], [2, 0xFF], [2, 57]])
def test_a_write_that_nobody_can_have_made_is_one_line(worlds, tmp_path, values):
    log, world = tmp_path / "log.parquet", worlds()
    world.map(40, 100)
    world.heat(40, 100)
    live, _heard, _status = run(world, record=log)
    answers = AnswerLog()
    answers.note(EntryKind.WRITE, 100_000, values)
    with pytest.raises(InputError, match="answers of its live run are damaged"):
        replay(
            retaped(log, answers, tmp_path / "other.parquet"),
            settings=pghot.Settings(fidelity=live.engine.fidelity),
        )


def retaped(log, answers, path):
    """Write a log again, with another answers."""
    with open_log(log) as opened:
        said, columns = opened.metadata, next(opened.chunks()).columns
    extra = said.extra | {"tape": [answers.take()]}
    with create_log(path, Metadata(said.taken, said.hz, said.machine, extra=extra)) as writer:
        writer.write(columns)
    return path


def test_a_damaged_tape_is_one_line(worlds, tmp_path):
    log, damaged = tmp_path / "log.parquet", tmp_path / "damaged.parquet"
    world = worlds()
    world.map(40, 100)
    world.heat(40, 100)
    live, _heard, _status = run(world, record=log)
    with open_log(log) as opened:
        said, columns = opened.metadata, next(opened.chunks()).columns
    metadata = Metadata(said.taken, said.hz, said.machine, extra=said.extra | {"tape": ["?"]})
    with create_log(damaged, metadata) as writer:
        writer.write(columns)
    same = pghot.Settings(fidelity=live.engine.fidelity)
    with pytest.raises(InputError, match="answers of its live run are damaged"):
        replay(damaged, settings=same)
