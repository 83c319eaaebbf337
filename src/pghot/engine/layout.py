"""The two record layouts, as data (R1; patches 3 and 4).  A third is one entry more.

The functions here work on one record as a plain integer.  `records` holds the compiled
loops over arrays of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.units import jiffies_to_msecs, jiffies_within


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one record; `time` in units of `1 << time_bucket_shift` jiffies."""

    freq: int
    time: int
    nid: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a record keeps its fields.

    Frequency saturates.  Time is jiffies >> `time_bucket_shift`, its low `time_width` bits.
    `nid_width` of 0 means that no target node is kept: the global `target_nid` is used.
    """

    name: str
    dtype: type[np.uint8 | np.uint32]
    freq_shift: int
    freq_width: int
    time_shift: int
    time_width: int
    time_bucket_shift: int
    nid_width: int
    ready_bit: int
    default_window_ms: int

    @property
    def freq_max(self) -> int:
        """Where the frequency saturates, and the largest `freq_threshold`."""
        return (1 << self.freq_width) - 1

    @property
    def time_max(self) -> int:
        """Largest value of the time field."""
        return (1 << self.time_width) - 1

    @property
    def wrap(self) -> int:
        """Jiffies after which the time field repeats."""
        return 1 << (self.time_width + self.time_bucket_shift)

    @property
    def ready_mask(self) -> int:
        """The migrate-ready bit as a mask."""
        return 1 << self.ready_bit

    def time_of(self, now: int) -> int:
        """The time field of a record touched at `now` jiffies."""
        return now >> self.time_bucket_shift & self.time_max

    def latency(self, time: int, now: int) -> int:
        """The jiffies from a record's time field to `now`, modulo `wrap`.

        In default mode the low 7 bits of `now` are masked off first (R1.5).
        """
        elapsed = self.time_of(now) - time & self.time_max
        return elapsed << self.time_bucket_shift

    def latency_ms(self, time: int, now: int, hz: int) -> int:
        """The same in milliseconds: the series' pghot_access_latency()."""
        return jiffies_to_msecs(self.latency(time, now), hz)

    def fields(self, record: int) -> Fields:
        """Take a record apart."""
        return Fields(
            freq=record >> self.freq_shift & self.freq_max,
            time=record >> self.time_shift & self.time_max,
            nid=record & (1 << self.nid_width) - 1 if self.nid_width else -1,
            ready=bool(record & self.ready_mask),
        )

    def pack(self, fields: Fields) -> int:
        """Put a record together."""
        nid = fields.nid & (1 << self.nid_width) - 1
        return (
            nid
            | fields.freq << self.freq_shift
            | fields.time << self.time_shift
            | (self.ready_mask if fields.ready else 0)
        )

    def update(self, record: int, now: int, nid: int, rules: Rules) -> int:
        """The record after one access at `now` jiffies (R1.6 to R1.9, R12.1).

        `nid` is the target node; a layout that keeps none ignores it.
        """
        old = self.fields(record)
        new_window = self.latency(old.time, now) > rules.window
        freq = 1 if new_window else min(old.freq + 1, self.freq_max)
        ready = (rules.ready_stays and old.ready) or freq >= rules.freq_threshold
        return self.pack(Fields(freq, self.time_of(now), nid, ready))

    def consume(self, record: int) -> tuple[Fields | None, int]:
        """Take a record as kmigrated does: its fields and what is left of it.

        One that is not ready gives None and stays; a ready one is zeroed whole (R1.11).
        """
        fields = self.fields(record)
        return (fields, 0) if fields.ready else (None, record)

    def table(self, rules: Rules) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint32]:
        """What the compiled loops look up instead of working `update` out, flat.

        A layout of bytes: the next record, by time bucket and old record (8 KiB).  In
        default mode it depends on nothing else (docs/engine.md).  A wider one: the next
        frequency and ready bit, by whether the window is over and the old frequency.
        """
        return self._transitions(rules) if self.dtype is np.uint8 else self._frequencies(rules)

    def _transitions(self, rules: Rules) -> npt.NDArray[np.uint8]:
        old = np.arange(256)
        bucket = np.arange(self.time_max + 1)[:, None]
        freq = old >> self.freq_shift & self.freq_max
        age = (bucket - (old >> self.time_shift) & self.time_max) << self.time_bucket_shift
        freq = np.where(age > rules.window, 1, np.minimum(freq + 1, self.freq_max))
        ready = freq >= rules.freq_threshold
        if rules.ready_stays:
            ready |= old & self.ready_mask > 0
        new = freq << self.freq_shift | bucket << self.time_shift | ready * self.ready_mask
        return new.astype(np.uint8).ravel()

    def _frequencies(self, rules: Rules) -> npt.NDArray[np.uint32]:
        old = np.arange(self.freq_max + 1)
        freq = np.concatenate([np.minimum(old + 1, self.freq_max), np.ones_like(old)])
        ready = (freq >= rules.freq_threshold) * self.ready_mask
        return (freq << self.freq_shift | ready).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides an update: the window in jiffies, and the frequency that sets ready.

    `ready_stays`: a record that was ready still is after an update (R1.9), in v8 only by the
    update's own frequency (R12.1).
    """

    window: int
    freq_threshold: int
    ready_stays: bool = True

    @classmethod
    def of(
        cls, window_ms: int, freq_threshold: int, hz: int, *, ready_stays: bool = True
    ) -> Rules:
        """Make them from the tunables; a latency in ms exceeds the window as jiffies do."""
        return cls(jiffies_within(window_ms, hz), freq_threshold, ready_stays)


DEFAULT = Layout(
    name="default",
    dtype=np.uint8,
    freq_shift=0,
    freq_width=2,
    time_shift=2,
    time_width=5,
    time_bucket_shift=7,
    nid_width=0,
    ready_bit=7,
    default_window_ms=3000,
)
PRECISE = Layout(
    name="precise",
    dtype=np.uint32,
    freq_shift=10,
    freq_width=3,
    time_shift=13,
    time_width=14,
    time_bucket_shift=0,
    nid_width=10,
    ready_bit=31,
    default_window_ms=5000,
)
LAYOUTS = {layout.name: layout for layout in (DEFAULT, PRECISE)}
