"""A stream is what its kind and options say, and nothing else is taken."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.workloads.make import KINDS, make_stream, scaled
from pghot.workloads.programs import Graph, power_law, traversal
from pghot.workloads.stream import NEVER
from pghot.workloads.table import QUANTUM

UNITS = 1000
RANDOM = ["uniform", "zipf", "hot-cold", "gups", "key-value", "graph"]


def make(kind, folios=UNITS, seed=1, **options):
    return make_stream(kind, folios, options, np.random.default_rng(seed))


def weights(kind, folios=UNITS, seed=1, **options):
    return make(kind, folios, seed, **options).weights()


@pytest.mark.parametrize("kind", [*RANDOM, "scan", "chase"])
def test_every_kind_spreads_all_accesses_and_its_seed_decides_how(kind) -> None:
    assert weights(kind).sum() == pytest.approx(1, abs=1e-12)
    assert (weights(kind) == weights(kind)).all()
    one, same, other = (make(kind, seed=seed).draw(np.arange(1.0, 300)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one == other).all() == (kind == "scan")
    assert {one.min() >= 0, one.max() < UNITS} == {True}


def test_uniform_is_uniform() -> None:
    assert weights("uniform") == pytest.approx(np.full(UNITS, 1 / UNITS), abs=2 * QUANTUM)


def test_zipf_falls_by_rank_and_ranks_are_scattered_unless_they_are_not_to_be() -> None:
    ranks = np.arange(1, UNITS + 1) ** -0.8
    plain = weights("zipf", s=0.8, permuted=False)
    assert plain == pytest.approx(ranks / ranks.sum())
    scattered = weights("zipf", s=0.8)
    assert np.sort(scattered)[::-1] == pytest.approx(plain)
    assert abs(np.corrcoef(scattered, plain)[0, 1]) < 0.2


@pytest.mark.parametrize("scattered", [True, False])
def test_a_hot_set_takes_its_share_of_the_accesses(scattered) -> None:
    found = weights("hot-cold", hot_share=0.2, hot_accesses=0.7, scattered=scattered)
    hot = np.sort(found)[-200:]
    assert hot.sum() == pytest.approx(0.7)
    assert np.ptp(hot) < 1e-12
    edges = np.count_nonzero(np.diff(found > 0.001, append=found[0] > 0.001))
    assert edges > 50 if scattered else edges == 2  # the piece may go round the end


def test_gups_updates_go_everywhere_but_for_those_of_the_hot_set() -> None:
    found = np.sort(weights("gups", hot_share=0.1, hot_accesses=0.9))
    assert found[:900] == pytest.approx(np.full(900, 0.1 / UNITS))
    assert found[900:] == pytest.approx(np.full(100, 0.9 / 100 + 0.1 / UNITS))


@pytest.mark.parametrize(("keep", "kept"), [(0.0, 0), (0.75, 75), (1.0, 100)])
def test_a_hot_set_moves_and_keeps_a_part_of_itself(keep, kept) -> None:
    stream = make("hot-cold", hot_share=0.1, hot_accesses=0.9, move_every=5000, keep=keep)
    before = stream.weights() > 0.005
    assert stream.next_change() == 5000
    stream.change(5000.0)
    after = stream.weights() > 0.005
    assert before.sum() == after.sum() == 100
    assert (before & after).sum() == kept
    assert stream.next_change() == 10_000
    for time in range(2, 200):  # round the region more than once
        stream.change(5000.0 * time)
    assert (stream.weights() > 0.005).sum() == 100


def test_a_store_reads_its_index_as_often_as_its_values_line_by_line() -> None:
    # 64 bytes of index and 448 of value a key: an eighth of the pages, one access in eight.
    found = weights("key-value", index_bytes=64, value_bytes=448, s=0.9)
    assert found[:125].sum() == pytest.approx(1 / 8, abs=1e-3)
    assert found[:125].min() > 0


def test_a_store_of_one_key_a_page_has_the_weights_of_its_keys() -> None:
    found = weights("key-value", index_bytes=4, value_bytes=4096, s=0.9)
    assert found[0] == pytest.approx(1 / 65)  # 999 keys have one page of index
    ranks = np.arange(1, 1000) ** -0.9
    assert np.sort(found[1:])[::-1] == pytest.approx(64 / 65 * ranks / ranks.sum())


def test_a_value_longer_than_a_page_weighs_on_each_by_its_part() -> None:
    # Two keys of one page and a half, one twice as popular; a get reads 1 + 96 lines.
    found = weights("key-value", folios=4, index_bytes=8, value_bytes=6144, s=1)
    one, other = (2 / 3, 1 / 3) if found[1] > found[3] else (1 / 3, 2 / 3)
    parts = np.array([2 / 3 * one, 1 / 3 * one + 1 / 3 * other, 2 / 3 * other])
    assert found == pytest.approx([1 / 97, *(parts * 96 / 97)])


def test_many_keys_on_a_page_make_pages_more_alike() -> None:
    def spread(**options):
        slabs = weights("key-value", index_bytes=1, s=0.6, **options)[400:]
        return slabs.std() / slabs.mean()

    assert spread(value_bytes=64) < spread(value_bytes=1024) < spread(value_bytes=4096)


def test_a_traversal_reads_records_and_lists_as_a_walk_over_the_graph_does() -> None:
    """Against a small graph, laid out vertex by vertex in plain Python."""
    graph = Graph(degree=10, exponent=2.5, vertex_bytes=32, edge_bytes=8, folio_bytes=256)
    vertices = int(40 * 256 / (32 + 10 * 8))
    degrees = power_law(vertices, 10, 2.5, np.random.default_rng(4)).astype(float)
    head = -(-vertices * 32 // 256)
    plain = np.zeros(40)
    visits = degrees / degrees.sum()
    mean = (visits * degrees).sum()
    at, bytes_an_edge = float(head * 256), (40 - head) * 256 / degrees.sum()
    for vertex, degree in enumerate(degrees):
        plain[vertex * 32 // 256] += visits[vertex] * (1 + mean)
        size, steps = degree * bytes_an_edge, 1000
        for step in range(steps):
            folio = min(int((at + (step + 0.5) / steps * size) // 256), 39)
            plain[folio] += visits[vertex] * degree * 8 / 64 / steps
        at += size
    found = traversal(40, graph, np.random.default_rng(4)).by_folio()
    assert found == pytest.approx(plain / plain.sum(), rel=0.01)


def test_degrees_follow_their_power_law() -> None:
    degrees = power_law(1_000_000, 16, 3.0, np.random.default_rng(1))
    assert degrees.mean() == pytest.approx(16, rel=0.03)
    least = 16 / 2
    for factor in (2, 4, 8):  # P(degree > x) = (x / least) ** -(exponent - 1)
        assert (degrees > factor * least).mean() == pytest.approx(factor**-2.0, rel=0.05)
    assert degrees.max() <= 4000


def test_hubs_come_first_where_a_graph_is_sorted() -> None:
    found = weights("graph", sorted_by_degree=True)
    records = found[:300]
    assert (np.diff(records) <= 1e-12).all()
    assert found[:30].sum() > 0.2


def test_phases_of_different_kinds_follow_each_other() -> None:
    phase = [
        {"accesses": 100, "kind": "zipf", "s": 1.0, "permuted": False},
        {"accesses": 250, "kind": "hot-cold", "move_every": 200},
        {"accesses": 50, "kind": "uniform"},
    ]
    stream, changes, first = make("phases", phase=phase), [], []
    while (clock := stream.next_change()) < NEVER:
        stream.change(clock)
        changes.append(clock)
        first.append(stream.weights().max())
    assert changes == [100, 300, 350]
    assert first == pytest.approx([0.009, 0.009, 0.001])
    again = make("phases", phase=phase, repeat=True)
    for clock in (100.0, 300.0, 350.0, 400.0):
        assert again.next_change() == clock
        again.change(clock)
    assert again.weights()[0] == pytest.approx(1 / sum(1 / rank for rank in range(1, 1001)))


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        ("zipfy", {}, "stream kind 'zipfy': perhaps zipf? there are uniform, zipf, "),
        ("uniform", {"s": 1}, "stream uniform: unknown option 's' (options: none)"),
        ("zipf", {"s": "1"}, "stream zipf: s: Expected 'float', got 'str' (options: s, permuted)"),
        ("zipf", {"s": -1.0}, "stream zipf: s: Expected 'float' >= 0.0"),
        ("hot-cold", {"keep": 1.5}, "stream hot-cold: keep: Expected 'float' <= 1.0"),
        ("graph", {"exponent": 2}, "stream graph: exponent: Expected 'float' > 2.0"),
        (
            "scan",
            {"accesses_per_unit": 0},
            "stream scan: accesses_per_unit: Expected 'int' >= 1",
        ),
        ("log", {}, "stream log: missing option 'path'"),
        ("log", {"path": "/nowhere/log.parquet"}, "/nowhere/log.parquet: No such file"),
        ("phases", {"phase": []}, "stream phases: phase: Expected 'array' of length >= 1"),
        ("phases", {"phase": [{"kind": "zipf"}]}, "phase 1: accesses: Expected 'float'"),
        ("phases", {"phase": [{"accesses": 9, "kind": "scan"}]}, "phase 1: scan is not a random"),
        ("phases", {"phase": [{"accesses": 9}]}, "stream kind None: there are uniform"),
        ("key-value", {"value_bytes": 1 << 20}, "the region is too small to hold any keys"),
        ("key-value", {"folios": 1}, "stream key-value: unknown option 'folios'"),
        ("graph", {"vertex_bytes": 1 << 30}, "the region is too small to hold any vertices"),
    ],
)
def test_what_a_kind_does_not_take_is_refused_in_one_line(kind, options, line) -> None:
    with pytest.raises(InputError) as refused:
        make_stream(kind, 100, options, np.random.default_rng(1))
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_region_of_no_folio_is_refused() -> None:
    with pytest.raises(InputError, match="stream uniform: 0 folios"):
        make("uniform", folios=0)


SMALLEST = {"uniform": 1, "zipf": 1, "hot-cold": 1, "gups": 1, "scan": 1, "chase": 1} | {
    "key-value": 2,
    "graph": 2,
}


@pytest.mark.parametrize("kind", SMALLEST)
@pytest.mark.parametrize("more", [0, 1, 2])
def test_the_smallest_regions_have_streams(kind, more) -> None:
    folios = SMALLEST[kind] + more
    stream = make(kind, folios)
    stream.place(np.zeros(folios, np.int16))
    stream.make_prot_none(np.arange(folios), 0.0)
    assert set(stream.advance(0.0, 1e9).folios.tolist()) == set(range(folios))
    assert stream.shares(0, 5).tolist() == [1.0]


@pytest.mark.parametrize("kind", ["key-value", "graph"])
def test_a_region_too_small_for_a_program_is_refused(kind) -> None:
    with pytest.raises(InputError, match="the region is too small to hold any"):
        make(kind, folios=1)


def test_a_slice_of_the_machine_has_phases_as_much_shorter() -> None:
    options = {"hot_share": 0.1, "move_every": 1000}
    assert scaled(options, 0.25) == {"hot_share": 0.1, "move_every": 250}
    phases = {"phase": [{"accesses": 80, "kind": "uniform"}], "repeat": True}
    assert scaled(phases, 0.5) == {"phase": [{"accesses": 40, "kind": "uniform"}], "repeat": True}
    assert scaled({"s": 0.99}, 0.5) == {"s": 0.99}


def test_every_kind_says_what_it_is() -> None:
    for kind, options in KINDS.items():
        assert (options.__doc__ or "").count(".") > 0, kind
