"""Hotness records in both layouts (R1), as plain integers."""

from __future__ import annotations

from dataclasses import dataclass

U32 = 0xFFFFFFFF
UNKNOWN_NID = -1


def jiffies_to_msecs(jiffies: int, hz: int) -> int:
    """Milliseconds, rounded up, kept in 32 bits without a sign."""
    return -(-jiffies * 1000 // hz) & U32


@dataclass
class Compact:
    """One byte: frequency in bits 0-1, time bucket in bits 2-6, ready in bit 7."""

    hz: int
    window_ms: int = 3000
    freq_threshold: int = 2
    target_nid: int = 0
    ready_anew: bool = False
    """Whether an update forgets that a record was ready, as v8's does (R12.1)."""

    READY = 0x80
    MAX_FREQ = 3

    def nid_is_storable(self, _nid: int, _toptier_nids: set[int]) -> bool:
        return True

    def latency_ms(self, bucket: int, jiffies: int) -> int:
        """Time since the bucket began, up to the beginning of the present one."""
        whole_buckets = ((jiffies >> 7) - bucket) & 0x1F
        return jiffies_to_msecs(whole_buckets * 128, self.hz)

    def after_access(self, record: int, _nid: int, jiffies: int, nr: int = 1) -> int:
        freq = record & 0x3
        bucket = record >> 2 & 0x1F
        if self.latency_ms(bucket, jiffies) > self.window_ms:
            freq = min(nr, self.MAX_FREQ)
        else:
            freq = min(freq + nr, self.MAX_FREQ)
        ready = 0 if self.ready_anew else record & self.READY
        if freq >= self.freq_threshold:
            ready = self.READY
        return ready | (jiffies >> 7 & 0x1F) << 2 | freq

    def target_and_time(self, record: int) -> tuple[int, int]:
        return self.target_nid, record >> 2 & 0x1F


@dataclass
class Precise:
    """Four bytes: node in bits 0-9, frequency in 10-12, time in 13-26, ready in bit 31."""

    hz: int
    window_ms: int = 5000
    freq_threshold: int = 2
    target_nid: int = 0
    ready_anew: bool = False
    """Whether an update forgets that a record was ready, as v8's does (R12.1)."""

    READY = 0x80000000
    MAX_FREQ = 7

    def nid_is_storable(self, nid: int, toptier_nids: set[int]) -> bool:
        return nid == UNKNOWN_NID or (nid <= 0x3FF and nid in toptier_nids)

    def latency_ms(self, time: int, jiffies: int) -> int:
        return jiffies_to_msecs((jiffies - time) & 0x3FFF, self.hz)

    def after_access(self, record: int, nid: int, jiffies: int, nr: int = 1) -> int:
        if nid == UNKNOWN_NID:
            nid = self.target_nid
        freq = record >> 10 & 0x7
        time = record >> 13 & 0x3FFF
        if self.latency_ms(time, jiffies) > self.window_ms:
            freq = min(nr, self.MAX_FREQ)
        else:
            freq = min(freq + nr, self.MAX_FREQ)
        ready = 0 if self.ready_anew else record & self.READY
        if freq >= self.freq_threshold:
            ready = self.READY
        return ready | (jiffies & 0x3FFF) << 13 | freq << 10 | nid

    def target_and_time(self, record: int) -> tuple[int, int]:
        return record & 0x3FF, record >> 13 & 0x3FFF


LAYOUTS = {"default": Compact, "precise": Precise}
