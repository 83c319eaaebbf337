"""Links between CPUs and memory, as data, each with where its figures come from."""

from __future__ import annotations

from dataclasses import dataclass

from pghot.errors import InputError


@dataclass(frozen=True, slots=True)
class LinkKind:
    """Bandwidth and loaded latency of a kind of link.

    Latencies in ns when idle; caps in GB/s (bytes a ns) of what is read, what is written, and
    both together.  Under load the latency is L0 * (1 + a * sqrt(u) / (1 - c * u)), with u
    the utilisation.  `source` says what was measured, and what is assumed.
    """

    read_latency_ns: float
    write_latency_ns: float
    read_GBps: float
    write_GBps: float
    total_GBps: float
    a: float
    c: float
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("read_latency_ns", "write_latency_ns"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} of a link must be above zero")
        for name in ("read_GBps", "write_GBps", "total_GBps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} of a link must be above zero")
        if not 0 <= self.a < float("inf") or not 0 <= self.c < 1:
            raise InputError(f"a link's curve needs a >= 0 and 0 <= c < 1, not {self.a}, {self.c}")


@dataclass(frozen=True, slots=True)
class LoadedLatency:
    """A machine's loaded latency as fitted.

    `idle_ns` at the lightest load, `peak_GBps` read by the whole machine, `a` and `c` of the
    curve, `rms` the fit's relative error.
    """

    idle_ns: float
    peak_GBps: float
    a: float
    c: float
    rms: float


CURVES = {
    "ice-lake": LoadedLatency(91.2, 351.9, 0.167, 0.91, 0.016),
    "cascade-lake": LoadedLatency(82.2, 226.6, 0.202, 0.78, 0.016),
    "skylake": LoadedLatency(79.2, 221.6, 0.213, 0.75, 0.013),
    "broadwell": LoadedLatency(74.1, 145.3, 0.145, 0.91, 0.046),
    "haswell": LoadedLatency(89.5, 122.7, 0.080, 0.93, 0.042),
    "ivy-bridge": LoadedLatency(64.1, 110.7, 0.188, 0.90, 0.045),
}
"""Fits to published loaded-latency tables of DDR machines (Intel MLC)."""

_ICE = CURVES["ice-lake"]
_CXL = " Writes alone are taken to be as fast as reads alone, in the other direction."
_CURVE = " No loaded-latency table of CXL was found: the curve is Ice Lake's, an assumption."


def _ddr(name: str) -> LinkKind:
    curve = CURVES[name]
    peak = curve.peak_GBps
    source = (
        f"Loaded-latency table of a {name} machine, both sockets."
        " Writes are taken to cost what reads do: one bus serves both."
    )
    return LinkKind(curve.idle_ns, curve.idle_ns, peak, peak, peak, curve.a, curve.c, source)


def _cxl(latency_ns: float, read: float, total: float, source: str) -> LinkKind:
    text = source + _CXL + _CURVE
    return LinkKind(latency_ns, latency_ns, read, read, total, _ICE.a, _ICE.c, text)


KINDS = {
    "ddr": LinkKind(
        89.2, 89.2, 175.7, 175.7, 175.7, _ICE.a, _ICE.c,
        "One socket of Ice Lake, MLC 3.10: 89.2 ns, 175.7 GB/s read."
        " Writes are taken to cost what reads do: one bus serves both.",
    ),
    "remote-socket": LinkKind(
        142.7, 142.7, 55.7, 55.7, 111.4, _ICE.a, _ICE.c,
        "The other socket of Ice Lake, MLC 3.10: 142.7 ns, 55.7 GB/s read."
        " The link is taken to carry as much the other way, and both at once.",
    ),
    "cxl-x8-ocp": _cxl(
        250.0, 17.8, 27.2,
        "Gen5 x8 E3.S card of 96 GB (CacheLib, OCP demo): 250 ns; 17.8 GB/s read, 27.2 at 1:1."
        " The caps give 23.7 at 3:1 (23.6 measured) and 26.7 at 2:1 (25.1).",
    ),
    "cxl-x8-cz120": _cxl(
        250.0, 24.0, 36.0,
        "Micron CZ120, Gen5 x8: up to 36 GB/s at 2:1, so 24 of it read."
        " Latency is not given: that of the other x8 card, an assumption.",
    ),
    "cxl-292ns": _cxl(
        292.9, 31.0, 46.0,
        "A device that is not named, from its MLC dump: 292.9 ns; 31.0 GB/s read, 46.0 at 1:1."
        " The caps give 41.3 at 3:1 (43.7 measured).",
    ),
    "cxl-437ns": _cxl(
        437.5, 28.6, 28.6,
        "A device that is not named, from its MLC dump: 437.5 ns, 28.6 GB/s."
        " Taken to be the cap of both directions together.",
    ),
    "cmm-h": _cxl(
        505.0, 27.0, 27.0,
        "DRAM cache before NAND: 505 ns, 27 GB/s, from a remark at second hand.",
    ),
    **{f"ddr-{name}": _ddr(name) for name in CURVES},
}  # fmt: skip
"""Known kinds by name."""


def kind(name: str) -> LinkKind:
    """A known kind; raises `InputError` for a name that is none."""
    if name not in KINDS:
        raise InputError(f"no link kind is named {name!r}; known: {', '.join(KINDS)}")
    return KINDS[name]
