"""The event log of a simulation: of one policy that has an engine."""

from __future__ import annotations

import json

import pytest

SMALL = ("gups", "--scale", "1/256")


@pytest.mark.parametrize("limit", ["0", "65536"])
@pytest.mark.parametrize("policy", ["pghot-hwhint", "improved-hintfault"])
def test_the_events_of_a_simulation_are_what_it_counts(run, tmp_path, policy, limit):
    events = tmp_path / "events"
    rate = ("--set", f"pghot_promote_rate_limit_MBps={limit}", "--set", "freq_threshold=1")
    done = run("sim", *SMALL, *rate, "--policy", policy, "--events", events, "--json")
    assert done.status == 0, done.err
    outcome = json.loads(done.out)["policies"][policy]
    told = json.loads(run("why", events, "--refused", "--json").out)
    counted = outcome["vmstat"]
    assert told["accesses"]["recorded"] == counted["pghot_recorded_accesses"] > 0
    refused = sum(reason["times"] for reason in told["refused"])
    assert refused == sum(outcome["refused"].values())
    assert refused > 0 or limit != "0"
    assert told["judged"] - told["moved"] == refused


def test_one_policy_at_a_time(run, tmp_path):
    line = run("sim", *SMALL, "--events", tmp_path / "events").refusal()
    assert line == "--events: wants one policy; choose it with --policy"


def test_a_policy_without_an_engine_has_no_events(run, tmp_path):
    done = run("sim", *SMALL, "--policy", "numab2", "--events", tmp_path / "events")
    assert done.refusal() == "the policy numab2 has no engine that events could be told of"
    assert not (tmp_path / "events").exists()
