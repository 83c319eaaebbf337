"""Costs of the kernel's work."""

from __future__ import annotations

import dataclasses
import re

import pytest

from pghot.errors import InputError
from pghot.simulated.machine.costs import Costs, with_costs


def test_every_cost_is_described_with_its_source():
    text = Costs.__doc__ or ""
    for field in dataclasses.fields(Costs):
        assert field.name in text
    entries = re.split(r"\n    (?=\w+(?:, \w+)*: )", text)[1:]
    for entry in entries:
        assert "alibration" in entry or "ssumption" in entry, entry


def test_moving_a_folio_takes_its_bytes_over_the_pace_of_its_order():
    costs = Costs()
    assert costs.move_us(0) == pytest.approx(4096 / 1720)
    assert costs.move_us(9) == pytest.approx((2 << 20) / 10700)
    per_page = [costs.move_us(order) / (1 << order) for order in range(10)]
    assert per_page == sorted(per_page, reverse=True)


def test_walks_and_scans_add_up():
    costs = with_costs(
        {
            "scanner_step_us": 1.0,
            "scanner_pte_ns": 10.0,
            "scanner_mark_ns": 100.0,
            "kmigrated_pfn_ns": 20.0,
            "kmigrated_batch_us": 30.0,
        }
    )
    assert costs.scan_us(looked_at=200, marked=10) == pytest.approx(1 + 2 + 1)
    assert costs.walk_us(folios=100, batches=2) == pytest.approx(2 + 60)


def test_what_is_no_cost_or_cannot_be_one_is_refused():
    with pytest.raises(InputError, match=r"no cost is named 'hint_fault'; known: drain_delay_us"):
        with_costs({"hint_fault": 1.0})
    with pytest.raises(InputError, match="cost sample_us must be zero or more, not -1"):
        with_costs({"sample_us": -1})
    with pytest.raises(InputError, match="cost move_4k_GBps must be above zero, not 0"):
        with_costs({"move_4k_GBps": 0})
    with pytest.raises(InputError, match="cost sample_us must be zero or more, not nan"):
        with_costs({"sample_us": float("nan")})
