"""Registers of instruction-based sampling by the names that the series gives them.

Patch 6: the capability word and the control registers of IBS itself.  Patch 7: the IBS
Memory Profiler.  A register's fields are a table of name and mask; `decode` reads all of
them, `field` one.
"""

from __future__ import annotations

from collections.abc import Mapping

from pghot.errors import InputError

IBS_CPUID_FEATURES = 0x8000_001B

IBSCTL = 0x1CC
"""Where the entries of the extended APIC are chosen in PCI space."""

MSR_AMD64_IBSCTL = 0xC001_103A
"""What was chosen there (arch/x86/include/asm/msr-index.h)."""

MSR_AMD64_IBS_MPROF_CTL = 0xC001_0380
MSR_AMD64_IBS_MPROF_CTL2 = 0xC001_0381
MSR_AMD64_IBS_MPROF_DATA2 = 0xC001_0382
MSR_AMD64_IBS_MPROF_DATA3 = 0xC001_0383
MSR_AMD64_IBS_MPROF_LINADDR = 0xC001_0384
MSR_AMD64_IBS_MPROF_PHYADDR = 0xC001_0385

CAPS: Mapping[str, int] = {
    "IBS_CAPS_AVAIL": 1 << 0,
    "IBS_CAPS_FETCHSAM": 1 << 1,
    "IBS_CAPS_OPSAM": 1 << 2,
    "IBS_CAPS_RDWROPCNT": 1 << 3,
    "IBS_CAPS_OPCNT": 1 << 4,
    "IBS_CAPS_BRNTRGT": 1 << 5,
    "IBS_CAPS_OPCNTEXT": 1 << 6,
    "IBS_CAPS_RIPINVALIDCHK": 1 << 7,
    "IBS_CAPS_OPBRNFUSE": 1 << 8,
    "IBS_CAPS_FETCHCTLEXTD": 1 << 9,
    "IBS_CAPS_OPDATA4": 1 << 10,
    "IBS_CAPS_ZEN4": 1 << 11,
    "IBS_CAPS_OPLDLAT": 1 << 12,
    "IBS_CAPS_DIS": 1 << 13,
    "IBS_CAPS_FETCHLAT": 1 << 14,
    "IBS_CAPS_BIT63_FILTER": 1 << 15,
    "IBS_CAPS_STRMST_RMTSOCKET": 1 << 16,
    "IBS_CAPS_MEM_PROFILER": 1 << 18,
    "IBS_CAPS_OPDTLBPGSIZE": 1 << 19,
}
"""Bits of CPUID 0x8000001B EAX that have a name; 17 and those above 19 have none."""

IBS_CAPS_MEM_PROFILER = CAPS["IBS_CAPS_MEM_PROFILER"]
IBS_CAPS_DEFAULT = CAPS["IBS_CAPS_AVAIL"] | CAPS["IBS_CAPS_FETCHSAM"] | CAPS["IBS_CAPS_OPSAM"]

IBSCTL_LVT: Mapping[str, int] = {
    "IBSCTL_LVT_OFFSET_MASK": 0x0F,
    "IBSCTL_LVT_OFFSET_VALID": 1 << 8,
    "IBSCTL_MPROF_LVT_OFFSET_MASK": 0xF << 16,
    "IBSCTL_MPROF_LVT_OFFSET_VALID": 1 << 24,
}

FETCH_CTL: Mapping[str, int] = {
    "IBS_FETCH_MAX_CNT": 0xFFFF,
    "IBS_FETCH_CNT": 0xFFFF << 16,
    "IBS_FETCH_ENABLE": 1 << 48,
    "IBS_FETCH_VAL": 1 << 49,
    "IBS_FETCH_RAND_EN": 1 << 57,
    "IBS_FETCH_L3MISSONLY": 1 << 59,
}
FETCH_CTL2: Mapping[str, int] = {
    "IBS_FETCH_2_DIS": 1 << 0,
    "IBS_FETCH_2_FETCHLAT_FILTER": 0xF << 1,
    "IBS_FETCH_2_EXCL_RIP_63_EQ_1": 1 << 5,
    "IBS_FETCH_2_EXCL_RIP_63_EQ_0": 1 << 6,
}
OP_CTL: Mapping[str, int] = {
    "IBS_OP_MAX_CNT": 0xFFFF,
    "IBS_OP_L3MISSONLY": 1 << 16,
    "IBS_OP_ENABLE": 1 << 17,
    "IBS_OP_VAL": 1 << 18,
    "IBS_OP_CNT_CTL": 1 << 19,
    "IBS_OP_MAX_CNT_EXT_MASK": 0x7F << 20,
    "IBS_OP_CUR_CNT_RAND": 0x0007F << 32,
    "IBS_OP_CUR_CNT": 0xFFF80 << 32,
    "IBS_OP_CUR_CNT_EXT_MASK": 0x7F << 52,
    "IBS_OP_LDLAT_THRSH": 0xF << 59,
    "IBS_OP_LDLAT_EN": 1 << 63,
}
OP_DATA: Mapping[str, int] = {"IBS_RIP_INVALID": 1 << 38}
OP_CTL2: Mapping[str, int] = {
    "IBS_OP_2_DIS": 1 << 0,
    "IBS_OP_2_EXCL_RIP_63_EQ_0": 1 << 1,
    "IBS_OP_2_EXCL_RIP_63_EQ_1": 1 << 2,
    "IBS_OP_2_STRM_ST_FILTER": 1 << 3,
}

MPROF_CTL: Mapping[str, int] = {
    "IBS_MPROF_CTL_MAXCNT_MASK": 0xFFFF,
    "IBS_MPROF_CTL_L3MISSONLY": 1 << 16,
    "IBS_MPROF_CTL_ENABLE": 1 << 17,
    "IBS_MPROF_CTL_VAL": 1 << 18,
    "IBS_MPROF_CTL_CNT_CTL": 1 << 19,
    "IBS_MPROF_CTL_MAXCNT_EXT_MASK": 0x7F << 20,
}
MPROF_CTL2: Mapping[str, int] = {
    "IBS_MPROF_CTL2_DISABLE": 1 << 0,
    "IBS_MPROF_CTL2_EXCLUDE_USER": 1 << 1,
    "IBS_MPROF_CTL2_EXCLUDE_KERNEL": 1 << 2,
}
MPROF_DATA2: Mapping[str, int] = {
    "IBS_MPROF_DATA2_DATASRC_MASK": 0x7,
    "IBS_MPROF_DATA2_RMT_NODE": 1 << 4,
    "IBS_MPROF_DATA2_DATASRC_MASK_HIGH": 0xC0,
    "IBS_MPROF_DATA2_RMT_SOCKET": 1 << 9,
}
MPROF_DATA3: Mapping[str, int] = {
    "IBS_MPROF_DATA3_LDOP": 1 << 0,
    "IBS_MPROF_DATA3_STOP": 1 << 1,
    "IBS_MPROF_DATA3_DCMISS": 1 << 7,
    "IBS_MPROF_DATA3_LADDR_VALID": 1 << 17,
    "IBS_MPROF_DATA3_PADDR_VALID": 1 << 18,
    "IBS_MPROF_DATA3_L2MISS": 1 << 20,
    "IBS_MPROF_DATA3_SW_PREFETCH": 1 << 21,
}

DATASRC: Mapping[str, int] = {
    "IBS_MPROF_DATA2_DATASRC_LCL_CCX": 0x1,
    "IBS_MPROF_DATA2_DATASRC_PEER_CCX_NEAR": 0x2,
    "IBS_MPROF_DATA2_DATASRC_DRAM": 0x3,
    "IBS_MPROF_DATA2_DATASRC_CCX_FAR": 0x5,
    "IBS_MPROF_DATA2_DATASRC_EXT_MEM": 0x8,
}
"""Where the data of an access came from, as `data_source` gives it."""

DATASRC_DRAM = DATASRC["IBS_MPROF_DATA2_DATASRC_DRAM"]
DATASRC_EXT_MEM = DATASRC["IBS_MPROF_DATA2_DATASRC_EXT_MEM"]
DATASRC_MASK = MPROF_DATA2["IBS_MPROF_DATA2_DATASRC_MASK"]
DATASRC_MASK_HIGH = MPROF_DATA2["IBS_MPROF_DATA2_DATASRC_MASK_HIGH"]
DATASRC_MASK_HIGH_SHIFT = 3

CTL_VAL = MPROF_CTL["IBS_MPROF_CTL_VAL"]
CTL_ENABLE = MPROF_CTL["IBS_MPROF_CTL_ENABLE"]
CTL_L3MISSONLY = MPROF_CTL["IBS_MPROF_CTL_L3MISSONLY"]
CTL_CNT_CTL = MPROF_CTL["IBS_MPROF_CTL_CNT_CTL"]
MAXCNT_MASK = MPROF_CTL["IBS_MPROF_CTL_MAXCNT_MASK"]
MAXCNT_EXT_MASK = MPROF_CTL["IBS_MPROF_CTL_MAXCNT_EXT_MASK"]
CTL2_DISABLE = MPROF_CTL2["IBS_MPROF_CTL2_DISABLE"]
CTL2_EXCLUDE_KERNEL = MPROF_CTL2["IBS_MPROF_CTL2_EXCLUDE_KERNEL"]
RMT_NODE = MPROF_DATA2["IBS_MPROF_DATA2_RMT_NODE"]
LADDR_VALID = MPROF_DATA3["IBS_MPROF_DATA3_LADDR_VALID"]
PADDR_VALID = MPROF_DATA3["IBS_MPROF_DATA3_PADDR_VALID"]

IBS_MPROF_SAMPLE_PERIOD = 10_000
PERIODS = range(16, 1 << 27)
"""Periods that the two fields of the count can hold, but for their low four bits."""


def field(word: int, mask: int) -> int:
    """The field under the mask, moved down to bit 0."""
    return (word & mask) >> ((mask & -mask).bit_length() - 1)


def decode(word: int, fields: Mapping[str, int]) -> dict[str, int]:
    """Every field of the table by its name, a single bit as 0 or 1."""
    return {name: field(word, mask) for name, mask in fields.items()}


def decode_caps(eax: int) -> list[str]:
    """The names of the bits that are set in CPUID 0x8000001B EAX.

    A bit without a name is given as `bit N`.
    """
    names = {mask: name for name, mask in CAPS.items()}
    bits = (bit for bit in range(32) if eax >> bit & 1)
    return [names.get(1 << bit, f"bit {bit}") for bit in bits]


def encode_period(period: int) -> int:
    """The two fields of the count in MPROF_CTL, as patch 7 puts them together.

    Bits 4-19 of the period go to bits 0-15, bits 20-26 stay where they are, and the low four
    are lost: the hardware takes them to be 0.  10,000 is 625 times 16, so nothing is lost of
    it, and the extended field stays 0.

    Raises `InputError` for a period that the fields cannot hold.
    """
    if period not in PERIODS:
        raise InputError(f"a sampling period is {PERIODS.start} to {PERIODS.stop - 1}: {period}")
    return (period >> 4) & MAXCNT_MASK | period & MAXCNT_EXT_MASK


def programmed_period(ctl: int) -> int:
    """The ops that the count in MPROF_CTL stands for, a multiple of 16."""
    return (ctl & MAXCNT_MASK) << 4 | ctl & MAXCNT_EXT_MASK


def profiling_ctl(period: int = IBS_MPROF_SAMPLE_PERIOD) -> int:
    """The MPROF_CTL that starts profiling: ops are counted, L3 misses alone taken."""
    return encode_period(period) | CTL_CNT_CTL | CTL_ENABLE | CTL_L3MISSONLY


def data_source(data2: int) -> int:
    """The data source of MPROF_DATA2: bits 0-2, and bits 6-7 above them."""
    return data2 & DATASRC_MASK | (data2 & DATASRC_MASK_HIGH) >> DATASRC_MASK_HIGH_SHIFT


def encode_source(source: int) -> int:
    """The MPROF_DATA2 of a data source."""
    high = source << DATASRC_MASK_HIGH_SHIFT & DATASRC_MASK_HIGH
    return source & DATASRC_MASK | high


def mprof_lvt_offset(ibsctl: int) -> int | None:
    """The profiler's entry in the APIC's extended table, None where it is not valid."""
    if not ibsctl & IBSCTL_LVT["IBSCTL_MPROF_LVT_OFFSET_VALID"]:
        return None
    return field(ibsctl, IBSCTL_LVT["IBSCTL_MPROF_LVT_OFFSET_MASK"])
