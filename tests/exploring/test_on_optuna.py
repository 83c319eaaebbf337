"""Of a large space, candidates are searched by Optuna: the same of one seed, good ones first."""

from __future__ import annotations

import sys
from math import inf, log

import pytest

import pghot
from pghot.engine.tunables import TUNABLES, v8_window_ms
from pghot.exploring.candidates import (
    DEFAULTS,
    POSTINGS,
    THRESHOLD,
    WINDOW,
    candidates,
    layout_of,
    policies_of,
)
from pghot.exploring.on_optuna import ranges_of, searched
from pghot.exploring.policy_runs import Candidate


def cost(candidate):
    """Least at a window of 900 ms and a sleep of 37 ms."""
    settings = dict(candidate.settings)
    sleep, window = (
        int(settings.get(name, default))
        for name, default in (("kmigrated_sleep_ms", 100), (WINDOW, 3000))
    )
    return abs(log(sleep / 37)) + abs(log(window / 900))


def costs(some):
    return [cost(candidate) for candidate in some]


def test_the_search_finds_what_no_grid_has():
    best = searched(96, costs)[0]
    assert cost(best) < min(costs(candidates())) / 3


def test_candidates_are_the_same_every_time_and_the_best_comes_first():
    found = searched(40, costs)
    assert found == searched(40, costs)
    assert costs(found) == sorted(costs(found))
    assert 30 < len(found) <= 40
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("posting", POSTINGS)
def test_the_defaults_are_among_them_and_all_are_settings_of_a_kernel(posting):
    found = searched(64, costs, posting)
    assert {Candidate(policy) for policy in DEFAULTS[posting]} <= set(found)
    for policy, settings in found:
        assert policy in policies_of(posting)
        ranges = {name: (span.least, span.most) for name, span in ranges_of(posting).items()}
        ranges[THRESHOLD] = (1, layout_of(policy).freq_max)
        ranges[WINDOW] = (100, 20_000)
        if posting == "v8":
            ranges[WINDOW] = v8_window_ms(layout_of(policy))
        for name, text in settings:
            assert name in TUNABLES
            least, most = ranges[name]
            assert least <= int(text) <= most


def test_what_cannot_run_comes_last_and_is_searched_no_further():
    def half(some):
        return [inf if one.policy.endswith("hintfault") else cost(one) for one in some]

    found = searched(48, half)
    runs = [not one.policy.endswith("hintfault") for one in found]
    assert runs == sorted(runs, reverse=True)
    assert sum(runs) > len(runs) / 2


def test_without_optuna_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(pghot.PghotError, match=r"pip install 'pghot\[optuna\]'"):
        searched(16, costs)


def test_so_few_tries_that_a_grid_does_better_are_refused():
    with pytest.raises(pghot.InputError, match="--tries 3: wants 16 to 10000"):
        pghot.advise("gups", scale=0.001, tries=3)
