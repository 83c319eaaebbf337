"""Arm's Statistical Profiling Extension (SPE), as sysfs describes it.

drivers/perf/arm_spe_pmu.c: a PMU `arm_spe_N` for the CPUs of its `cpumask`, an event whose
samples are packets in an AUX buffer.  Which bits a term goes to, its format files say.
"""

from __future__ import annotations

from typing import NamedTuple

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf.attr import CLOCK_MONOTONIC, EventAttr, Flag, Sample
from pghot.linux.perf.pmu import Pmu, encode, pmu_names, read_pmu

NAME = "arm_spe_"

PERIOD = 10_000
"""Operations between two samples on each CPU, jitter added; never below the PMU's least."""

LOAD_LATENCY = 30
"""Cycles that an operation must take to be kept: about what perf mem asks of loads elsewhere."""

SAMPLE_TYPE = Sample.TID | Sample.TIME | Sample.CPU
"""Of the records beside the packets: each says who and when."""

NEEDED = ("ts_enable", "pa_enable", "load_filter", "store_filter")
"""Terms without which packets are of no use: time and physical address, loads and stores."""

_WANTED = {"jitter": 1, "min_latency": LOAD_LATENCY}


class SpeEvents(NamedTuple):
    """What to open on each of `cpus` (None: any); `what` says it in words."""

    pmu: str
    event: EventAttr
    cpus: tuple[int, ...] | None
    what: str


AUX_WATERMARK = 4096
"""Bytes of packets after which they are made known: some 60 samples or more."""


def find_spe_events(host: Host, period: int = PERIOD) -> list[SpeEvents]:
    """Every SPE of the host whose packets can tell time and physical address."""
    pmus = [read_pmu(host, name) for name in pmu_names(host) if name.startswith(NAME)]
    return [spe_events(pmu, period) for pmu in pmus if pmu and not lacks(pmu)]


def why_no_spe(host: Host) -> str | None:
    """Why the SPE that is there is of no use; None where there is none, or one can be used."""
    pmus = [read_pmu(host, name) for name in pmu_names(host) if name.startswith(NAME)]
    missing = [lacks(pmu) for pmu in pmus if pmu]
    if not missing or not all(missing):
        return None
    return f"Arm SPE without {', '.join(missing[0])}"


def lacks(pmu: Pmu) -> list[str]:
    """The terms that are needed and that the PMU's format has not."""
    return [term for term in NEEDED if term not in pmu.format]


def spe_events(pmu: Pmu, period: int = PERIOD) -> SpeEvents:
    """The loads and stores of all processes, with times and both addresses."""
    terms = dict.fromkeys(NEEDED, 1)
    terms |= {term: value for term, value in _WANTED.items() if term in pmu.format}
    event = EventAttr(
        type=pmu.type,
        **encode(pmu, terms)._asdict(),
        sample_period=max(period, _least_period(pmu)),
        sample_type=SAMPLE_TYPE,
        flags=Flag.EXCLUDE_KERNEL | Flag.DISABLED | Flag.SAMPLE_ID_ALL,
        aux_watermark=AUX_WATERMARK,
        clockid=CLOCK_MONOTONIC,
    )
    return SpeEvents(pmu.name, event, pmu.cpus, f"Arm SPE ({pmu.name})")


def _least_period(pmu: Pmu) -> int:
    text = pmu.caps.get("min_interval", "0")
    try:
        return int(text, 0)
    except ValueError:
        raise PghotError(f"{pmu.name}: caps/min_interval is {text!r}, no number") from None
