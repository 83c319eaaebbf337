"""An address is taken only where the trace says that it is one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib

import pyarrow as pa
import pytest

from pghot.errors import InputError
from tests.log.convert.trace_files import converted, metadata, write

FULL = 0x7F00_0000_1ABC
FRAME = 0x1_F000_1ABC


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        return converted(write(tmp_path / "in", content), tmp_path / "out.parquet", **options)

    return run


@pytest.fixture
def refused(tmp_path):
    def refused(content, **options):
        source = write(tmp_path / "in", content)
        before = set(tmp_path.iterdir())
        with pytest.raises(InputError) as caught:
            converted(source, tmp_path / "refused.parquet", **options)
        assert set(tmp_path.iterdir()) == before
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{source}: ")

    return refused


def line(columns, event="mem-loads:", at=5, comm="a", cpu="[001]"):
    return f"  {comm}  900/900 {cpu}    {at}.000005: {event} {columns}\n"


SRC = "10268100142 |OP LOAD|LVL L1 or L1 hit|SNP None|TLB L1 or L2 hit|LCK No|BLK  N/A"

ADDRESSES = {
    "an address alone": ("7f0000001abc", "virtual"),
    "an address of 32 bits": ("bee00010", "virtual"),
    "address and frame": ("7f0000001abc  1f0001abc", "physical"),
    "address, frame and page size": ("7f0000001abc  1f0001abc 2M", "physical"),
    "two page sizes": ("7f0000001abc  1f0001abc 4K 4K", "physical"),
    "a control group between": ("7f0000001abc /system.slice/a.service 1f0001abc", "physical"),
    "a control group and no frame": ("7f0000001abc /a 7fad7c47425d", "virtual"),
    "a symbol between": ("7f0000001abc 401136 f+0x10 (/opt/a) 1f0001abc", "physical"),
    "a file with blanks": ("7f0000001abc 401136 f+0x10 (/opt/X 4/a b) 1f0001abc 4K", "physical"),
    "weights and all": (f"7f0000001abc {SRC} 33 4 0 401136 f+0x1 (/a) 1f0001abc 4K", "physical"),
    "no frame behind data_src": (f"7f0000001abc {SRC} 33 4 0 401136 f+0x1 (/a)", "virtual"),
    "the instruction itself": ("7f0000001abc 7f0000001abc", "virtual"),
    "an instruction of a program": ("7f0000001abc 555555554abc", "virtual"),
    "a kernel instruction": ("7f0000001abc ffffffff821e8fc0", "virtual"),
    "hidden frames": ("7f0000001abc 0", "virtual"),
}


@pytest.mark.parametrize("what", ADDRESSES)
def test_columns_that_can_be_read_in_one_way_are_taken(run, what):
    columns, kind = ADDRESSES[what]
    report, log = run(line(columns) + line(columns, at=6))
    assert report.addresses == kind
    expected = FRAME >> 12 if kind == "physical" else 0x8000
    assert log["pfn"] == [expected] * 2


NO_ADDRESSES = {
    "data_src and an instruction": f"{SRC} aaaac17c3e88 [unknown] (/opt/m)",
    "an instruction with its symbol": "7ff043c44270 f+0x0 (/usr/lib/libc.so.6)",
    "an unknown instruction": "7ff043c44270 [unknown] (/usr/lib/libc.so.6)",
    "nothing": "",
    "digits, perhaps a weight": "1234",
    "a frame alone": "3fec82ea8",
    "a frame alone with its page size": "3fec82ea8 4K",
    "an instruction or an address, and another number": "401136 3fec82",
    "hexadecimal of other tools": "0x7f0000001000",
    "upper case": "7F0000001000",
    "words": "add 17 items",
    "instruction bytes": "7f0000001abc insn: 48 8b 00",
    "a page size before an address": "N/A 7f0000001abc",
    "a page size of 2 MiB before it": "2M 7f0000001abc 1f0001abc",
}


@pytest.mark.parametrize("what", NO_ADDRESSES)
def test_columns_that_can_be_read_two_ways_are_refused(refused, what):
    said = refused(line(NO_ADDRESSES[what]) * 2)
    assert "--fields" in said
    assert "perf.data" in said


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("sched:sched_switch:", "dead beef cafe"),
        ("probe:f:", "(ffffffff81000000) arg1=0x1"),
        ("raw_syscalls:sys_enter:", "NR 0 (3, 7f0, 0)"),
        ("app:beat:", "add"),
    ],
)
def test_trace_text_is_never_an_address(refused, event, text):
    assert "no data address (trace text)" in refused(line(text, event=event))


def test_a_period_is_never_an_address(refused, run):
    assert "no data address" in refused(
        "w 1 [002] 1.000100:    1001001 cpu-clock: \n\t 4005d0 f\n\n"
    )
    assert "--fields" in refused("w 1 [002] 1.000100:    1001001 7f0000001abc\n")
    _report, log = run(
        "w 1/1 [002] 1.000100:    1001001 7f0000001abc\n", fields="pid,tid,cpu,time,period,addr"
    )
    assert log["vaddr"] == [FULL]


def test_the_list_given_to_perf_script_says_what_is_there(run, refused):
    text = line("401136  3fec82ea8 4K")
    report, log = run(text, fields="comm,pid,tid,cpu,time,event,ip,phys_addr,data_page_size")
    assert (report.addresses, log["pfn"]) == ("physical", [0x3FEC82])
    assert "vaddr" not in log
    _report, log = run(text, fields="comm,tid,pid,cpu,time,event,addr,ip,sym", start="slow")
    assert log["vaddr"] == [0x401136]
    assert "neither addr nor phys_addr" in refused(text, fields="pid,time,event,ip")
    assert "--fields 'adr': no field of perf script -F; perhaps addr" in refused(
        text, fields="adr"
    )
    assert "give the whole list" in refused(text, fields="+addr")
    assert "trace" in refused(text, fields="time,event,trace,addr")


def test_fields_that_a_line_has_not_are_told(refused):
    said = refused(line("7f0000001abc"), fields="comm,pid,tid,cpu,time,event,addr,phys_addr")
    assert said.startswith("line 1: has not the columns that --fields names")


@pytest.mark.parametrize("comm", ["dd", "a", "cafe"])
@pytest.mark.parametrize("at", ["-0", "5.1"])
def test_a_bad_sample_of_a_command_called_like_a_number_is_no_call_chain(refused, comm, at):
    text = line("7f0000001abc", comm=comm) + line("7f0000001abc", comm=comm, at=at)
    text = text.replace("5.1.000005", "6.123")
    assert refused(text).startswith("line 2: no perf script sample")


def test_what_perf_says_on_stderr_is_passed_over(run):
    text = "Failed to open /a b.so, continuing without symbols\nWarning:\n3 out of order events "
    text += "recorded.\n'trace' not valid for software events. Ignoring.\n" + line("7f0000001abc")
    assert run(text)[1]["vaddr"] == [FULL]


def test_lines_without_time_are_told_so_or_take_their_order(run, refused):
    text = " 25233 mem-loads:P:   7ffdf1391b0c   401136\n" * 3
    assert "without times" in refused(text)
    _report, log = run(text, fields="pid,event,addr,ip", order_as_time=1000)
    assert log["time_us"] == [0, 1000, 2000]
    assert log["vaddr"] == [0x7FFDF1391B0C] * 3


@pytest.mark.parametrize(
    "comm",
    [
        "Web Content 7 8",
        "12 34",
        "",
        ":908",
        "1.000000:",
        "x 5.123456: add",
        "[ET_NET 0]",
        "a: b:",
    ],
)
def test_a_command_may_be_called_like_anything(run, comm):
    _report, log = run(line("7f0000001abc", comm=comm))
    assert (log["pid"], log["cpu"], log["vaddr"]) == ([900], [1], [FULL])


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [("[-01]", -1), ("[-1]", -1), ("[12345]", 12345), ("[003] K  ", 3), ("[003] UE", 3)],
)
def test_cpus_of_any_number_and_what_stands_behind_them(run, cpu, expected):
    _report, log = run(line("7f0000001abc", cpu=cpu))
    assert (log["cpu"], log["vaddr"]) == ([expected], [FULL])


@pytest.mark.parametrize("cpu", ["40000", "1234567", "4294967295"])
def test_a_cpu_that_a_log_has_no_room_for_is_refused(refused, cpu):
    assert f"CPU {cpu}" in refused(line("7f0000001abc", cpu=f"[{cpu}]"))


def test_a_sample_that_is_printed_once_for_each_of_its_events_counts_once(run):
    names = ("l1d-miss", "l1d-access", "tlb-access", "memory")
    text = "".join(
        line(f"7f000000{page:x}abc  1f000{page:x}abc", event=f"{name}:", at=page)
        for page in range(1, 9)
        for name in names
    )
    report, log = run(text)
    assert len(log["pfn"]) == 8
    assert sum(report.left_out.values()) == 24
    twice = line("7f0000001abc", event="l1d-miss:") * 2 + line("7f0000001abc", event="memory:") * 2
    assert len(run(twice)[1]["pfn"]) == 2


def test_events_of_one_file_may_have_columns_of_their_own(run):
    text = line("7f0000001abc") + line("401136 f+0x1 (/a)", event="cycles:", at=6)
    report, log = run(text)
    assert log["vaddr"] == [FULL]
    assert any("event without address" in reason for reason in report.left_out)


def test_kernel_addresses_are_one_space_for_all_processes(run):
    text = "".join(
        f"a {pid}/{pid} [001] 5.00000{pid}: e: ffff888100001000\n" for pid in range(1, 4)
    )
    assert run(text)[0].pages == 1


def test_side_bands_and_trailers_are_passed_over_and_losses_told(run, tmp_path):
    text = (
        " systemd 0 [000] 0.000000: PERF_RECORD_COMM: systemd:1/1\n"
        + line("7f0000001abc")
        + line("", event="PERF_RECORD_LOST lost 120")
        + line("", event="PERF_RECORD_THROTTLE")
        + "VM:4242 VCPU:001 qemu 7/7 [001] 6.000000: mem-loads: 7f0000002abc\n"
        + "Processed 12 events and lost 1 chunks!\n\nCheck IO/CPU overload!\n\n"
    )
    report, log = run(text)
    assert len(log["pfn"]) == 2
    told = " / ".join(report.notes)
    for words in (
        "120 samples lost",
        "1 times the kernel",
        "1 samples are of guests",
        "1 chunks of",
    ):
        assert words in told
    assert metadata(tmp_path / "out.parquet").notes == report.notes


def test_page_faults_are_hint_faults_and_all_else_is_hardware(run, tmp_path):
    text = line("7f0000001abc", event="minor-faults:u:") + line("7f0000002abc", at=6)
    _report, log = run(text)
    assert log["source"] == [0, 1]
    assert metadata(tmp_path / "out.parquet").taken_by == "perf: minor-faults:u, mem-loads"
    assert run(text, source_name="hwhint")[1]["source"] == [1, 1]


def test_a_fault_that_is_retried_counts_once(run):
    text = "".join(f" 1/1 {at}: minor-faults: 7f0000001abc\n" for at in ("1.000000", "1.000050"))
    report, log = run(text)
    assert (len(log["pfn"]), report.left_out) == (1, {"the same fault again": 1})
    assert len(run(text.replace("1.000050", "1.500000"))[1]["pfn"]) == 2


CSV = {
    "time and address": ("time,address\n0,0x1000\n5,0x2000\n", [0x1000, 0x2000]),
    "other columns between": ("pc,time,x,vaddr\n9,0,,4096\n9,5,,8192\n", [0x1000, 0x2000]),
    "nanoseconds by name": ("time_ns,addr\n0,4096\n5000,8192\n", [0x1000, 0x2000]),
    "seconds by name": ("ts_s,va\n0.5,4096\n0.500005,8192\n", [0x1000, 0x2000]),
    "page numbers": ("time,pid,virtual_page\n0,1,0\n5,1,7\n", [0, 0x7000]),
    "a byte-order mark": ("\ufefftime,address\n0,4096\n5,8192\n", [0x1000, 0x2000]),
    "comments and quotes": ('# x\n\n"time","address"\n"0","4096"\n# y\n5,8192', [0x1000, 0x2000]),
    "0x and no header": ("0,0x1000\n5,0x2000\n", [0x1000, 0x2000]),
}


@pytest.mark.parametrize("what", CSV)
def test_csv_has_its_columns_by_name(run, what):
    text, addresses = CSV[what]
    report, log = run(text)
    assert (log["time_us"], log["vaddr"]) == ([0, 5], addresses)
    assert report.rows_in == 2


def test_what_else_a_row_says_is_kept(run):
    text = "time,paddr,pid,cpu,nid,type,weight\n1,0x1000,7,3,1,W,9\n2,0x2000,8,4,0,READ,1\n"
    _report, log = run(text + "3,0x3000,8,4,0,I,1\n")
    del log["time_us"]
    assert log == {
        "pfn": [1, 2], "nid": [1, 0], "source": [1, 1], "pid": [7, 8], "cpu": [3, 4],
        "write": [True, False], "weight": [9, 1],
    }  # fmt: skip


def test_columns_are_named_where_there_is_no_header(run):
    _report, log = run("1 77 0x7000 R\n2  77 0x8000 W\n", delimiter=" ", columns="time,-,va,type")
    assert (log["time_us"], log["vaddr"], log["write"]) == (
        [0, 1],
        [0x7000, 0x8000],
        [False, True],
    )
    _report, log = run("R 4096\nW 8192\n", delimiter=" ", columns="type,addr", order_as_time=10)
    assert log["time_us"] == [0, 100_000]


CSV_REFUSED = {
    "three columns": ("1,77,0x7000\n", "--columns"),
    "two decimal columns": ("1,4096\n", "--columns"),
    "perf stat": (" 1.000107234,5,,page-faults,1000238711,100.00,,\n", "--columns"),
    "a header without address": ("time,iter,latency\n1,2,3\n", "it has time, iter, latency"),
    "a header without time": ("cycle,pc,addr\n1,2,0x3000\n", "no column is named as a time"),
    "two of a kind": ("time,addr,vaddr\n1,2,3\n", "say the same"),
    "semicolons": ("time;address\n0;0x1000\n", "--delimiter ';'"),
    "tabs": ("time\taddress\n0\t0x1000\n", "--delimiter $'\\t'"),
    "blanks": ("0 0x1000\n", "--delimiter ' '"),
    "a simulator's": ("0x2000D5C0 READ  30\n", "--columns"),
    "a time that is no number": ("time,address\n1e3,4096\n", "line 2"),
    "thousands": ('time,address\n"1,000",4096\n', "line 2"),
    "hexadecimal without 0x": ("time,address\n1,7f00abcd\n", "line 2"),
    "an operation that is none": ("time,addr,type\n1,4096,X\n", "line 2: write: wants R or W"),
    "a CPU that is none": ("time,addr,cpu\n1,1,70000\n", "line 2: cpu: wants -1 to 32767"),
    "a page that is none": ("time,pfn\n1,0x10000000000000\n", "physical page: wants the number"),
    "a node that is none": ("time,addr,nid\n1,4096,7\n", "node 7"),
    "our own log": ("time_us,pfn,nid,source\n0,1,0,hwhint\n", "pghot replay"),
    "old Macs": ("time,address\r0,0x1000\r", "CR alone"),
    "nothing": ("time,address\n", "no usable access"),
}


@pytest.mark.parametrize("what", CSV_REFUSED)
def test_csv_that_says_too_little_is_refused(refused, what):
    text, words = CSV_REFUSED[what]
    assert words in refused(text)


def test_lackey_without_instructions_has_no_clock(run, refused):
    text = " L 10,4 \n S 2018,4\t\nSB 04001100\n"
    assert "--order-as-time" in refused(text)
    _report, log = run(text, order_as_time=1000)
    assert log["time_us"] == [0, 1000]


def test_lackey_names_a_programs_output_and_tells_of_a_short_trace(run, refused):
    assert "line 3: no lackey event" in refused("==7== Lackey\nI  10,4\nhello\n")
    text = "".join(f"I  0023C790,2\n S {page << 12:X},4\n" for page in range(1, 3001))
    report, _log = run(text, ips=1_000_000)
    assert any("2.999 ms of virtual time" in n and "--ips 299 " in n for n in report.notes)


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda content: lzma.compress(content[:9]) + lzma.compress(content[9:]),
        lambda content: pa.Codec("zstd").compress(content, asbytes=True),
        lambda content: b"\x50\x2a\x4d\x18\4\0\0\0size" + pa.compress(content, "zstd", True),
    ],
    ids=["gzip", "bzip2", "xz", "two xz", "zstd", "zstd of pzstd"],
)
def test_any_text_may_be_packed(run, refused, pack, capfd):
    text = "time,address\n" + "".join(f"{at},{at << 12}\n" for at in range(1, 20_000))
    packed = pack(text.encode())
    assert run(packed)[0].rows_out == 19_999
    assert capfd.readouterr().err == ""
    assert "damaged" in refused(packed[: len(packed) // 2])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<svg xmlns='x'>\n1,0x2000\n", "an SVG picture"),
        (b"<?xml version='1'?>\n<svg>\n", "an SVG picture"),
        (b"PK\x03\x04aaaa", "a zip archive; unpack it"),
        (b"PAR1aaaa", "Parquet; an access log is for pghot replay"),
        (b"\x17\x08\x44tracing6", "a trace-cmd recording"),
        ("a 1/1 1.000000: e: 7f00\n".encode("utf-16"), "UTF-16 text"),
        (b"\x7fELF\x02", "an ELF program"),
        (b"[[node]]\nid = 0\n", "TOML"),
        ("time,address\n".encode("utf-32"), "UTF-32 text; make it UTF-8: iconv -f UTF-32"),
        (lzma.compress(b"x", format=lzma.FORMAT_ALONE), "lzma, the old kind of xz; decompress"),
        (bytes(range(1, 120)) * 9, "binary data"),
        (zlib.compress(b"hello" * 9), "zlib-compressed data; decompress it"),
    ],
)
def test_files_of_other_kinds_are_named(refused, head, kind):
    assert f"is {kind}" in refused(head)


def test_pages_of_first_touch_fill_a_share_that_is_the_fast_nodes(run, tmp_path):
    text = "time_us,addr\n" + "".join(f"{at},{(at + 1) << 12}\n" for at in range(9))
    report, log = run(text)
    assert log["pfn"] == [0, 1, 2, *range(0x8000, 0x8006)]
    fast = metadata(tmp_path / "out.parquet").machine["node"][0]
    assert fast.get("free_pages", 0) == 0
    assert any("3 on the fast node, which is full" in note for note in report.notes)
    assert run(text, fast_share=0.7)[1]["pfn"][:7] == [*range(6), 0x8000]
    assert run(text, start="slow")[1]["pfn"] == list(range(0x8000, 0x8009))


@pytest.mark.parametrize(
    "options",
    [{"start": "x"}, {"fast_share": 1}, {"fast_share": 0}, {"order_as_time": 0}, {"page_size": 5}],
)
def test_options_of_placement_and_time_are_checked(refused, options):
    assert "wants" in refused("time,addr\n1,4096\n", **options)


def test_a_page_of_64_kib_is_one_page(run):
    text = "time,addr\n" + "".join(f"{at},{0x10000 + (at << 12)}\n" for at in range(17))
    assert run(text, page_size=64 << 10)[0].pages == 2
    assert run(text, page_size=16 << 10)[0].pages == 5
