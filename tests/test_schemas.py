"""docs/schemas says what JSON the commands print: every key of it, and its type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from scripts import schemas

from pghot.linux.nodes.topology import read_topology
from tests.cli.conftest import at, live, run
from tests.cli.live_host import LiveHost
from tests.cli.test_ctl_command import first, here
from tests.cli.test_live_commands import FOR_A_WHILE, loaded
from tests.log.made import Run, log_rows, write_log

__all__ = ["at", "first", "here", "live", "loaded", "run"]

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))


def closed(schema: Any) -> Any:
    """A schema that takes no key beyond those that it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(part) for key, part in schema.items()}
    if "required" in schema and isinstance(schema["required"], list):
        inner.setdefault("additionalProperties", False)
    return inner


def check(name: str, text: str) -> Any:
    """Hold an output against a schema; what it has beyond the schema is wrong here as well."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    data = json.loads(text)
    errors = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in Draft202012Validator(closed(schema)).iter_errors(data)
    ]
    assert errors == []
    return data


def test_every_schema_is_one_and_topics_name_it() -> None:
    topics = (SCHEMAS.parent / "topics.md").read_text()
    assert len(NAMES) == 10
    for name in NAMES:
        Draft202012Validator.check_schema(json.loads((SCHEMAS / f"{name}.json").read_text()))
        assert f"`{name}.json`" in topics


@pytest.mark.parametrize("name", schemas.NAMES)
def test_what_a_run_publishes_is_described_by_its_own_types(name: str) -> None:
    assert (SCHEMAS / f"{name}.json").read_text() == schemas.text(name), "scripts/schemas.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_key_may_come_and_none_may_go(name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    without = Draft202012Validator(schema)
    assert not without.is_valid({})
    assert all("additionalProperties" not in part for part in (schema,) if name != "config")


def test_a_replay_and_what_it_refused(run: Run, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows())
    done = run("replay", log, "--json", "-o", tmp_path / "out", "--events", tmp_path / "events")
    assert done.status == 0, done.err
    check("replay", done.out)
    check("replay", (tmp_path / "out" / "summary.json").read_text())
    refused = check("why-refused", run("why", tmp_path / "events", "--refused", "--json").out)
    assert refused["accesses"]


def test_the_life_of_a_page_and_refusals_of_the_shipped_log(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SCHEMAS.parents[1])
    slow = ("--set", "pghot_promote_rate_limit_MBps=1", "--events", tmp_path / "events")
    assert run("replay", "examples/sqlite.parquet", *slow).status == 0
    life = check("why-page", run("why", tmp_path / "events", "0x80277", "--json").out)
    assert {step["what"] for step in life["steps"]} >= {"recorded", "refused", "moved"}
    refused = check("why-refused", run("why", tmp_path / "events", "--refused", "--json").out)
    assert refused["refused"]
    assert refused["folios"]


def test_a_simulation(run: Run, tmp_path: Path) -> None:
    words = ("sim", "gups", "--scale", "1/256", "--policy", "none,pghot-hwhint,oracle")
    done = run(*words, "--json", "-o", tmp_path / "out")
    assert done.status == 0, done.err
    check("sim", done.out)
    check("sim", (tmp_path / "out" / "summary.json").read_text())


@pytest.mark.usefixtures("loaded")
def test_a_run(run: Run, tmp_path: Path) -> None:
    done = run("run", *FOR_A_WHILE, "--json", "-o", tmp_path / "out")
    summary = check("run", done.out)
    assert summary["live"]["promoted_pages"] == 20
    check("run", (tmp_path / "out" / "summary.json").read_text())


@pytest.mark.usefixtures("first")
def test_the_states_of_a_run(run: Run) -> None:
    for line in run("ctl", "watch", "--count", "2", "--json").out.splitlines():
        check("state", line)


def test_a_host(live: LiveHost, run: Run) -> None:
    assert check("topology", run("topology", "--json").out)["nodes"]
    check("topology", json.dumps(read_topology(live, "0/1").to_dict()))
    check("doctor", run("doctor", "--json").out)
    check("restore", run("restore", "--json").out)


def test_what_is_in_effect(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pghot.toml"
    path.write_text('pids = [1]\nmetrics = ":0"\n[tunables]\nfreq_threshold = 1\n')
    check("config", run("config", "show", "--json").out)
    shown = check("config", run("config", "show", path, "--json").out)
    assert shown["tunables"]["freq_threshold"] == {"value": "1", "from": str(path)}
