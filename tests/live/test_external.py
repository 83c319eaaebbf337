"""A run that other programs feed: what they report as hot is promoted, and replays exactly."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pghot
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.live.options import EngineOptions, LiveOptions
from pghot.live.recording import record_accesses
from pghot.live.run import run_engine
from pghot.live.session import open_session
from pghot.log.read import open_log
from pghot.replaying.replay import replay
from pghot.sources.access_form import MAGIC
from pghot.sources.external import External, ExternalSource
from tests.live.test_replay_equals_live import stir
from tests.live.world import FAST, MS, PAGE, SLOW, Heard, World, state_in
from tests.sources.feeding import binary, connect, connections, write_maps

__all__ = ["connections"]


class Fed:
    """A world of process 40 whose run takes accesses at a socket, and who writes to it."""

    def __init__(self, root) -> None:
        self.world = World(root / "host")
        self.world.process(40)
        self.path = root / "feed.sock"
        self.client = None

    def send(self, content: bytes) -> None:
        if self.client is None:
            self.client = connect(self.path)
        self.client.sendall(content)

    def at(self, ms: int, content: bytes) -> None:
        self.world.clock.at(ms * MS, partial(self.send, content))

    def open_source(self, name, host):
        if name == self.world.source.name:
            return self.world.source
        assert name == f"external:{self.path}"
        return ExternalSource(host, self.path, self.world.clock.now_ns)

    def run(self, *others, record=None, seconds: float = 1, **engine):
        heard = Heard()
        result, status = run_engine(
            self.world,
            LiveOptions(
                pids=(40,),
                duration=seconds,
                sources=(f"external:{self.path}", *others),
                beside=False,
            ),
            EngineOptions(**engine),
            tell=heard.lines.append,
            status=lambda _now: None,
            record=record,
            observer=heard,
            opened=partial(open_session, open_source=self.open_source),
            clock=self.world.clock,
        )
        assert status == 0
        return result, heard


@pytest.fixture
def fed(tmp_path, monkeypatch) -> Fed:
    state_in(tmp_path / "state", monkeypatch)
    return Fed(tmp_path)


def fast_pages(world: World) -> set[int]:
    return {page for page, mapping in world.tables[40].items() if mapping.nid == FAST}


def test_pages_that_are_reported_hot_are_promoted_and_no_others(fed) -> None:
    pfns = {page: fed.world.map(40, page) for page in range(100, 120)}
    write_maps(fed.world)
    fed.at(20, MAGIC + binary(*({"where": pfns[page], "nr": 2} for page in range(100, 105))))
    fed.at(30, binary(*({"pid": 40, "where": page * PAGE} for page in range(110, 113))))
    fed.at(40, binary(*({"pid": 40, "where": page * PAGE} for page in range(111, 112))))
    result, _heard = fed.run()
    assert fast_pages(fed.world) == {*range(100, 105), 111}
    summary = result.summary()
    assert summary["live"]["sources"] == {
        "external": {
            "seen": 9, "unresolved": 0, "kernel": 0, "not_memory": 0, "lost": 0,
            "throttled": 0, "corrupt": 0, "not_found": 0,
        }
    }  # fmt: skip
    assert summary["vmstat"]["pghot_recorded_hwhints"] == 9
    assert summary["vmstat"]["pghot_recorded_accesses"] == 5 * 2 + 3 + 1
    assert summary["tunables"]["enabled_sources"] == 2


def test_nothing_of_the_hosts_settings_is_changed_for_it(fed) -> None:
    fed.world.map(40, 100)
    balancing = fed.world.path("/proc/sys/kernel/numa_balancing")
    before = balancing.read_text()
    seen = []
    fed.world.clock.at(500 * MS, lambda: seen.append(balancing.read_text()))
    fed.run()
    assert seen == [before]


def test_beside_hint_faults_each_has_its_figures(fed) -> None:
    fed.world.map(40, 100)
    fed.world.map(40, 101)
    fed.world.heat(40, 100, times=3)
    fed.at(20, b"- 40:0x65000 -1 3\n")
    result, _heard = fed.run("hintfault")
    assert fast_pages(fed.world) == {100, 101}
    assert {s.name: s.counts.seen for s in result.running.session.sources} == {
        "hintfault": 3,
        "external": 1,
    }
    assert result.engine.tunables["enabled_sources"] == 3
    assert result.state.live.fast_share is None


def test_from_outside_alone_nobody_knows_the_share_that_was_fast(fed) -> None:
    fed.world.map(40, 100)
    fed.at(20, b"- 40:0x64000\n")
    result, _heard = fed.run()
    assert result.state.accesses == 1
    assert result.state.live.fast_share is None


def test_what_is_wrong_with_a_writer_is_told_once_and_the_run_goes_on(fed) -> None:
    fed.world.map(40, 100)
    fed.at(20, b"- 40:0x64000 -1 0\n- 40:0x64000 -1 0\n")
    fed.at(30, b"- 40:0x64000 -1 2\n")
    result, heard = fed.run(seconds=7)
    assert len(heard.said("line 1: count 0: wants 1 or more")) == 1
    assert result.running.session.sources[0].counts.corrupt == 2
    assert fast_pages(fed.world) == {100}


def test_a_recording_has_the_counts_and_its_pages(fed, tmp_path) -> None:
    pfn = fed.world.map(40, 100)
    write_maps(fed.world)
    fed.at(20, f"- {pfn} -1 5\n".encode())
    log = tmp_path / "log.parquet"
    options = LiveOptions(pids=(40,), duration=1, sources=(f"external:{fed.path}",))
    opened = partial(open_session, open_source=fed.open_source)
    record_accesses(
        fed.world, options, log, tell=lambda _: None, opened=opened, clock=fed.world.clock
    )
    with open_log(log) as read:
        chunk = next(read.chunks(("pfn", "nr", "pid", "vaddr", "source", "nid")))
    found = {name: values.tolist() for name, values in chunk.columns.items()}
    assert found == {
        "pfn": [pfn], "nr": [5], "pid": [40], "vaddr": [100 * PAGE], "source": [1], "nid": [-1],
    }  # fmt: skip


def test_a_recording_without_it_has_no_counts(fed, tmp_path) -> None:
    fed.world.map(40, 100)
    fed.world.heat(40, 100)
    log = tmp_path / "log.parquet"
    options = LiveOptions(pids=(40,), duration=1, sources=("hintfault",))
    opened = partial(open_session, open_source=fed.open_source)
    record_accesses(
        fed.world, options, log, tell=lambda _: None, opened=opened, clock=fed.world.clock
    )
    with open_log(log) as read:
        assert "nr" not in read.columns


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 1 << 32),
    layout=st.sampled_from(sorted(LAYOUTS)),
    fidelity=st.sampled_from(sorted(FIDELITIES)),
    faults=st.booleans(),
)
def test_a_replay_of_a_run_that_is_fed_makes_every_record_and_decision_the_same(
    tmp_path_factory, monkeypatch, seed, layout, fidelity, faults
) -> None:
    root = tmp_path_factory.mktemp("fed")
    state_in(root / "state", monkeypatch)
    fed, rng = Fed(root), np.random.default_rng(seed)
    stir(fed.world, rng)
    write_maps(fed.world)
    fed.at(0, MAGIC)
    pages = [*range(100, 220), 1024, 1030, 2050]
    for ms in np.sort(rng.integers(1, 1990, 60)).tolist():
        page = int(rng.choice(pages))
        mapping = fed.world.tables[40].get(page)
        bare = mapping is not None and rng.random() < 0.5
        access = {
            "pid": 0 if bare else 40,
            "where": mapping.pfn if bare else page * PAGE,
            "nr": int(rng.choice([1, 1, 2, 3, 9])),
            "pages": int(rng.choice([1, 1, 4, 600])),
            "nid": int(rng.choice([-1, FAST, SLOW])),
        }
        fed.at(ms, binary(access))
    log = root / "log.parquet"
    options = {"layout": LAYOUTS[layout], "fidelity": FIDELITIES[fidelity]}
    others = ("hintfault",) if faults else ()
    live, heard = fed.run(*others, record=log, seconds=2, **options)
    again = Heard()
    result = replay(log, settings=pghot.Settings(**options), observer=again)
    assert result.as_live
    assert again.batches == heard.batches
    for name, values in live.records().items():
        assert np.array_equal(values, result.records()[name]), name
    one, other = live.summary(), result.summary()
    for name in ("vmstat", "batches", "accesses"):
        assert one[name] == other[name], name
    assert one["vmstat"]["pghot_recorded_hwhints"] > 0


def test_a_run_listens_where_it_was_told(fed) -> None:
    """By the command line's own way of opening a source, in real time."""
    opened = External(str(fed.path)).open_source(fed.world, follow=True)
    assert fed.path.is_socket()
    opened.close()
    assert not fed.path.exists()
