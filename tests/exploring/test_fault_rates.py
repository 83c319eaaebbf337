"""Of hint faults, how soon they come after the scan says how hot a page is."""

from __future__ import annotations

import numpy as np
import pytest

import pghot
from pghot.exploring import fault_rates
from pghot.exploring.curve import curve
from pghot.exploring.fault_rates import FaultRates

PAGES, SCANS, SCAN_US = 2000, 20, 1_000_000


@pytest.fixture
def faults():
    """Pages of very different rates, made to fault every second; and the rates."""
    rng = np.random.default_rng(1)
    rates = rng.permutation(1 / np.arange(1, PAGES + 1)) * 1e-3  # accesses a microsecond
    page, waited, at = [], [], []
    for number, rate in enumerate(rates.tolist()):
        scan = 0
        while scan < SCANS * SCAN_US:
            wait = rng.exponential(1 / rate)
            fault = scan + wait
            if fault >= SCANS * SCAN_US:
                break
            page.append(number), waited.append(wait), at.append(fault)
            scan = (fault // SCAN_US + 1) * SCAN_US  # the next scan after it
    order = np.argsort(at)
    return rates, {
        "time_us": np.array(at)[order].astype(np.uint64),
        "pfn": np.array(page)[order].astype(np.uint64),
        "nid": np.zeros(len(at), np.int16),
        "source": np.zeros(len(at), np.int8),
        "latency_us": np.array(waited)[order].astype(np.int32),
    }


def test_the_bound_by_latency_is_near_the_truth_where_counting_faults_is_not(faults, tmp_path):
    rates, rows = faults
    path = tmp_path / "log.parquet"
    with pghot.create_log(path, optional=("latency_us",)) as writer:
        writer.write(rows)
    found = curve(path).whole
    true = np.concatenate([[0.0], np.cumsum(np.sort(rates)[::-1]) / rates.sum()])
    expected = true[np.minimum(found.sizes, PAGES)]
    by_latency = np.abs(found.line("bound_by_latency").share - expected).mean()
    by_count = np.abs(found.line("bound").share - expected).mean()
    assert by_latency < 0.03
    assert by_latency < by_count / 5
    notes = " ".join(curve(path).notes)
    assert "by the time from the scan to the fault" in notes
    assert "Chao" not in notes


def test_rows_may_come_in_any_pieces(faults):
    _rates, rows = faults
    whole, pieces = FaultRates(), FaultRates()
    whole.add(rows)
    for start in range(0, len(rows["pfn"]), 777):
        pieces.add({name: values[start : start + 777] for name, values in rows.items()})
    assert np.array_equal(whole.rates(), pieces.rates())


def test_what_is_no_hint_fault_or_has_no_latency_says_nothing(faults):
    _rates, rows = faults
    found = FaultRates()
    found.add(rows | {"latency_us": np.full(len(rows["pfn"]), -1, np.int32)})
    found.add(rows | {"source": np.ones(len(rows["pfn"]), np.int8)})
    assert not len(found.rates())
    assert not found.shares(np.arange(5)).any()


def test_of_too_many_pages_nothing_is_known(faults, monkeypatch):
    monkeypatch.setattr(fault_rates, "MOST_PAGES", 100)
    found = FaultRates()
    found.add(faults[1])
    assert not len(found.rates())
