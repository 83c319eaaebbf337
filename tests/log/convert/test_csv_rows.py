from __future__ import annotations

import pytest

from pghot.errors import InputError
from tests.log.convert.trace_files import converted, write


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        source = write(tmp_path / "in.csv", content)
        return converted(source, tmp_path / "out.parquet", **options)

    return run


@pytest.mark.parametrize(
    "text",
    [
        "10,0x1000\n25,0X2000",
        "time,addr\n10,4096\n25,0x2000\n",
        "\ufefftime,va\n10,4096\n25,0x2000\n",
        "time_us,address\n10,0x1000\n25,0x2000\n",
        '"time","address"\r\n"10","0x1000"\r\n"25","0x2000"\r\n',
        "addr,cpu,time\n4096,1,10\n0x2000,1,25\n",
        "# made by hand\n\n10, 0x1000 \n\n25, 0x2000,more,columns\n",
        "x,timestamp,vaddr,y\n,10,4096,\n,25,8192,\n",
        "10.9,0x1000\n25.1,0x2000\n",
        'note,time,address\n"a, b",10,4096\n"c",25,8192\n',
    ],
)
def test_times_and_addresses_are_read(run, text):
    report, log = run(text, start="slow")
    assert (log["time_us"], log["vaddr"]) == ([0, 15], [0x1000, 0x2000])
    assert (log["pfn"], log["nid"]) == ([32768, 32769], [0, 0])
    assert (report.format, report.rows_in) == ("csv", 2)


@pytest.mark.parametrize(
    ("unit", "one", "two", "apart"),
    [
        ("s", "1455.1752245", "1456", 824776),
        ("ms", "1.5", "3", 1500),
        ("us", "7", "9", 2),
        ("ns", "18446744073709", "18446744075000", 2),
    ],
)
def test_times_are_in_the_given_unit(run, unit, one, two, apart):
    _report, log = run(f"time,addr\n{one},4096\n{two},4096\n", time_unit=unit)
    assert log["time_us"] == [0, apart]


def test_the_delimiter_may_be_another(run):
    _report, log = run("time;addr\n1;4096\n2;8192\n", delimiter=";")
    assert log["vaddr"] == [4096, 8192]
    _report, log = run("1\t0x1000\n2\t0x2000\n", delimiter="\t")
    assert log["vaddr"] == [4096, 8192]


def test_addresses_are_virtual_unless_said_otherwise(run):
    report, log = run("1,0x5000\n", addresses="physical")
    assert (report.addresses, log["pfn"], log["nid"]) == ("physical", [5], [-1])
    assert "vaddr" not in log


def test_the_largest_numbers_are_read(run):
    _report, log = run(f"time,addr\n0,{2**64 - 1}\n18446744073709551,0xffffffffffffffff\n")
    assert log["vaddr"] == [2**64 - 1] * 2


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "5",
        "5,",
        ",5",
        "-5,4096",
        "5,-4096",
        "5,7f00",
        "5,0x",
        "5,0x11112222333344445",
        f"5,{2**64}0",
        "99999999999999999999,1",
        "1e3,4096",
        "nan,4096",
        "5 4096",
        "\xff\xfe,5",
        '"1,000",4096',
        '5,"4096',
    ],
)
def test_a_row_that_is_none_is_named_or_counted(run, bad):
    text = f"time,address\n1,4096\n{bad}\n9,8192\n".encode("latin-1")
    with pytest.raises(InputError, match="line 3: no row of a time in us"):
        run(text)
    report, log = run(text, skip_bad=True)
    assert (report.left_out, log["time_us"]) == ({"bad line": 1}, [0, 8])


def test_a_fall_in_time_is_named_by_its_line(run):
    with pytest.raises(InputError, match="line 4: time goes backwards; sort the file"):
        run("time,addr\n5,4096\n5,4096\n4,4096\n")


def test_rows_without_address_are_left_out(run):
    report, log = run("time,addr\n1,0\n2,4096\n")
    assert (report.left_out, log["time_us"]) == ({"no address": 1}, [0])


@pytest.mark.parametrize("delimiter", ["", "ab", "\n", "\u20ac"])
def test_a_delimiter_is_one_character(run, delimiter):
    with pytest.raises(InputError, match="wants one ASCII character"):
        run("1,4096\n", delimiter=delimiter, format="csv")
