"""An access log as a stream: its rows, one after the other, exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.log.schema import Metadata
from pghot.log.write import create_log
from pghot.workloads import log_rows, logged
from pghot.workloads.log_rows import LogRows
from pghot.workloads.logged import LoggedStream
from pghot.workloads.page_folios import PageFolios
from pghot.workloads.stream import NEVER
from tests.workloads.walk import Walk

UNITS = 6


def write(path: Path, pfns) -> Path:
    pfn = np.asarray(pfns, np.uint64)
    with create_log(path, Metadata(taken="made up by a test")) as log:
        log.write(
            {
                "time_us": np.arange(len(pfn), dtype=np.uint64),
                "pfn": pfn,
                "nid": np.zeros(len(pfn), np.int16),
                "source": np.ones(len(pfn), np.int8),
            }
        )
    return path


def folios_of(pfns) -> list[int]:
    """Number pages by first appearance, as plain Python."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(pfn), len(numbers)) for pfn in pfns]


PFNS = st.lists(st.sampled_from([7, 40, 41, 1 << 39, 3, 0]), min_size=1, max_size=30)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PFNS, st.booleans(), st.booleans(), st.data())
def test_whatever_is_asked_the_answer_is_that_of_the_rows(
    tmp_path, pfns, wraps, is_kept, data
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not is_kept:
            patch.setattr(log_rows, "MOST_KEPT", 0)
            patch.setattr(logged, "MOST_HELD", 0)
        ask(tmp_path, pfns, wraps, data)


def ask(tmp_path, pfns, wraps, data) -> None:
    path = tmp_path / "log.parquet"
    path.unlink(missing_ok=True)
    made = LoggedStream(LogRows(write(path, pfns), UNITS), UNITS, wraps=wraps)
    rows = folios_of(pfns)
    some = st.sets(st.integers(0, UNITS - 1))
    walk = Walk(lambda number: rows[(number - 1) % len(rows)], [0, 1, 2, 1, 0, 2])
    made.place(np.array(walk.nid, np.int16))
    clock, last = 0.0, NEVER if wraps else float(len(rows))
    assert made.end_clock == last
    for _ in range(data.draw(st.integers(1, 6))):
        end = min(clock + data.draw(st.integers(0, 40).map(float) | st.floats(0, 40)), last)
        if clock == last:
            break
        marked, unmarked = (sorted(data.draw(some)) for _ in range(2))
        made.make_prot_none(np.array(marked, np.int64), clock)
        made.end_prot_none(np.array(unmarked, np.int64))
        walk.marked = (walk.marked | set(marked)) - set(unmarked)
        folios, to_nid = np.array(sorted(data.draw(some)), np.int64), data.draw(st.integers(0, 3))
        made.moved(folios, np.array(walk.nid, np.int16)[folios], to_nid)
        for folio in folios:
            walk.nid[folio] = to_nid
        expected = walk.shares(clock, end)
        shares = made.shares(clock, end)
        assert shares[: len(expected)] == pytest.approx(expected, abs=1e-9)
        assert shares.sum() == pytest.approx(1, abs=1e-9)
        drawn_at = np.array(data.draw(st.lists(st.floats(clock, end), max_size=5)))
        plain = [walk.folio_at(max(int(np.ceil(at)), 1)) for at in drawn_at]
        assert made.draw(drawn_at).tolist() == plain
        touched = made.advance(clock, end)
        assert list(zip(touched.folios, touched.clocks, strict=True)) == walk.advance(clock, end)
        assert made.draw(drawn_at).tolist() == plain  # as well after the step as before it
        since = np.array(data.draw(st.lists(st.floats(0, end), min_size=UNITS, max_size=UNITS)))
        seen = made.seen(np.arange(UNITS), since, end).tolist()
        assert seen == [walk.seen(folio, since[folio], end) for folio in range(UNITS)]
        clock = end


@pytest.fixture(scope="module")
def long_log(tmp_path_factory) -> tuple[Path, list[int]]:
    """A log of several chunks."""
    pfns = np.random.default_rng(1).integers(0, 50_000, 600_000)
    return write(tmp_path_factory.mktemp("log") / "long.parquet", pfns), folios_of(pfns)


@pytest.mark.parametrize("most", [1 << 10, log_rows.MOST_KEPT])
def test_a_log_of_many_chunks_goes_by_and_is_kept_where_it_is_short(
    long_log, most, monkeypatch
) -> None:
    monkeypatch.setattr(log_rows, "MOST_KEPT", most)
    path, rows = long_log
    made = LoggedStream(LogRows(path, 50_000), 50_000)
    made.make_prot_none(np.arange(50_000), 0.0)
    found, held = [], 0
    for start in range(0, 1_300_000, 13_000):
        made.shares(start, start + 13_000)
        touched = made.advance(start, start + 13_000)
        found += list(zip(touched.folios.tolist(), touched.clocks.tolist(), strict=True))
        held = max(held, made._window.held)
    first: dict[int, float] = {}
    for number, folio in enumerate(rows, 1):
        first.setdefault(folio, float(number))
    assert found == list(first.items())
    assert held < 300_000


def test_of_a_long_log_no_more_is_kept_than_waits_though_nothing_is_ever_marked(
    long_log, monkeypatch
) -> None:
    monkeypatch.setattr(log_rows, "MOST_KEPT", 0)
    monkeypatch.setattr(logged, "MOST_HELD", 1 << 16)
    path, rows = long_log
    made = LoggedStream(LogRows(path, 50_000), 50_000)
    held = 0
    for start in range(0, 1_300_000, 13_000):
        assert made.shares(start, start + 13_000).tolist() == [1]
        held = max(held, made._window.held)
    assert held < 1 << 19
    last: dict[int, int] = {}
    for number in range(1_300_000):
        last[rows[number % len(rows)]] = number + 1
    since = np.full(50_000, 1_000_000.0)
    seen = made.seen(np.arange(50_000), since, 1_300_000.0)
    assert seen.tolist() == [last[folio] > 1_000_000 for folio in range(50_000)]


def test_weights_are_shares_in_the_whole_log(long_log) -> None:
    path, rows = long_log
    made = LoggedStream(LogRows(path, 50_000), 50_000)
    assert made.weights().tolist() == (np.bincount(rows, minlength=50_000) / len(rows)).tolist()
    assert made.next_change() == NEVER
    made.change(1.0)


def test_after_the_end_of_a_log_nothing_is_touched(tmp_path) -> None:
    log = write(tmp_path / "log.parquet", [5, 6, 7])
    made = LoggedStream(LogRows(log, 3), 3, wraps=False)
    made.place(np.array([0, 1, 2], np.int16))
    assert made.end_clock == 3
    assert made.shares(1, 9).tolist() == [0, 0.5, 0.5]
    assert made.advance(0, 9).folios.tolist() == []
    made.make_prot_none(np.arange(3), 9.0)
    assert made.advance(9, 20).folios.tolist() == []
    assert made.shares(20, 30).tolist() == [0, 0, 1]
    assert made.draw(np.array([25.0])).tolist() == [2]


@settings(deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 20), max_size=60))
def test_pages_are_numbered_as_they_appear(keys) -> None:
    made = PageFolios()
    half = len(keys) // 2
    pieces = [np.array(piece, np.uint64) for piece in (keys[:half], keys[half:])]
    assert np.concatenate([made.of(piece) for piece in pieces]).tolist() == folios_of(keys)
    assert made.keys().tolist() == list(dict.fromkeys(keys))


def test_a_table_of_pages_grows() -> None:
    made, keys = PageFolios(), np.arange(50_000, dtype=np.uint64) << np.uint64(20)
    assert (made.of(keys) == np.arange(50_000)).all()
    assert (made.of(keys[::-1].copy())[::-1] == np.arange(50_000)).all()


def test_pages_of_a_region_keep_their_place_in_it_folio_by_folio(tmp_path) -> None:
    log = write(tmp_path / "log.parquet", [1024, 1535, 512, 1536])
    made = LoggedStream(LogRows(log, 3, first_pfn=512, order=9), 3)
    assert made.draw(np.arange(1.0, 5)).tolist() == [1, 1, 0, 2]
    met = LoggedStream(LogRows(log, 3, order=9), 3)
    assert met.draw(np.arange(1.0, 5)).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("pfns", "options", "line"),
    [
        ([5, 6, 7], {}, "touches more than the region's 2 folios"),
        ([5, 6, 3], {"first_pfn": 5}, "row 3, column pfn: 3: not in the region's 2 folios from 5"),
        ([5, 7], {"first_pfn": 5}, "row 2, column pfn: 7: not in the region's 2 folios from 5"),
        ([], {}, "has no row to take accesses from"),
    ],
)
def test_a_log_that_does_not_fit_the_region_is_refused(tmp_path, pfns, options, line) -> None:
    log = write(tmp_path / "log.parquet", pfns)
    with pytest.raises(InputError) as refused:
        LogRows(log, 2, **options)
    assert str(refused.value) == f"{log}: {line}"


def test_rows_of_a_csv_log_are_checked(tmp_path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("time_us,pfn,nid,source\n0,5,0,hwhint\n1,x,0,hwhint\n")
    with pytest.raises(InputError, match="row 2, column pfn: missing, or not a number"):
        LogRows(log, 2)
    log.write_text("time_us,pfn,nid,source\n0,5,0,hwhint\n1,6,0\n")
    with pytest.raises(InputError, match="row 2: has not as many columns as the header"):
        LogRows(log, 2)
    log.write_text("time_us,pfn,nid,source\n0,5,0,hwhint\n1,6,0,hwhint\n")
    assert LogRows(log, 2).counts.tolist() == [1, 1]
