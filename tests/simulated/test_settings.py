"""`--set`: which names there are, and what becomes of the values."""

from __future__ import annotations

from typing import Any

import pytest

from pghot.errors import InputError
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.scenario import Scenario
from pghot.simulated.scenario.settings import with_settings
from tests.simulated.test_scenario_file import small


def with_set(*settings: str, scenario: Scenario | None = None) -> Scenario:
    return with_settings(scenario or small(), settings, POLICIES)


@pytest.mark.parametrize(
    ("setting", "where", "value"),
    [
        ("freq_threshold=3", ("tunables", "freq_threshold"), "3"),
        ("enabled_sources=0x3", ("tunables", "enabled_sources"), "0x3"),
        ("scan_size_mb=512", ("scanner", "scan_size_mb"), 512.0),
        ("scanner.scan_delay_ms=10", ("scanner", "scan_delay_ms"), 10.0),
        ("sampler.available=false", ("sampler", "available"), False),
        ("sampler.pace_hz=none", ("sampler", "pace_hz"), None),
        ("costs.hint_fault_us=2", ("costs", "hint_fault_us"), 2.0),
        ("hz=250", ("hz",), 250),
        ("seconds=1.5", ("seconds",), 1.5),
        ("demotion=true", ("demotion",), True),
    ],
)
def test_a_value_is_set_by_its_name(setting: str, where: tuple[str, ...], value: Any) -> None:
    found: Any = with_set(setting)
    for name in where:
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_what_is_not_named_stays_and_the_last_of_a_name_wins() -> None:
    before = small(tunables={"kmigrated_sleep_ms": "50", "freq_threshold": "2"})
    after = with_set("freq_threshold=3", "freq_threshold=1", scenario=before)
    assert after.tunables == {"kmigrated_sleep_ms": "50", "freq_threshold": "1"}
    assert after.node == before.node


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("freq_threshold", "--set freq_threshold: wants NAME=VALUE; see pghot help tunables"),
        ("colour=red", "--set colour: no such setting; there are enabled_sources, "),
        ("title=x", "--set title: no such setting; perhaps tiering? there are "),
        ("scanner.colour=1", "--set scanner.colour: no such setting; there are "),
        ("costs.=1", "--set costs.: no such setting; there are "),
        ("freq_threshold=9", "--set freq_threshold=9: tunables.freq_threshold: '9' is not within"),
        ("hz=many", "--set hz=many: no number, true, false or none"),
        ("hz=1\nseed = 2", "--set hz=1\nseed = 2: no number"),
        ("hz=2", "--set hz=2: hz: Expected 'int' >= 12"),
        ("costs.hint_fault=1", "--set costs.hint_fault=1: costs: no cost is named 'hint_fault'"),
        ("seconds=true", "--set seconds=true: seconds: Expected 'float | null', got 'bool'"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(setting: str, line: str) -> None:
    with pytest.raises(InputError) as error:
        with_set(setting)
    assert str(error.value).startswith(line)
