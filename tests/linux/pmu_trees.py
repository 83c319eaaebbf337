"""PMUs of the processors that there are, as sysfs shows them: what events and formats each has.

The kernel's source says which (arch/x86/events/intel/core.c, arch/x86/events/amd/ibs.c,
drivers/perf/arm_spe_pmu.c).  None was taken on the hardware that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.linux.perf_rig import DEVICES, put

_CORE = {
    "format/event": "config:0-7",
    "format/umask": "config:8-15",
    "format/edge": "config:18",
    "format/inv": "config:23",
    "format/cmask": "config:24-31",
    "format/offcore_rsp": "config1:0-63",
    "format/ldlat": "config1:0-15",
}
_WIDE = _CORE | {"format/umask": "config:8-15,40-47", "format/eq": "config:36"}
"""Of cores with a second part of the unit mask (Lunar Lake on)."""


def _intel(
    loads: str, stores: str, aux: str = "", base: Mapping[str, str] = _CORE, number: int = 4
) -> dict[str, str]:
    events = {"events/mem-loads": loads, "events/mem-stores": stores, "events/mem-loads-aux": aux}
    return {"type": str(number), **base, **{name: text for name, text in events.items() if text}}


_CD = "event=0xcd,umask=0x1,ldlat=3"
_CD_STORES = "event=0xcd,umask=0x2"
_D0_STORES = "event=0xd0,umask=0x82"
_ATOM = ("event=0xd0,umask=0x5,ldlat=3", "event=0xd0,umask=0x6")
_AUX = "event=0x03,umask=0x82"
_IBS = {
    "type": "10",
    "format/cnt_ctl": "config:19",
    "caps/zen4_ibs_extensions": "1",
    "format/l3missonly": "config:16",
    "format/swfilt": "config2:0",
    "format/ldlat": "config1:0-11",
}
_SPE = {
    "type": "11",
    "cpumask": "0-3",
    "format/ts_enable": "config:0",
    "format/pa_enable": "config:1",
    "format/pct_enable": "config:2",
    "format/jitter": "config:16",
    "format/branch_filter": "config:32",
    "format/load_filter": "config:33",
    "format/store_filter": "config:34",
    "format/event_filter": "config1:0-63",
    "format/min_latency": "config2:0-11",
    "caps/min_interval": "1024",
    "caps/ernd": "1",
}


def _without(files: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.rpartition("/")[2] not in names}


Pmus = dict[str, Mapping[str, str]]

TREES: dict[str, Pmus] = {
    "Nehalem": {"cpu": _intel("event=0x0b,umask=0x10,ldlat=3", "")},
    "Sandy Bridge": {"cpu": _intel(_CD, _CD_STORES)},
    "Haswell": {"cpu": _intel(_CD, _D0_STORES)},
    "Ice Lake, adaptive PEBS": {
        "cpu": _intel(_CD, _D0_STORES) | {"caps/branches": "32", "caps/max_precise": "3"}
    },
    "Sapphire Rapids": {"cpu": _intel(_CD, _CD_STORES, _AUX)},
    "Granite Rapids": {
        "cpu": _intel(_CD, _CD_STORES, _AUX) | {"format/snoop_rsp": "config1:0-63"}
    },
    "Alder Lake": {
        "cpu_core": _intel(_CD, _CD_STORES, _AUX) | {"cpus": "0-3"},
        "cpu_atom": _intel(*_ATOM, number=10) | {"cpus": "4-7"},
    },
    "Lunar Lake": {
        "cpu_core": _intel(_CD, _CD_STORES, base=_WIDE) | {"cpus": "0-3"},
        "cpu_atom": _intel(*_ATOM, base=_WIDE, number=10) | {"cpus": "4-7"},
    },
    "Arrow Lake H": {
        "cpu_core": _intel(_CD, _CD_STORES, base=_WIDE) | {"cpus": "0-1"},
        "cpu_atom": _intel(*_ATOM, base=_WIDE, number=10) | {"cpus": "2-5"},
        "cpu_lowpower": _intel(*_ATOM, number=11) | {"cpus": "6-7"},
    },
    "Sierra Forest": {"cpu": _intel(*_ATOM)},
    "Silvermont": {"cpu": _intel("", "")},
    "Zen 3": {"ibs_op": _without(_IBS, "zen4_ibs_extensions", "l3missonly", "swfilt", "ldlat")},
    "Zen 3, swfilt": {"ibs_op": _without(_IBS, "zen4_ibs_extensions", "l3missonly", "ldlat")},
    "Zen 4": {"ibs_op": _without(_IBS, "swfilt", "ldlat")},
    "Zen 4, swfilt": {"ibs_op": _without(_IBS, "ldlat")},
    "Zen 5": {"ibs_op": _IBS},
    "IBS that counts cycles alone": {"ibs_op": {"type": "10"}},
    "Neoverse": {"arm_spe_0": _SPE},
    "two kinds of SPE": {
        "arm_spe_0": _SPE,
        "arm_spe_1": _without(_SPE, "min_latency", "jitter", "ernd")
        | {"type": "12", "cpumask": "4-7", "caps/min_interval": "16384"},
    },
    "SPE with inverted filters": {
        "arm_spe_0": _SPE
        | {"format/inv_event_filter": "config3:0-63", "format/discard": "config:35"}
    },
    "SPE without physical addresses": {"arm_spe_0": _without(_SPE, "pa_enable")},
}
"""By processor: files by PMU."""


def pmu_tree(directory: Path, name: str) -> Path:
    """Lay the PMUs of a processor out below `directory`, with eight CPUs on node 0."""
    put(directory, "/sys/devices/system/cpu/online", "0-7")
    put(directory, "/sys/devices/system/node/node0/cpulist", "0-7")
    for pmu, files in TREES[name].items():
        for file, text in files.items():
            put(directory, f"{DEVICES}/{pmu}/{file}", text)
    return directory
