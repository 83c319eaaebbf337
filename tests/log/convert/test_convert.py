from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from pghot.errors import InputError, PghotError
from pghot.log.convert import convert, formats
from pghot.log.convert.samples import ConvertOptions
from pghot.log.convert.source import open_source
from pghot.log.machine import Machine
from tests.log.convert.trace_files import (
    ADDR,
    CPU,
    DATA,
    PHYS,
    TIME,
    Event,
    PerfFile,
    converted,
    metadata,
    pair,
    sample,
    write,
)

SECTION = 32768


def machine(slow_pages=SECTION, toptier=False):
    return Machine.from_dict(
        {
            "hz": 250,
            "node": [
                {"id": 0, "start_pfn": 0, "pages": SECTION, "toptier": True, "cpus": "0-3"},
                {"id": 1, "start_pfn": 4 * SECTION, "pages": 0, "toptier": False},
                {"id": 2, "start_pfn": 8 * SECTION, "pages": slow_pages, "toptier": toptier},
                {
                    "id": 3,
                    "start_pfn": 2 * SECTION,
                    "pages": SECTION,
                    "toptier": True,
                    "cpus": "7",
                },
            ],
        }
    )


@pytest.fixture
def pairs(tmp_path):
    def pairs(addresses):
        rows = "".join(f"{t},{a}\n" for t, a in enumerate(addresses))
        return write(tmp_path / "in.csv", f"time_us,address\n{rows}")

    return pairs


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.parquet"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("faults.data", "perf-data"),
        ("compressed.data", "perf-data"),
        ("pipe.data", "perf-data"),
        ("faults.txt", "perf-script"),
        ("regs.txt", "perf-script"),
        ("lackey.txt", "lackey"),
    ],
)
def test_the_format_is_known_by_the_content(name, expected):
    with open_source(DATA / name) as source:
        assert formats.sniff(source, ConvertOptions()) == expected


def test_a_file_of_no_known_format_is_refused(tmp_path, out):
    with pytest.raises(
        InputError, match=r"is none of perf-data, perf-script, .*, csv by its looks"
    ):
        convert(write(tmp_path / "in", "hello\n" * 10), out)
    with pytest.raises(InputError, match="is empty"):
        convert(write(tmp_path / "in", ""), out)


def test_a_named_format_is_taken_at_its_word(out):
    with pytest.raises(InputError, match="line 1: no perf script sample"):
        convert(DATA / "lackey.txt", out, format="perf-script")
    with pytest.raises(InputError, match="--format 'x': wants one of perf-data,"):
        convert(DATA / "lackey.txt", out, format="x")


def test_a_trace_without_machine_gets_one_that_just_holds_it(pairs, out):
    report, log = converted(pairs([0x5000, 0x9000, 0x5008]), out, start="slow")
    assert report.machine == "synthetic"
    made = Machine.from_dict(metadata(out).machine)
    assert [(node.start_pfn, node.pages, node.free_pages) for node in made.nodes] == [
        (0, SECTION, SECTION),
        (SECTION, SECTION, 0),
    ]
    assert log["pfn"] == [SECTION, SECTION + 1, SECTION]
    assert log["nid"] == [0, 0, 0]


def test_the_slow_node_moves_up_as_it_grows(pairs, out):
    source = pairs(page << 12 for page in range(1, SECTION + 2))
    report, log = converted(source, out, start="slow")
    assert report.pages == SECTION + 1
    assert (log["pfn"][0], log["pfn"][-1]) == (2 * SECTION, 3 * SECTION)
    assert metadata(out).machine["node"][1]["pages"] == 2 * SECTION


def test_virtual_pages_go_to_the_first_lower_tier_node_of_the_machine(pairs, out):
    report, log = converted(pairs([0x5000, 0x9000]), out, machine=machine())
    assert (report.machine, log["pfn"]) == ("given", [8 * SECTION, 8 * SECTION + 1])
    assert log["nid"] == [-1, -1]
    assert metadata(out).hz == 250
    assert Machine.from_dict(metadata(out).machine) == machine()


def test_virtual_pages_fill_the_ranges_of_a_node_in_order(pairs, out):
    ranges = [[4 * SECTION, 4 * SECTION + 2], [8 * SECTION, 9 * SECTION]]
    nodes = [
        {"id": 0, "ranges": [[7, 8], [11, 16]], "toptier": True, "free_pages": 3},
        {"id": 1, "ranges": ranges, "toptier": False},
    ]
    given = Machine.from_dict({"node": nodes})
    pages = [page << 12 for page in range(1, 5)]
    _report, log = converted(pairs(pages), out, machine=given, start="slow")
    assert log["pfn"] == [4 * SECTION, 4 * SECTION + 1, 8 * SECTION, 8 * SECTION + 1]
    _report, log = converted(pairs(pages), out, machine=given)
    assert log["pfn"] == [7, 11, 12, 4 * SECTION]
    assert Machine.from_dict(metadata(out).machine).nodes[1] == given.nodes[1]


def test_a_physical_address_in_a_hole_is_in_no_node(pairs, out):
    given = Machine.from_dict({"node": [{"id": 0, "ranges": [[0, 5], [7, 9]]}]})
    with pytest.raises(InputError, match=r"\(PFN 6\) is in no node of the machine file"):
        convert(pairs([0x4000, 0x7000, 0x6000]), out, machine=given, addresses="physical")


def test_a_machine_file_is_read(tmp_path, pairs, out):
    text = '[[node]]\nid = 0\nstart_pfn = 0\nsize = "128MiB"\ntoptier = false\n'
    file = write(tmp_path / "machine.toml", text)
    _report, log = converted(pairs([0x5000]), out, machine=file)
    assert log["pfn"] == [0]


def test_more_pages_than_the_slow_node_has_are_refused(pairs, out):
    source = pairs(page << 12 for page in range(1, SECTION + 2))
    with pytest.raises(InputError, match=r"touches more than the 32768 pages of node 2"):
        convert(source, out, machine=machine())
    assert not out.exists()


def test_a_machine_without_lower_tier_has_no_place_for_virtual_pages(pairs, out):
    with pytest.raises(InputError, match="no lower-tier node"):
        convert(pairs([0x5000]), out, machine=machine(toptier=True))


def test_physical_addresses_keep_their_pfns(pairs, out):
    report, log = converted(pairs([0x5000, 0x1234567]), out, addresses="physical")
    assert (report.machine, report.pages, log["pfn"]) == ("none", 2, [5, 0x1234])
    assert metadata(out).machine == {}
    (note,) = report.notes
    assert note.startswith("physical addresses are of the traced machine, which the log does not")


def test_a_physical_address_outside_the_machine_is_named_or_counted(pairs, out):
    source = pairs([0x5000, SECTION << 12, 0x6000])
    with pytest.raises(InputError, match=r"0x8000000 \(PFN 32768\) is in no node of the machine"):
        convert(source, out, addresses="physical", machine=machine())
    report, log = converted(source, out, addresses="physical", machine=machine(), skip_bad=True)
    assert (log["pfn"], report.left_out) == ([5, 6], {"PFN outside the machine": 1})


def test_a_physical_address_beyond_what_hardware_has_is_refused(pairs, out):
    with pytest.raises(InputError, match="is beyond 52 bits"):
        convert(pairs([1 << 52]), out, addresses="physical")


@pytest.mark.parametrize(("nid", "expected"), [(None, [0, 3, -1, -1]), (2, [0, 3, 2, 2])])
def test_the_node_is_the_cpus_where_the_machine_lists_it(tmp_path, out, nid, expected):
    cpus = [2, 7, 5, 0xFFFFFFFF]
    records = [sample(at * 1000, 0x5000, pair(cpu, 0)) for at, cpu in enumerate(cpus)]
    content = PerfFile([Event(TIME | ADDR | CPU)], records).to_bytes()
    source = write(tmp_path / "in.data", content)
    _report, log = converted(source, out, machine=machine(), nid=nid)
    assert (log["nid"], log["cpu"]) == (expected, [2, 7, 5, -1])


def test_a_node_that_does_not_exist_is_refused(pairs, out):
    for options in {"nid": 2}, {"nid": 4, "machine": machine()}:
        with pytest.raises(InputError, match=r"--nid [0-9]: the machine has no such node"):
            convert(pairs([0x5000]), out, **options)
    for nid in -2, 1024, 1 << 20:
        with pytest.raises(InputError, match=f"--nid {nid}: wants -1 to 1023"):
            convert(pairs([0x5000]), out, nid=nid, addresses="physical")


@pytest.mark.parametrize("every", [1, 2, 3, 7, 1000, 10**9])
def test_every_nth_access_is_kept_and_only_its_page_counts(pairs, out, monkeypatch, every):
    monkeypatch.setattr("pghot.log.convert.source._HEAD", 50)
    monkeypatch.setattr("pghot.log.convert.source.BLOCK", 100)
    addresses = [(page + 1) << 12 for page in range(100)]
    report, log = converted(pairs(addresses), out, sample=every)
    assert log["vaddr"] == addresses[::every]
    assert log["time_us"] == list(range(0, 100, every))
    assert report.pages == len(log["vaddr"])
    assert report.left_out.get("not sampled", 0) == 100 - len(log["vaddr"])


def test_the_source_is_the_one_named(pairs, out):
    _report, log = converted(pairs([0x5000]), out, source_name="hintfault")
    assert log["source"] == [0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sample": 0}, "--sample 0"),
        ({"source_name": "x"}, "--source 'x'"),
        ({"addresses": "x"}, "--addresses 'x'"),
        ({"time_unit": "x"}, "--time-unit 'x'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(pairs, out, options, says):
    with pytest.raises(InputError, match=says):
        convert(pairs([0x5000]), out, **options)


def test_a_trace_without_usable_access_is_refused_and_says_why(pairs, out):
    with pytest.raises(InputError, match=r"no usable access \(2 no address\)"):
        convert(pairs([0, 0]), out)
    assert not out.exists()


def test_a_trace_of_instructions_alone_has_no_usable_access(tmp_path, out):
    with pytest.raises(InputError, match="has no usable access"):
        convert(write(tmp_path / "in", "I  1000,1\n" * 9), out)


def test_a_log_that_exists_is_kept_unless_forced(pairs, out):
    out.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        convert(pairs([0x5000]), out)
    assert out.read_text() == "mine"
    convert(pairs([0x5000]), out, force=True)
    assert pq.read_table(out).num_rows == 1


def test_nothing_is_left_where_the_trace_turns_bad_late(pairs, out, tmp_path):
    source = pairs(range(4096, 54_096))
    with source.open("a") as stream:
        stream.write("rubbish\n")
    with pytest.raises(InputError, match="line 50002: no row"):
        convert(source, out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_an_output_that_cannot_be_written_is_refused(pairs, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        convert(pairs([0x5000]), tmp_path / "no" / "out.parquet")


@pytest.mark.parametrize("source", ["no-such-file", ".", "a\0b"])
def test_a_trace_that_cannot_be_read_is_refused(out, source):
    with pytest.raises(InputError, match="cannot be read"):
        convert(source, out)


def test_perf_data_is_read_from_a_pipe_too(out, monkeypatch):
    _report, expected = converted(DATA / "faults.data", out)
    with (DATA / "faults.data").open("rb") as stream:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
        _report, log = converted("-", out)
    assert log == expected


def test_a_csv_log_has_the_same_rows_and_a_remark(tmp_path, pairs, out):
    _report, log = converted(pairs([0x5000, 0x9000]), out)
    report = convert(pairs([0x5000, 0x9000]), tmp_path / "out.csv")
    assert any("CSV has no place for the machine" in note for note in report.notes)
    header, *rows = (tmp_path / "out.csv").read_text().replace('"', "").split()
    assert header.split(",") == list(log)
    assert [int(row.split(",")[1]) for row in rows] == log["pfn"]


def test_a_long_trace_is_written_in_groups_in_order(tmp_path, out, monkeypatch):
    monkeypatch.setattr("pghot.log.write.ROWS_A_GROUP", 1000)
    count = 12_345
    text = "time,addr\n" + "".join(f"{at},{4096 * (at % 9 + 1)}\n" for at in range(count))
    report = convert(write(tmp_path / "in.csv", text), out)
    assert (report.rows_out, report.pages) == (count, 9)
    assert pq.read_table(out)["time_us"].to_pylist() == list(range(count))


def test_progress_is_told_up_to_the_end(pairs, out):
    told = []
    source = pairs(range(4096, 20_000))
    convert(source, out, progress=lambda done, total: told.append((done, total)))
    size = source.stat().st_size
    assert told[-1] == (size, size)
    convert(DATA / "faults.data", out, force=True, progress=lambda *now: told.append(now))
    assert told[-1] == ((DATA / "faults.data").stat().st_size,) * 2


def test_a_full_disk_is_told_plainly(pairs, out, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pghot.log.convert.spool.tempfile.TemporaryFile", full)
    with pytest.raises(PghotError, match="cannot be written: No space left on device"):
        convert(pairs([0x5000]), out)


def test_physical_and_virtual_samples_of_one_file_are_counted_apart(tmp_path, out):
    records = [sample(1000, 0, 0x5000), sample(2000, 0x7000, 0)]
    source = write(tmp_path / "in", PerfFile([Event(TIME | ADDR | PHYS)], records).to_bytes())
    report, log = converted(source, out)
    assert (log["pfn"], report.left_out) == ([5], {"no physical address": 1})
    report, log = converted(source, out, addresses="virtual")
    assert (log["vaddr"], report.left_out) == ([0x7000], {"no address": 1})


def test_a_log_is_not_written_over_its_trace(tmp_path):
    trace = write(tmp_path / "in", "time,address\n1,0x1000\n")
    (tmp_path / "link").symlink_to(trace)
    for out in trace, tmp_path / "link":
        with pytest.raises(InputError, match="is the trace itself"):
            convert(trace, out, force=True)
    assert trace.read_text().startswith("time,address")
