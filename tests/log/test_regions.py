"""An address is in the region that was mapped there last, and has its name."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import pghot
from pghot.binning.forms import NamedRegionHeat
from pghot.driving.event_observer import EventObserver
from pghot.exploring.curve import curve
from pghot.log.convert.perf_maps import RECORD_MMAP, RECORD_MMAP2, mappings
from pghot.log.events import create_events
from pghot.log.parts import create_parts
from pghot.log.regions import MappedRegion, RegionNames, named, regions_of, to_extra
from pghot.log.schema import Metadata
from pghot.replaying.by_region import region_heats
from pghot.why.life import life_of
from pghot.why.page import parse_page

MAPS = [
    MappedRegion(7, 0x1000, 0x3000, "/usr/bin/redis"),
    MappedRegion(7, 0x10000, 0x20000, "[heap]"),
    MappedRegion(7, 0x40000, 0x50000, ""),
    MappedRegion(7, 0x60000, 0x70000, "//anon"),
    MappedRegion(8, 0x10000, 0x20000, "/lib/libc.so.6"),
    MappedRegion(7, 0x2000, 0x4000, "/srv/data (deleted)"),
]


def names_of(pid, *addresses):
    names = RegionNames(MAPS)
    found = names.of(np.full(len(addresses), pid), np.array(addresses, np.uint64))
    return [names.names[number] for number in found.tolist()]


def test_an_address_has_the_name_of_what_was_mapped_there_last():
    assert names_of(7, 0x1FFF, 0x2000, 0x3FFF, 0x4000) == [
        "file redis of process 7", "file data of process 7", "file data of process 7",
        "elsewhere",
    ]  # fmt: skip


def test_processes_have_addresses_of_their_own():
    assert names_of(8, 0x10000, 0x1000) == ["library libc.so.6 of process 8", "elsewhere"]
    assert names_of(9, 0x10000) == ["elsewhere"]


def test_anonymous_regions_are_numbered():
    assert names_of(7, 0x40000, 0x60000, 0x10000) == [
        "anonymous region 1 of process 7", "anonymous region 2 of process 7", "heap of process 7",
    ]  # fmt: skip


def test_anonymous_memory_that_has_grown_keeps_its_number():
    names = RegionNames(
        [MappedRegion(7, 0x5000, 0x6000, ""), MappedRegion(7, 0x1000, 0x2000, ""),
         MappedRegion(7, 0x4000, 0x8000, ""), MappedRegion(7, 0x2000, 0x3000, ""),
         MappedRegion(7, 0x1000, 0x8000, "")]
    )  # fmt: skip
    assert [name for name in names.names if "1 of" in name] == ["anonymous region 1 of process 7"]
    found = names.of(np.array([7, 7]), np.array([0x1000, 0x7000], np.uint64))
    assert {names.names[number] for number in found.tolist()} == {
        "anonymous region 2 of process 7"  # the last mapping is of the first that it overlaps
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [("[stack]", "stack"), ("[anon:jemalloc]", "jemalloc"), ("[vdso]", "vdso"),
     ("/dev/zero (deleted)", ""), ("/memfd:x (deleted)", "file memfd:x")],
)  # fmt: skip
def test_names_are_those_of_the_maps_in_words(text, name):
    assert named(text) == name


def test_a_log_keeps_them_and_what_is_no_mapping_is_passed_over():
    metadata = Metadata.from_json(Metadata(extra=to_extra(MAPS)).to_json())
    assert regions_of(metadata) == MAPS
    odd = [["a", 1, 2, "x"], [1, 5, 5, "x"], [1, 2], 7, [1, -1, 2, "x"], [1, 1, 2, "x"]]
    assert regions_of(Metadata(extra={"regions": odd})) == [MappedRegion(1, 1, 2, "x")]
    assert regions_of(Metadata(extra={"regions": "x"})) == regions_of(None) == []


def test_the_last_address_of_all_is_in_a_region():
    names = RegionNames([MappedRegion(1, (1 << 64) - 4096, 1 << 64, "[vsyscall]")])
    found = names.of(np.array([1]), np.array([(1 << 64) - 4096], np.uint64))
    assert names.names[found[0]] == "vsyscall of process 1"


class Stretch:
    """Records by their kind."""

    def __init__(self, records):
        self._records = records

    def records(self, kind):
        return ((0, np.frombuffer(body, np.uint8)) for at, body in self._records if at == kind)


class File:
    def __init__(self, *records):
        self.stretches = [Stretch(records)]


def mmap_body(pid, start, length, name, middle=b""):
    return struct.pack("<IIQQQ", pid, pid, start, length, 0) + middle + name + b"\0" * 8


def test_records_of_perf_are_read_and_the_kernel_s_are_not():
    file = File(
        (RECORD_MMAP, mmap_body(0xFFFFFFFF, 0, 1 << 40, b"[kernel.kallsyms]_text")),
        (RECORD_MMAP, mmap_body(5, 0x1000, 0x2000, b"//anon")),
        (RECORD_MMAP2, mmap_body(5, 0x9000, 0x1000, b"/lib/libm.so.6", b"\1" * 32)),
        (RECORD_MMAP, b"\0" * 20),
    )
    assert list(mappings(file)) == [
        MappedRegion(5, 0x1000, 0x3000, "//anon"),
        MappedRegion(5, 0x9000, 0xA000, "/lib/libm.so.6"),
    ]


def test_a_curve_is_drawn_for_each_region(tmp_path):
    path = tmp_path / "log.parquet"
    vaddr = np.array([0x10000, 0x40000, 0x10008, 0x11000, 0x99000], np.uint64)
    rows = {
        "time_us": np.arange(5, dtype=np.uint64), "pfn": vaddr >> np.uint64(12),
        "nid": np.zeros(5, np.int16), "source": np.ones(5, np.int8),
        "pid": np.full(5, 7, np.int32), "vaddr": vaddr,
    }  # fmt: skip
    metadata = Metadata(extra=to_extra(MAPS))
    with pghot.create_log(path, metadata, optional=("pid", "vaddr")) as writer:
        writer.write(rows)
    found = curve(path, by="region")
    assert {scope.name: scope.accesses for scope in found.scopes} == {
        "heap of process 7": 3, "elsewhere": 1, "anonymous region 1 of process 7": 1,
    }  # fmt: skip


def test_parts_of_a_recording_have_those_that_are_new_and_the_log_has_all(tmp_path):
    path = tmp_path / "log.parquet"
    rows = {
        "time_us": np.zeros(1, np.uint64), "pfn": np.ones(1, np.uint64),
        "nid": np.zeros(1, np.int16), "source": np.ones(1, np.int8),
    }  # fmt: skip
    with create_parts(path, Metadata(extra={"other": 1})) as writer:
        for part in (MAPS[:2], MAPS[2:]):
            writer.write(rows)
            writer.add_regions(part)
            writer.end_part()
        with pghot.open_log(writer.directory) as log:
            assert regions_of(log.metadata) == MAPS
    with pghot.open_log(path) as log:
        assert regions_of(log.metadata) == MAPS
        assert log.metadata.extra["other"] == 1


def test_a_replay_says_what_it_did_for_each_region(tmp_path):
    path = tmp_path / "log.parquet"
    vaddr = np.array([0x10000, 0x40000, 0x10008, 0x11000, 0x99000], np.uint64)
    rows = {
        "time_us": np.arange(5, dtype=np.uint64), "pfn": vaddr >> np.uint64(12),
        "nid": np.zeros(5, np.int16), "source": np.ones(5, np.int8),
        "pid": np.full(5, 7, np.int32), "vaddr": vaddr,
    }  # fmt: skip
    with pghot.create_log(path, Metadata(extra=to_extra(MAPS)), optional=("pid", "vaddr")) as log:
        log.write(rows)
    moved = [np.array([0x10, 0x99], np.uint64), np.array([0x10], np.uint64)]
    assert region_heats(path, moved) == [
        NamedRegionHeat(name="heap of process 7", accesses=3, promoted=1),
        NamedRegionHeat(name="elsewhere", accesses=1, promoted=1),
        NamedRegionHeat(name="anonymous region 1 of process 7", accesses=1, promoted=0),
    ]
    assert region_heats(tmp_path / "gone.parquet", []) == []


def test_why_names_the_region_of_a_replayed_page(tmp_path):
    path = tmp_path / "log.parquet"
    vaddr = np.array([0x10000, 0x40000] * 200, np.uint64)
    rows = {
        "time_us": np.arange(400, dtype=np.uint64) * np.uint64(1000),
        "pfn": np.uint64(32768) + (vaddr >> np.uint64(16)),
        "nid": np.zeros(400, np.int16), "source": np.ones(400, np.int8),
        "pid": np.full(400, 7, np.int32), "vaddr": vaddr,
    }  # fmt: skip
    with pghot.create_log(path, Metadata(extra=to_extra(MAPS)), optional=("pid", "vaddr")) as log:
        log.write(rows)
    fast = pghot.Node(0, 0, 32768, toptier=True, free_pages=100)
    machine = pghot.Machine((fast, pghot.Node(1, 32768, 32768, toptier=False)))
    with create_events(tmp_path / "events") as events:
        pghot.replay(path, machine, observer=EventObserver(events))
    for pfn, name in ((1, "heap"), (4, "anonymous region 1")):
        life = life_of(tmp_path / "events", parse_page(str(32768 + pfn)))
        assert life.region == f"{name} of process 7"
        assert len(life.of("recorded")) >= 1


def test_a_log_without_them_says_where_they_come_from(tmp_path):
    path = tmp_path / "log.parquet"
    rows = {
        "time_us": np.zeros(1, np.uint64), "pfn": np.ones(1, np.uint64),
        "nid": np.zeros(1, np.int16), "source": np.ones(1, np.int8),
        "pid": np.ones(1, np.int32), "vaddr": np.ones(1, np.uint64),
    }  # fmt: skip
    with pghot.create_log(path, Metadata(), optional=("pid", "vaddr")) as writer:
        writer.write(rows)
    with pytest.raises(pghot.InputError, match="does not hold what was mapped where"):
        curve(path, by="region")
