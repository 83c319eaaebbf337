"""Whether promotion paid is told by an interval of time, moves and sampling in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pghot.baselines.shares import Baselines, Share
from pghot.engine.memory import Node
from pghot.log.machine import Machine
from pghot.report.verdict import verdict_lines
from pghot.results.prices import Prices, prices_on
from pghot.results.provenance import digest
from pghot.results.verdict import (
    CANNOT_BE_TOLD,
    DOES_NOT_PAY,
    PAYS,
    run_time_verdict,
    untold,
    verdict_of,
)

PRICES = Prices(fast_ns=100, slow_ns=200, page_us=2, batch_us=10)


def told(ours, first_touch, *, rows=10_000, moves_s=0.0, accesses_a_row=1.0):
    of = [Share(share, share) for share in (ours, first_touch)]
    baselines = Baselines(Share(0, 0), of[1], Share(0, 0), Share(1, 1))
    return verdict_of(of[0], baselines, rows, moves_s, 5.0, accesses_a_row, PRICES)


def test_what_is_saved_is_the_difference_of_latencies_without_the_moves():
    verdict = told(0.7, 0.2, moves_s=1e-4)
    assert verdict.low_s == verdict.high_s == pytest.approx(5000 * 100e-9 - 1e-4)
    assert verdict.verdict == PAYS


def test_moves_may_cost_more_than_they_save():
    assert told(0.7, 0.2, moves_s=6e-4).verdict == DOES_NOT_PAY


def test_nothing_gained_and_nothing_moved_tells_nothing():
    assert told(0.0, 0.0).verdict == CANNOT_BE_TOLD


def test_few_samples_cannot_tell_what_many_can():
    assert told(0.6, 0.4, rows=50, accesses_a_row=10).verdict == CANNOT_BE_TOLD
    assert told(0.6, 0.4, rows=5000, accesses_a_row=10).verdict == PAYS


def test_a_row_of_unknown_worth_is_one_access_at_least():
    gain = told(0.7, 0.2, accesses_a_row=None)
    assert (gain.verdict, gain.high_s) == (PAYS, None)
    loss = told(0.2, 0.7, accesses_a_row=None)
    assert (loss.verdict, loss.low_s) == (DOES_NOT_PAY, None)
    open_ = told(0.7, 0.2, moves_s=1.0, accesses_a_row=None)
    assert open_.verdict == CANNOT_BE_TOLD
    assert open_.low_s is not None
    assert open_.low_s < 0


@pytest.mark.parametrize(
    ("run_s", "verdict"), [(50.0, PAYS), (99.5, CANNOT_BE_TOLD), (120.0, DOES_NOT_PAY)]
)
def test_run_times_tell_no_more_than_one_seed_can(run_s, verdict):
    assert run_time_verdict(100.0, run_s, "none")["verdict"] == verdict


def test_latencies_are_the_machines_own_where_each_node_has_one():
    nodes = (Node(0, 0, 32768, toptier=True), Node(1, 32768, 32768, toptier=False))
    own = prices_on(Machine(nodes, latency_ns={0: 80.0, 1: 300.0}))
    assert (own.fast_ns, own.slow_ns, own.latency_source) == (80.0, 300.0, "the machine's own")
    assert prices_on(Machine(nodes, latency_ns={0: 80.0})) == prices_on(None) == Prices()
    assert Prices().latency_source.startswith("assumed: ")


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (told(0.7, 0.2, moves_s=1e-4), ("Promotion pays against first touch: it saves 400 us of "
         "memory time in 5.0 s, moves paid for (100 us).")),
        (told(0.2, 0.7, accesses_a_row=None), ("Promotion does not pay against first touch: it "
         "costs 481 us or more of memory time in 5.0 s, moves paid for (0 us).")),
        (told(0.0, 0.0), ("Promotion cannot be told to pay against first touch: between a loss of "
         "0 us and a gain of 0 us of memory time in 5.0 s, moves paid for (0 us).")),
    ],
)  # fmt: skip
def test_the_verdict_is_a_sentence(verdict, sentence):
    first, prices, left_out = verdict_lines(verdict.to_dict())
    assert first == sentence
    assert "100 ns a fast access, 200 ns a slow one" in prices
    assert "demotion" in left_out


def test_what_cannot_be_told_says_why():
    assert verdict_lines(untold("nobody looked")) == ["Promotion: cannot be told (nobody looked)."]


def test_the_digest_of_parts_is_that_of_their_own(tmp_path: Path):
    parts = tmp_path / "log.parts"
    parts.mkdir()
    (parts / "000001.parquet").write_bytes(b"one")
    first = digest(parts)
    (parts / "000002.parquet").write_bytes(b"two")
    assert len({first, digest(parts), digest(tmp_path / "gone")}) == 3
    assert digest(tmp_path / "gone") is None
