from __future__ import annotations

import re

import pytest

from pghot.errors import InputError
from pghot.log.convert import convert
from tests.log.convert.trace_files import DATA, converted, metadata, write

ADDRESS, FRAME = 0x55AC72C4C030, 0x20BED6030


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        source = write(tmp_path / "in.txt", content)
        return converted(source, tmp_path / "out.parquet", **options)

    return run


@pytest.fixture
def refused(tmp_path):
    def refused(content, **options):
        source = write(tmp_path / "in.txt", content)
        before = set(tmp_path.iterdir())
        with pytest.raises(InputError) as caught:
            convert(source, tmp_path / "refused.parquet", **options)
        assert set(tmp_path.iterdir()) == before
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{source}: ")

    return refused


def test_every_column_of_a_full_line_is_read(run):
    line = (
        "           touch 17938/17939 [003]  3104.113876365: cpu/mem-stores/P: "
        "    55ac72c4c030      1e05080024 |OP STORE|LVL N/A or N/A|SNP N/A|TLB N/A|LCK N/A|BLK N "
        "ffffffff821e8fc0       20bed6030 4K\n"
    )
    report, log = run(line)
    assert report.addresses == "physical"
    assert log == {
        "time_us": [0],
        "pfn": [FRAME >> 12],
        "nid": [-1],
        "source": [1],
        "pid": [17938],
        "vaddr": [ADDRESS],
        "cpu": [3],
        "write": [True],
    }


@pytest.mark.parametrize(
    "comm", ["ls", "Web Content", "a 12", "12 34", "x [001] y", "1.5: z:", ":1", "7/7", "(sd-pam)"]
)
@pytest.mark.parametrize("period", ["", "         1 "])
def test_a_command_name_may_hold_spaces_and_digits(run, comm, period):
    _report, log = run(
        f"{comm:>16} 5/6 [001] 1.000000: {period}e: 55ac72c4c030 \n",
        format="perf-script",
    )
    assert (log["pid"], log["cpu"], log["vaddr"]) == ([5], [1], [ADDRESS])


@pytest.mark.parametrize(
    ("line", "pid", "cpu"),
    [
        (" 1.000000: minor-faults:     55ac72c4c030       20bed6030", None, None),
        ("  ls  5/5   1.000000:     55ac72c4c030       20bed6030", [5], None),
        ("  ls  5 [001] 1.000000: 1 a:b:     55ac72c4c030       20bed6030\r", [5], [1]),
        (" -1/-1 [001] 1.000000: e:     55ac72c4c030 sym (/a b) 20bed6030 2M", [-1], [1]),
    ],
)
def test_columns_may_be_missing(run, line, pid, cpu):
    _report, log = run(line + "\n")
    assert (log.get("pid"), log.get("cpu")) == (pid, cpu)
    assert (log["pfn"], log["vaddr"]) == ([FRAME >> 12], [ADDRESS])


def test_an_instruction_pointer_is_not_taken_for_a_physical_address(run):
    lines = " 1.000000: e: 55ac72c4c030 7f00aa\n 2.000000: e: 55ac72c4d030 55ac72c40000\n"
    report, log = run(lines)
    assert report.addresses == "virtual"
    assert log["pfn"] == [32768, 32769]


def test_lines_that_show_only_instruction_pointers_are_refused(refused):
    line = "  ls  2844 [001]  1455.175224:  1 minor-faults:  ffffffff821e8700 rep+0x40 ([k])\n"
    assert "no data address (instruction pointers, or addresses that print" in refused(line)


def test_times_of_six_and_of_nine_digits_give_the_same_log(run):
    text = (DATA / "faults.txt").read_text()
    _report, nine = run(text)
    six = re.sub(r"(\.\d{6})\d{3}:", r"\1:", text)
    assert six != text
    _report, log = run(six)
    assert log == nine


def test_comments_blank_lines_and_call_chains_are_passed_over(run):
    text = (
        "# ========\n# hostname : x\n\n"
        " 1.000000: e: 55ac72c4c030\n\tffffffff821e8700 rep+0x1 ([k])\n"
        "\t    7fc35e6f2ad7 [unknown]\n"
        "\n 2.000000: e: 55ac72c4c030\n"
    )
    report, log = run(text)
    assert (report.rows_in, log["time_us"]) == (2, [0, 1_000_000])


def test_a_line_that_is_no_sample_is_named(refused, run):
    text = " 1.000000: e: 55ac72c4c030\nrubbish \xff\n 2.000000: e: 55ac72c4c030\n"
    assert refused(text).startswith("line 2: no perf script sample")
    report, log = run(text, skip_bad=True)
    assert (report.left_out, len(log["pfn"]), report.rows_in) == ({"bad line": 1}, 2, 3)


def test_a_fall_in_time_is_named(refused, run):
    text = "# x\n 2.000000: e: 1a00\n\n 1.000000: e: 2000\n 3.000000: e: 3000\n"
    assert refused(text).startswith("line 4: time goes backwards")
    report, log = run(text, skip_bad=True)
    assert log["time_us"] == [0, 1_000_000]
    assert report.left_out == {"time goes backwards": 1}


def test_samples_without_physical_address_are_counted_where_others_have_one(run):
    text = " 1.000000: e: 55ac72c4c030 0\n 2.000000: e: 55ac72c4c030 20bed6030\n"
    report, log = run(text)
    assert (report.left_out, log["pfn"]) == ({"no physical address": 1}, [FRAME >> 12])


def test_physical_addresses_that_are_not_there_are_asked_for(refused):
    said = refused(" 1.000000: e: 55ac72c4c030 55ac72c4c030\n", addresses="physical")
    assert said.startswith("has no physical addresses; record with --phys-data")


def test_a_thread_id_alone_is_remarked_on(run):
    report, _log = run("  ls  5 [001] 1.000000: e: 55ac72c4c030\n")
    assert "may be a thread's" in report.notes[0]


def test_the_log_says_how_it_was_taken(tmp_path, run):
    run(" 1.000000: e: 55ac72c4c030\n", sample=3)
    taken = metadata(tmp_path / "out.parquet").taken
    assert taken == "converted from perf script text; one access in 3 kept"


def test_many_blocks_give_what_one_does(run, monkeypatch):
    text = "".join(f" {at // 7}.{at % 7:06}: e: {at * 512:x}\n" for at in range(1, 20_000))
    _report, whole = run(text)
    monkeypatch.setattr("pghot.log.convert.source._HEAD", 100)
    monkeypatch.setattr("pghot.log.convert.source.BLOCK", 1000)
    _report, log = run(text)
    assert log == whole
    assert len(log["pfn"]) == 19_999
