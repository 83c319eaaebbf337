from __future__ import annotations

import struct

import pytest

from pghot.errors import InputError
from pghot.log.convert import convert
from tests.log.convert.trace_files import (
    ADDR,
    BRANCH,
    CHAIN,
    CPU,
    DATA,
    DATA_SRC,
    ID,
    IDENTIFIER,
    IP,
    PERIOD,
    PHYS,
    RAW,
    READ,
    REGS_INTR,
    REGS_USER,
    STACK_USER,
    TID,
    TIME,
    WEIGHT,
    Event,
    PerfFile,
    converted,
    metadata,
    pair,
    q,
    record,
    sample,
    write,
)

PAGE = 0x7F00_1234_5000
FRAME = 0x1_2345_6000


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        source = write(tmp_path / "in.data", content)
        return converted(source, tmp_path / "out.parquet", **options)

    return run


@pytest.fixture
def refused(tmp_path):
    def refused(content, **options):
        source = write(tmp_path / "in.data", content)
        before = set(tmp_path.iterdir())
        with pytest.raises(InputError) as caught:
            convert(source, tmp_path / "refused.parquet", format="perf-data", **options)
        assert set(tmp_path.iterdir()) == before
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{source}: ")

    return refused


@pytest.mark.parametrize("name", ["faults", "chain", "regs"])
@pytest.mark.parametrize("addresses", ["physical", "virtual"])
def test_perf_data_and_its_perf_script_text_give_the_same_log(tmp_path, name, addresses):
    columns = {}
    for suffix in "data", "txt":
        _report, log = converted(
            DATA / f"{name}.{suffix}", tmp_path / "out.parquet", addresses=addresses
        )
        columns[suffix] = log
    if name == "regs":  # recorded without --sample-cpu
        assert "cpu" not in columns["data"]
    assert len(columns["data"]["pfn"]) > 20
    assert columns["data"] == columns["txt"]


def test_all_fixed_fields_are_read_and_times_start_at_the_first_row(run):
    event = Event(IP | TID | TIME | ADDR | CPU | PERIOD | WEIGHT | DATA_SRC | PHYS)
    load, store = 2 | 1 << 5, 4 | 1 << 5
    content = PerfFile(
        [event],
        [
            sample(9, pair(7, 8), 5_000_999, PAGE, pair(3, 0), 1, 1, load, FRAME),
            sample(9, pair(7, 8), 5_004_000, PAGE + 8, pair(2, 0), 1, 1, store, FRAME + 8),
        ],
    ).to_bytes()
    report, log = run(content)
    assert report.addresses == "physical"
    assert log == {
        "time_us": [0, 4],
        "pfn": [FRAME >> 12] * 2,
        "nid": [-1, -1],
        "source": [1, 1],
        "pid": [7, 7],
        "vaddr": [PAGE, PAGE + 8],
        "cpu": [3, 2],
        "write": [False, True],
    }


VARIABLE = {
    "a counter": (Event(READ), [11]),
    "a counter with times, id and lost": (Event(READ, read_format=0b10111), [1, 2, 3, 4, 5]),
    "a group of counters": (Event(READ, read_format=0b11111), [2, 8, 9, 1, 2, 3, 4, 5, 6]),
    "an empty call chain": (Event(CHAIN), [0]),
    "a call chain": (Event(CHAIN), [3, 1, 2, 3]),
    "raw data": (Event(RAW), [b"\x0c\0\0\0" + b"x" * 12]),
    "branches": (Event(BRANCH), [2, *range(6)]),
    "branches with an index": (Event(BRANCH, branch_type=1 << 17), [1, 77, 1, 2, 3]),
    "branches with counters": (Event(BRANCH, branch_type=1 << 19), [1, 1, 2, 3, 4]),
    "no user registers": (Event(REGS_USER, regs_user=0b111), [0]),
    "user registers": (Event(REGS_USER, regs_user=0b111), [2, 1, 2, 3]),
    "an empty stack": (Event(STACK_USER), [0]),
    "a stack": (Event(STACK_USER), [16, b"s" * 16, 8]),
    "registers at the interrupt": (Event(REGS_INTR, regs_intr=1 << 40 | 1), [2, 5, 6]),
}


@pytest.mark.parametrize("what", VARIABLE)
def test_the_physical_address_is_found_behind(run, what):
    event, field = VARIABLE[what]
    event = Event(
        event.sample_type | TIME | PHYS,
        (),
        event.read_format,
        event.branch_type,
        event.regs_user,
        event.regs_intr,
    )
    _report, log = run(PerfFile([event], [sample(1000, *field, FRAME)]).to_bytes())
    assert log["pfn"] == [FRAME >> 12]


@pytest.mark.parametrize("what", VARIABLE)
def test_a_sample_cut_anywhere_is_refused_or_left_out(run, refused, what):
    event, field = VARIABLE[what]
    event = Event(
        event.sample_type | TIME | PHYS,
        (),
        event.read_format,
        event.branch_type,
        event.regs_user,
        event.regs_intr,
    )
    whole = sample(1000, *field, FRAME)
    for size in range(0, len(whole) - 8, 4):
        records = [record(9, whole[8 : 8 + size]), whole]
        content = PerfFile([event], records).to_bytes()
        assert "the sample is shorter than its event says" in refused(content)
        report, log = run(content, skip_bad=True)
        assert (len(log["pfn"]), report.left_out) == (1, {"bad sample": 1})


@pytest.mark.parametrize(
    ("bit", "before"), [(IDENTIFIER, []), (ID, ["time"])], ids=["IDENTIFIER", "ID"]
)
def test_events_with_different_fields_are_told_apart_by(run, bit, before):
    def one(time, ident, *rest):
        return sample(time, ident, *rest) if before else sample(ident, time, *rest)

    events = [
        Event(bit | TIME | CHAIN | PHYS, (10, 11)),
        Event(bit | TIME | CPU | PHYS, (20,)),
        Event(bit | TIME | CPU, (30,)),
    ]
    records = [
        one(1000, 20, pair(1, 0), FRAME),
        one(2000, 11, 1, 5, FRAME + 0x1000),
        one(3000, 30, pair(1, 0)),
        one(4000, 99, pair(1, 0), FRAME),
    ]
    report, log = run(PerfFile(events, records).to_bytes())
    assert [pfn - (FRAME >> 12) for pfn in log["pfn"]] == [0, 1]
    assert log["cpu"] == [1, -1]
    assert report.left_out == {"event without address or time": 1, "unknown event": 1}
    assert report.rows_in == 4


def test_events_with_different_fields_and_no_id_are_refused(refused):
    events = [Event(TIME | PHYS), Event(TIME | ADDR)]
    assert "do not say of which event" in refused(PerfFile(events, [sample(1, 2)]).to_bytes())


def test_samples_are_sorted_by_time_and_equal_times_keep_their_order(run):
    times = [5000, 7000, 1000, 5000, 1000]
    records = [sample(time, (at + 1) << 12) for at, time in enumerate(times)]
    _report, log = run(PerfFile([Event(TIME | PHYS)], records).to_bytes())
    assert log["pfn"] == [3, 5, 1, 4, 2]
    assert log["time_us"] == [0, 0, 4, 4, 6]


def test_other_records_and_what_follows_an_auxtrace_record_are_stepped_over(run):
    records = [
        record(1, bytes(32)),
        record(71, q(16, 0, 0, 0, 0)) + record(9, b"AUXTRACE"),
        record(82, b""),
        sample(1000, FRAME),
    ]
    report, _log = run(PerfFile([Event(TIME | PHYS)], records).to_bytes())
    assert (report.rows_in, report.rows_out) == (1, 1)


def test_samples_with_unknown_physical_address_are_counted_and_left_out(run):
    event = Event(TIME | ADDR | PHYS)
    content = PerfFile([event], [sample(1000, PAGE, 0), sample(2000, PAGE, FRAME)]).to_bytes()
    report, log = run(content)
    assert log["pfn"] == [FRAME >> 12]
    assert report.left_out == {"no physical address": 1}


def test_virtual_addresses_are_used_where_no_physical_one_is_known(run):
    content = PerfFile([Event(TIME | ADDR | PHYS)], [sample(1000, PAGE, 0)]).to_bytes()
    report, log = run(content)
    assert (report.addresses, log["vaddr"]) == ("virtual", [PAGE])


GOOD = PerfFile([Event(TIME | PHYS)], [sample(1000, FRAME)])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (GOOD.to_bytes(b"2ELIFREP"), "other byte order"),
        (GOOD.to_bytes(b"PERFFILE"), "before 3.0"),
        (b"hello", "not a perf.data file"),
        (b"", "not a perf.data file"),
        (GOOD.to_bytes()[:60], "truncated"),
        (GOOD.to_bytes()[:-1], "truncated"),
        (PerfFile([Event(TIME | PHYS)]).to_bytes(), "not ended properly"),
        (PerfFile([], [sample(1)]).to_bytes(), "corrupt"),
        (PerfFile([Event(PHYS)], [sample(1)]).to_bytes(), "no time; record with -T"),
        (PerfFile([Event(TIME | IP)], [sample(1, 2)]).to_bytes(), "no address; record again"),
        (PerfFile([Event(TIME | PHYS)], [record(82, b"")]).to_bytes(), "no virtual addresses"),
        (PerfFile([Event(TIME | PHYS)], [b"\x09\0\0\0\0\0\x07\0"]).to_bytes(), "corrupt"),
        (PerfFile([Event(TIME | PHYS)], [b"\x09\0\0\0\0\0\xff\0"]).to_bytes(), "corrupt"),
        (PerfFile([Event(TIME | PHYS)], [b"\x09\0\0"]).to_bytes(), "corrupt"),
        (PerfFile([Event(TIME | PHYS)], [record(71, q(1 << 63))]).to_bytes(), "corrupt"),
    ],
)
def test_what_cannot_be_read_is_refused_with_one_clear_line(refused, content, says):
    assert says in refused(content)


def test_records_packed_with_zstd_are_unpacked(tmp_path):
    report, log = converted(DATA / "compressed.data", tmp_path / "out.parquet")
    assert report.rows_out == len(log["pfn"]) > 20
    assert "minor-faults" in metadata(tmp_path / "out.parquet").taken_by


def test_packed_records_that_are_damaged_are_refused(refused):
    event = [Event(TIME | PHYS)]
    assert "damaged zstd" in refused(PerfFile(event, [record(81, q(1))]).to_bytes())
    assert "damaged zstd" in refused(PerfFile(event, [record(83, q(8, 1))]).to_bytes())


def frame_without_end(content):
    """Zstd as perf leaves it: blocks that are not compressed, none of them the last."""
    pieces = [content[at : at + 4000] for at in range(0, len(content), 4000)]
    blocks = b"".join((len(p) << 3).to_bytes(3, "little") + p for p in pieces)
    return b"\x28\xb5\x2f\xfd\x00\x58" + blocks


def test_packed_records_are_read_as_one_stream_however_they_are_cut(run):
    event = Event(TIME | PHYS)
    rows = b"".join(sample(1000 * at, FRAME + (at << 12)) for at in range(1, 500))
    packed = frame_without_end(rows)
    for size in 7, 100, 1000:
        pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
        _report, log = run(PerfFile([event], [record(81, piece) for piece in pieces]).to_bytes())
        assert log["pfn"] == [(FRAME >> 12) + at for at in range(1, 500)]
        records = [record(83, q(len(piece)) + piece + bytes(-len(piece) % 8)) for piece in pieces]
        _report, log = run(PerfFile([event], records).to_bytes())
        assert len(log["pfn"]) == 499


def test_a_pipes_events_are_among_its_records(run, tmp_path):
    event = Event(TIME | ADDR | IDENTIFIER)
    attr = event.attr()
    attr = attr[:4] + struct.pack("<I", len(attr)) + attr[8:]
    records = [
        record(64, attr + q(7)),
        record(78, q(3, 7) + b"mem-loads\0\0\0\0\0\0\0"),
        record(66, struct.pack("<I", 13)) + b"x" * 16,
        sample(7, 1000, PAGE),
        sample(7, 3000, PAGE + 4096),
    ]
    _report, log = run(b"PERFILE2" + q(16) + b"".join(records))
    assert (log["time_us"], log["vaddr"]) == ([0, 2], [PAGE, PAGE + 4096])
    assert metadata(tmp_path / "out.parquet").taken_by == "perf: mem-loads"


def test_a_pipe_without_an_event_is_refused(refused):
    assert "has no event in it" in refused((DATA / "pipe.data").read_bytes())


def test_lost_throttled_and_guest_samples_are_told(run, tmp_path):
    guest = bytearray(sample(2000, PAGE))
    guest[4] = 5
    records = [record(2, q(1, 40)), record(13, q(2)), record(5, q(1, 2, 3)), bytes(guest)]
    report, _log = run(PerfFile([Event(TIME | ADDR)], [*records, sample(1, PAGE)]).to_bytes())
    told = " / ".join(report.notes)
    for words in "42 samples lost", "1 times the kernel throttled", "1 samples are of guests":
        assert words in told
    assert metadata(tmp_path / "out.parquet").notes == report.notes


def test_physical_addresses_that_are_all_zero_are_told_with_their_cause(run):
    report, log = run(PerfFile([Event(TIME | ADDR | PHYS)], [sample(1, PAGE, 0)]).to_bytes())
    assert log["vaddr"] == [PAGE]
    assert any("phys_addr is 0 in all samples, for perf had no right" in n for n in report.notes)


def test_a_file_cut_anywhere_is_refused(refused):
    whole = (DATA / "faults.data").read_bytes()
    for size in [*range(0, 400, 7), *range(400, len(whole), 501), len(whole) - 1]:
        refused(whole[:size])


def test_physical_addresses_that_were_not_recorded_are_asked_for(refused):
    content = PerfFile([Event(TIME | ADDR)], [sample(1, PAGE)]).to_bytes()
    said = refused(content, addresses="physical")
    assert said.startswith("has no physical addresses; record again with perf record")


@pytest.mark.parametrize("extra", [0, ADDR])
@pytest.mark.parametrize("name", ["exceptions:page_fault_user", "damon:damon_aggregated"])
def test_a_tracepoint_whose_text_has_the_address_is_named(refused, name, extra):
    event = Event(TIME | IDENTIFIER | extra)
    attr = event.attr()
    attr = attr[:4] + struct.pack("<I", len(attr)) + attr[8:]
    text = name.encode()
    records = [
        record(64, attr + q(7)),
        record(78, q(3, 7) + text + bytes(-len(text) % 8 or 8)),
        sample(7, 1000, *([0] if extra else [])),
    ]
    said = refused(b"PERFILE2" + q(16) + b"".join(records))
    assert f"{name} has them in its text: convert what perf script -i FILE prints" in said
