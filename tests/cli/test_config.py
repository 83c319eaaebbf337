"""The configuration file of a run: what it may say, what wins, what is wrong with it."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import pytest

from pghot.cli import run as run_command
from pghot.cli import trial
from pghot.cli.config_file import ARGUMENTS, UNSET, load_config, merge_options
from pghot.cli.run_file import RunFile
from tests.log.made import Run

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "pghot.toml"


@pytest.fixture
def file(tmp_path: Path):
    def file(text: str) -> Path:
        path = tmp_path / "pghot.toml"
        path.write_text(text)
        return path

    return file


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    return parser.parse_args(words)


def merged(path: Path, *words: str):
    return merge_options(arguments(*words), load_config(path), "FILE")


def test_every_option_of_run_has_its_key_but_those_of_a_trial():
    options = set(vars(arguments())) - {"config", "tunables", "defaults", *trial.NAMES}
    assert set(ARGUMENTS.values()) == options
    assert all(value is UNSET for name, value in vars(arguments()).items() if name in options)


def test_every_key_of_the_file_is_one_of_the_commands():
    assert set(RunFile.__struct_fields__) == {*ARGUMENTS, "tunables"}


def test_the_shipped_example_is_one_that_a_run_would_take(run: Run):
    done = run("config", "check", EXAMPLE)
    assert (done.status, done.out, done.err) == (0, f"{EXAMPLE}: a run would take it\n", "")


def test_the_remarks_of_the_example_are_taken_as_well(file):
    text = "\n".join(
        line.removeprefix("# ").replace("all = true", "")
        for line in EXAMPLE.read_text().splitlines()
        if " = " in line and "pids" not in line
    )
    tunables = [line for line in text.splitlines() if line.split(" = ")[0] in NAMES]
    rest = [line for line in text.splitlines() if line not in tunables]
    values = load_config(file("\n".join([*rest, "[tunables]", *tunables])))
    assert values["cgroup"] == "workload.slice"
    assert values["tunables"]["enabled_sources"] == "0x3"


NAMES = {
    "freq_threshold", "pghot_promote_rate_limit_MBps", "target_nid", "enabled_sources",
    "kmigrated_sleep_ms",
}  # fmt: skip


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(file):
    path = file('pids = [1, 2]\nmode = "precise"\nlatency_budget = 5\nduration = 9\n')
    now = merged(path, "--latency-budget", "20", "-d", "3")
    assert (now.args.pids, now.args.mode) == ("1,2", "precise")
    assert (now.args.latency_budget, now.args.duration) == (20, 3)
    assert now.args.fidelity == "improved"
    assert [now.origins[key] for key in ("mode", "duration", "latency_budget", "fidelity")] == [
        "FILE", "command line", "command line", "default",
    ]  # fmt: skip


@pytest.mark.parametrize("words", [("-a",), ("-p", "7"), ("-G", "other"), ("--", "true")])
def test_targets_of_the_command_line_replace_those_of_the_file(file, words):
    now = merged(file('cgroup = "workload.slice"\n'), *words)
    given = [now.args.pids is not None, now.args.everything, bool(now.args.words)]
    assert sum(given) + (now.args.cgroup is not None) == 1
    assert now.args.cgroup in (None, "other")


def test_a_wish_for_no_control_socket_and_a_place_for_it_are_one_choice(file):
    now = merged(file("all = true\nno_control = true\n"), "--control", "/run/x")
    assert (now.args.no_control, str(now.args.control)) == (False, "/run/x")


def test_tunables_of_both_are_put_together_by_name(file):
    path = file("all = true\n[tunables]\nfreq_threshold = 3\nkmigrated_batch_nr = '0x10'\n")
    now = merged(path, "--set", "freq_threshold=1", "--set", "kmigrated_sleep_ms=50")
    assert now.tunables == {
        "freq_threshold": "1", "kmigrated_batch_nr": "0x10", "kmigrated_sleep_ms": "50",
    }  # fmt: skip
    assert now.tunable_origins == {
        "freq_threshold": "command line",
        "kmigrated_batch_nr": "FILE",
        "kmigrated_sleep_ms": "command line",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("al = true", "unknown key 'al'"),
        ("all = 1", "all: "),
        ("pids = []", "pids: "),
        ("pids = [0]", "pids no. 1: Expected 'int' >= 1"),
        ('pids = "1,2"', "pids: Expected 'array', got 'str'"),
        ("pids = [1]\nall = true", "pids and all: name what to watch by one of them"),
        ("duration = 0", "duration: "),
        ("duration = true", "duration: "),
        ('mode = "exact"', "mode: "),
        ("latency_budget = -1", "latency_budget: "),
        ("dry_run = 1", "dry_run: "),
        ("scan_delay_ms = -1", "scan_delay_ms: "),
        ('source = ["ibs"]', "source: no 'ibs'; there are hintfault, hwhint"),
        ('mount = ""', "mount: "),
        ('metrics = "here"', "metrics: here: wants ADDRESS:PORT"),
        ('control = "/x"\nno_control = true', "control: and no_control: either of them"),
        ("tunables = 1", "tunables: "),
        ("[tunables]\nthreshold = 2", "tunables.threshold: no such tunable; perhaps "),
        ("[tunables]\nfreq_threshold = 4", "tunables.freq_threshold: '4' is not within 1..3"),
        (
            "[tunables]\nfreq_threshold = true",
            "tunables.freq_threshold: wants a number or a string",
        ),
        ("[tunables]\ntarget_nid = 'one'", "tunables.target_nid: 'one' is no number"),
        ("[tunables]\nenabled_sources = 4", "tunables.enabled_sources: '4' has bits"),
        ("[tunables]\npghot_promote_freq_window_ms = -1", "tunables.pghot_promote_freq_window"),
        ("all = ", "not TOML: "),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(file, run: Run, text, why):
    path = file(text)
    for words in (("config", "check", path), ("config", "show", path), ("run", "--config", path)):
        assert run(*words).refusal(2).startswith(f"{path}: {why}")


def test_a_threshold_of_seven_is_right_in_precision_mode_only(file):
    text = "all = true\n{}[tunables]\nfreq_threshold = 7\n"
    assert load_config(file(text.format('mode = "precise"\n')))["tunables"]
    with pytest.raises(Exception, match=r"is not within 1\.\.3"):
        load_config(file(text.format("")))


def test_a_file_without_a_target_is_no_whole_configuration(file, run: Run):
    path = file("latency_budget = 5\n")
    assert run("config", "check", path).refusal(2).startswith(f"{path}: name what to watch")


def test_a_file_that_is_not_there_is_named(tmp_path, run: Run):
    path = tmp_path / "none.toml"
    for words in (("config", "check", path), ("run", "--config", path)):
        assert run(*words).refusal(2) == f"{path}: No such file or directory"


def test_show_says_what_is_in_effect_and_where_it_comes_from(file, run: Run):
    path = file("all = true\nlatency_budget = 5.5\n[tunables]\nfreq_threshold = 3\n")
    lines = run("config", "show", path).out.splitlines()
    for line in (
        f"all = true  # {path}",
        f"latency_budget = 5.5  # {path}",
        'mode = "default"  # default',
        "dry_run = false  # default",
        "# duration: not set",
        f'freq_threshold = "3"  # {path}',
        "kmigrated_batch_nr = 512  # default",
        "# target_nid: as the host is",
    ):
        assert line in lines


def test_show_without_a_file_shows_the_defaults(run: Run):
    shown = json.loads(run("config", "show", "--json").out)
    assert shown["latency_budget"] == {"value": 20, "from": "default"}
    assert shown["cgroup"] == {"value": None, "from": "default"}
    assert shown["tunables"]["freq_threshold"] == {"value": 2, "from": "default"}
    assert shown["tunables"]["target_nid"] == {"value": None, "from": "default"}


def test_what_show_prints_is_a_file_that_does_the_same(file, run: Run, tmp_path):
    path = file('cgroup = "a \\"b\\""\nsource = ["hintfault"]\n[tunables]\ntarget_nid = 0\n')
    shown = run("config", "show", path).out
    again = tmp_path / "again.toml"
    again.write_text(shown)
    old, new = merged(path), merged(again)
    assert vars(new.args) | {"tunables": 0} == vars(old.args) | {"tunables": 0}
    assert new.tunables.items() >= old.tunables.items()
    assert tomllib.loads(shown)["cgroup"] == 'a "b"'
