"""Advice says how much, which settings and whether at all, or why it cannot be told."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future
from contextlib import nullcontext

import msgspec
import numpy as np
import pytest

import pghot
from pghot.cli import main
from pghot.cli.advise_live import seconds_of
from pghot.cli.config_file import load_config
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.tunables import tunables_of
from pghot.exploring import candidates as tried
from pghot.exploring import pairs
from pghot.exploring.advice import Advice, SettingsAnswer
from pghot.exploring.advise import advise
from pghot.exploring.candidates import candidates, config_text, kernel_text, under_v7
from pghot.exploring.case import case_of_log
from pghot.exploring.halving import halving
from pghot.exploring.pairs import PairedTrials
from pghot.exploring.policy_runs import Candidate, CandidateTrial, run_trials
from pghot.exploring.sizes import parse_fast
from pghot.report.advice import promote_lines, settings_lines, size_lines

pytestmark = pytest.mark.compiled
PAGES = 4000
GRID = tried.GRID


class Inline(Executor):
    """Runs what is submitted at once."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    monkeypatch.setattr(tried, "GRID", {"freq_threshold": (None, "1", "3")})


def log_of(path, rows, *, seconds=20, hot_last=True, source=1, **extra):
    """Nine in ten accesses to the tenth of the pages that was touched last, or first."""
    rng = np.random.default_rng(1)
    every = np.arange(PAGES)
    hot = every[-PAGES // 10 :] if hot_last else every[: PAGES // 10]
    later = np.where(rng.random(rows) < 0.9, rng.choice(hot, rows), rng.choice(every, rows))
    pfn = np.concatenate([every, later])[:rows].astype(np.uint64)
    with pghot.create_log(path, pghot.Metadata(extra=extra)) as writer:
        writer.write(
            {
                "time_us": np.linspace(0, seconds * 1e6, len(pfn)).astype(np.uint64),
                "pfn": pfn,
                "nid": np.ones(len(pfn), np.int16),
                "source": np.full(len(pfn), source, np.int8),
            }
        )
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_of(tmp_path_factory.mktemp("log") / "log.parquet", 60_000, accesses_a_row=1000)


def test_pages_that_are_hot_late_are_worth_promoting(log):
    advice = advise(log, target=0.9, fast=parse_fast("25%"), executor=Inline())
    assert advice.promote.verdict == "pays"
    trials = advice.promote.trials
    assert trials["best settings"].share > trials["first touch"].share + 0.3
    assert trials["first touch"].moves == 0 < trials["best settings"].moves
    assert advice.promote.saved_s[0] > 0
    assert "Promotion pays with 3.9 MiB of fast memory" in promote_lines(advice)[0]


def test_pages_that_are_hot_from_the_first_are_not(tmp_path):
    path = log_of(tmp_path / "log.parquet", 60_000, hot_last=False, accesses_a_row=1)
    advice = advise(path, target=0.9, fast=parse_fast("25%"), executor=Inline())
    assert advice.promote.verdict != "pays"
    assert not advice.settings.told or advice.settings.gain < 0.05


def test_the_size_is_that_of_the_curve_with_a_step_to_each_side(log):
    advice = advise(log, target=0.9, executor=Inline())
    size = advice.size
    known = pghot.curve(log).whole
    assert size.chosen == known.needed("bound", 0.9) == size.needed["bound"][1]
    assert sorted(size.steps) == [size.chosen - 400, size.chosen, size.chosen + 400]
    assert size.steps[size.chosen]["bound"] == known.share("bound", size.chosen)
    assert any("first touch" in line for line in size_lines(advice))


def test_the_size_that_promotion_needs_is_between_two_simulated_ones_that_are_close(log):
    advice = advise(log, target=0.9, fast=parse_fast("25%"), executor=Inline())
    below, least, most = advice.size.needed["promotion"]
    assert 0 < below < least == most <= PAGES
    assert least - below <= 0.03 * PAGES
    assert least > advice.size.needed["bound"][1]


def test_more_fast_memory_than_there_is_to_place_is_no_matter(log):
    advice = advise(log, target=0.9, fast=parse_fast("100T"), executor=Inline())
    assert advice.promote.trials["first touch"].share == 1
    assert advice.size.needed["promotion"][1] <= PAGES


def test_promotion_is_held_against_interleaving_too(log):
    advice = advise(log, target=0.9, fast=parse_fast("25%"), executor=Inline())
    verdict, low, high = advice.promote.interleave
    assert verdict == "pays"
    assert 0 < low < high
    assert advice.to_dict()["promote"]["interleave"] == [verdict, low, high]
    assert promote_lines(advice)[1].startswith("Promotion pays against interleaving: it saves ")


def test_settings_are_found_on_one_half_and_judged_by_the_other(log):
    found = advise(log, target=0.9, fast=parse_fast("25%"), executor=Inline()).settings
    for answer in (found, found.other):
        assert answer.tried == len(candidates(answer.posting))
        assert answer.gain == answer.best.late - answer.default.late
        assert answer.default.candidate.settings == ()
        assert answer.recommended == (
            answer.best if answer.gain > answer.error else answer.default
        )
    assert {found.posting, found.other.posting} == {"v7", "v8"}
    assert found.lead[0] == found.recommended.late - found.other.recommended.late


def test_settings_are_searched_in_a_large_space_where_that_is_asked_for(log):
    found = advise(log, target=0.9, fast=parse_fast("25%"), tries=16, executor=Inline()).settings
    assert 8 < found.tried <= 16
    assert 8 < found.other.tried <= 16
    assert found.gain == found.best.late - found.default.late
    assert found.default.candidate.settings == ()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"rows": 9_000}, "the log has 9,000 rows; 10,000 are needed"),
        ({"rows": 15_000}, "the log has 3.8 rows a page; 4 are needed"),
        ({"rows": 40_000, "seconds": 5}, "the log is of 5.0 s; 10 s are needed"),
        ({"rows": 40_000, "source": 0}, "hint faults, which see slow memory only"),
    ],
)
def test_a_log_that_is_too_thin_gives_a_size_and_says_why_no_more(tmp_path, made, why):
    path = log_of(tmp_path / "log.parquet", **made)
    advice = advise(path, executor=Inline())
    assert advice.size is not None
    assert advice.settings is advice.promote is None
    assert why in advice.untold["promote"]
    assert settings_lines(advice) == [f"Cannot be told: {advice.untold['settings']}."]


def test_a_scenario_is_judged_by_run_time():
    advice = advise("gups", scale=0.001, fast=parse_fast("25%"), executor=Inline())
    assert advice.kind == "scenario"
    runs = advice.promote.trials
    low, high = advice.promote.saved_s
    assert repr(advice) == "<advice on gups: size, settings, promote>"
    assert advice.to_arrow().num_rows == 4
    assert low < runs["first touch"].run_s - runs["best settings"].run_s < high
    assert set(advice.size.needed) == {"bound", "first_touch", "promotion"}


def test_what_would_change_the_answer_has_its_figure(log):
    advice = advise(
        log, fast=parse_fast("25%"), price=pghot.Price(8, 2), executor=Inline(), target=0.9
    )
    words = " ".join(advice.changes)
    for part in ("first touch alone reaches", "skew: the hottest tenth", "latency: ", "price: "):
        assert part in words


def test_the_best_of_many_is_found_on_longer_and_longer_parts():
    asked = []

    def costs(some, part):
        asked.append((len(some), part))
        return [abs(number - 11) for number in some]

    assert halving(range(64), (0.1, 0.2), costs, finalists=2)[0] == 11
    assert asked == [(64, 0.1), (16, 0.2)]


def test_v8s_candidates_are_v7s_with_windows_that_v8_takes(monkeypatch):
    monkeypatch.setattr(tried, "GRID", GRID)
    of_v8 = candidates("v8")
    assert len(of_v8) == len(candidates("v7")) == 36
    windows = {
        (one.policy, text)
        for one in of_v8
        for name, text in one.settings
        if name == "pghot_promote_freq_window_ms"
    }
    assert windows == {
        (policy, text)
        for policy in ("v8-hintfault", "v8-hwhint", "v8-precise-hintfault", "v8-precise-hwhint")
        for text in ("1000", "10000" if "precise" in policy else "3968")
    }
    same = {under_v7(one) for one in of_v8 if one.policy.startswith("v8-precise")}
    assert same == {one for one in candidates("v7") if one.policy.startswith("precise")}


def test_what_v8_changed_is_run_apart_only_where_it_may_come_up(log, monkeypatch):
    """A run that v7 and v8 share is to the last figure the run that v8 has of its own."""
    scenario = case_of_log(log, None, None).at(PAGES // 4)
    asked = []

    def counted(scenario, some, *rest):
        asked.append([one.policy for one in some])
        return run_trials(scenario, some, *rest)

    monkeypatch.setattr(pairs, "run_trials", counted)
    both = PairedTrials(scenario, Inline(), None)
    (shared,) = both.run([Candidate("v8-hwhint")])
    assert asked == [["pghot-hwhint"], []]
    (own,) = run_trials(scenario, [Candidate("v8-hwhint")], Inline())
    assert shared == own
    assert shared.moves > 0
    # A look a second, and a window of one: a record may become ready and be late for it.
    rare = (("kmigrated_sleep_ms", "1000"), ("pghot_promote_freq_window_ms", "1000"))
    asked.clear()
    both.run([Candidate("v8-hwhint", rare)])
    assert asked == [["pghot-hwhint"], ["v8-hwhint"]]


def test_a_scenario_with_tunables_that_v8_refuses_is_no_run_of_v8(log):
    scenario = case_of_log(log, None, None).at(PAGES // 4)
    quick = msgspec.structs.replace(scenario, tunables={"kmigrated_sleep_ms": "10"})
    of_v8, of_v7 = PairedTrials(quick, Inline(), None).run(
        [Candidate("v8-hwhint"), Candidate("pghot-hwhint")], 1 / 4
    )
    assert of_v7.error is None
    assert not of_v7.either
    assert "kmigrated_sleep_ms: '10' is not within 50..1000" in of_v8.error


def trial(policy, late):
    return CandidateTrial(Candidate(policy), late, 0.0, late)


@pytest.mark.parametrize(
    ("lead", "words"),
    [
        ((0.0, 0.01), "no difference; none of what v8 changed comes up here."),
        ((0.2, 0.01), "v8, +20.0 ±1.0 points more served fast than v7."),
        ((0.001, 0.01), "v8, +0.1 ±1.0 points more served fast than v7, which may be chance."),
    ],
)
def test_it_is_said_which_posting_does_better(lead, words):
    of_v7 = SettingsAnswer(trial("pghot-hwhint", 0.7), trial("pghot-hwhint", 0.7), 36, 0.0, 0.01)
    of_v8 = SettingsAnswer(
        trial("v8-hwhint", 0.9), trial("v8-hintfault", 0.7), 36, 0.2, 0.01, of_v7, lead
    )
    lines = settings_lines(Advice("log", "log", None, of_v8, None, [], [], {}))
    assert lines[0].startswith("v7: The defaults, pghot-hwhint: ")
    assert lines[1].startswith("v8: v8-hwhint: +20.0 ±1.0 points more served fast against the ")
    assert lines[2] == f"Between v7 and v8: {words}"


def test_of_a_kernel_with_v8_the_writes_go_to_v8s_files():
    settings = (("freq_threshold", "1"), ("kmigrated_sleep_ms", "50"))
    written = kernel_text(Candidate("v8-precise-hintfault", settings)).splitlines()
    assert written[3:] == [
        "# wants a kernel with v8 of the series",
        "# wants a kernel with CONFIG_PGHOT_PRECISE=y",
        "sysctl -w kernel.numa_balancing=2",
        "sysctl -w vm.pghot_enabled_sources=0x1",
        "sysctl -w vm.pghot_freq_threshold=1",
        "echo 50 > /sys/kernel/debug/pghot/kmigrated_sleep_ms",
    ]


OF_BOTH = [*candidates()[-4:], *candidates("v8")[-4:]]


@pytest.mark.parametrize("candidate", [Candidate("pghot-hwhint"), *OF_BOTH])
def test_settings_are_a_configuration_and_writes_to_a_kernel(candidate, tmp_path):
    path = tmp_path / "pghot.toml"
    path.write_text(config_text(candidate))
    values = load_config(path)
    assert values.get("tunables", {}) == dict(candidate.settings)
    assert values["mode"] == ("precise" if "precise" in candidate.policy else "default")
    assert values["fidelity"] == ("v8" if candidate.policy.startswith("v8-") else "v7")
    written = kernel_text(candidate)
    for name, text in candidate.settings:
        below = tunables_of(FIDELITIES[values["fidelity"]])[name].where.split(" ")[1]
        assert f"{below}{name}" in written
        assert text in written


def test_the_command_writes_all_of_it(log, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pghot.exploring.advise.this_machine", lambda: nullcontext(Inline()))
    out = tmp_path / "out"
    words = ["advise", str(log), "--target", "90%", "--fast", "25%", "-o", str(out)]
    assert main(words) == 0
    said = capsys.readouterr().out
    for head in ("How much fast memory", "Which settings", "Whether to promote", "What would"):
        assert head in said
    advice = json.loads((out / "advice.json").read_text())
    assert advice["promote"]["verdict"] == "pays"
    assert (out / "pghot.toml").read_text().startswith("# ")
    assert (out / "kernel.sh").read_text().startswith("#!/bin/sh\n")
    assert main([*words, "--json", "--force"]) == 0
    assert json.loads(capsys.readouterr().out) == advice


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["advise"], "advise: wants a LOG or a SCENARIO, or --live with -p PID"),
        (["advise", "LOG", "--target", "most"], "--target most: wants a share such as 95%"),
        (["advise", "LOG", "--target", "0"], "--target 0: wants a share above 0"),
        (
            ["advise", "LOG", "--latency", "fast=9,slow=3"],
            "fast=NS,slow=NS, slow above fast",
        ),
        (["advise", "LOG", "--fast", "0"], "--fast 0: wants some fast memory"),
        (["advise", "--live"], "advise --live: wants -p PID"),
        (["advise", "--live", "-p", "1", "--for", "soon"], "--for soon: wants a time such as 90s"),
    ],
)
def test_what_cannot_be_is_one_line(log, words, line, capsys):
    assert main([str(log) if word == "LOG" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1


def test_a_time_is_in_seconds_minutes_or_hours():
    assert [seconds_of(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
