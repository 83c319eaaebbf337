"""`pghot run --metrics`: the mailbox's state for Prometheus, over HTTP (docs/metrics.md).

A scrape reads the last state in a thread of its own; the engine never waits for one.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pghot.driving.run_state import RunState
from pghot.errors import InputError, PghotError
from pghot.live.mailbox import Mailbox
from pghot.serving.address import parse_address
from pghot.serving.families import BUILD, COUNTERS, GAUGES, LATENCY, Family
from pghot.serving.http import MOST, Answer, PageServer
from pghot.workers import Tell, nobody

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric


@contextmanager
def metrics(
    mailbox: Mailbox[RunState], address: str, version: str, tell: Tell = nobody
) -> Iterator[str]:
    """Serve metrics at ADDRESS:PORT until the end; the URL.

    InputError where that is no address, PghotError where it cannot be listened at or
    prometheus-client is not installed.  `tell` hears what goes wrong meanwhile.
    """
    host, port = parse_address(address)
    try:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415
    except ImportError as error:
        raise PghotError(
            "--metrics needs prometheus-client: pip install 'pghot[metrics]'"
        ) from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(mailbox, version))
    server = PageServer(_listening(host, port, address), _Text(mailbox, registry), "metrics", tell)
    try:
        server.start()
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.port}/metrics"
    finally:
        server.close()


def _listening(host: str, port: int, address: str) -> socket.socket:
    try:
        (family, kind, number, _name, where), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"--metrics {address}: no such address") from error
    try:
        server = socket.socket(family, kind, number)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(where)
            server.listen(MOST)
        except BaseException:
            server.close()
            raise
    except OSError as error:
        raise PghotError(f"--metrics {address}: cannot listen there: {error.strerror}") from error
    return server


class _Text:
    """The page: made once a state, however often it is asked for."""

    def __init__(self, mailbox: Mailbox[RunState], registry: CollectorRegistry) -> None:
        self._mailbox = mailbox
        self._registry = registry
        self._made: tuple[object, str, bytes] = (None, "", b"")

    def __call__(self, _target: str, fields: Mapping[str, str]) -> Answer:
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

        encode, kind = choose_encoder(fields.get("accept", ""))
        state = self._mailbox.state()
        if self._made[0] is not state or self._made[1] != kind:
            self._made = state, kind, encode(self._registry)
        return Answer("200 OK", kind, self._made[2])


class Collector:
    """Makes metrics of a mailbox's last state; only those of the build before the first.

    A count that is put right downwards (a folio counted hot that turned out to wait still)
    stands until it is passed: to Prometheus a counter that falls is a restart.
    """

    def __init__(self, mailbox: Mailbox[RunState], version: str) -> None:
        self._mailbox = mailbox
        self._version = version
        self._most: dict[tuple[str, tuple[str, ...]], float] = {}

    def collect(self) -> Iterator[Metric]:
        """Every family with its samples."""
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        build = GaugeMetricFamily(*BUILD, labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        state = self._mailbox.state()
        if state is None:
            return
        for family in COUNTERS:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.samples(state):
                counter.add_metric(labels, self._grown(family, labels, value))
            yield counter
        for family in GAUGES:
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in family.samples(state):
                gauge.add_metric(labels, value)
            yield gauge
        yield _latency(state)

    def _grown(self, family: Family, labels: tuple[str, ...], value: float) -> float:
        key = family.name, labels
        self._most[key] = max(self._most.get(key, 0), value)
        return self._most[key]


def _latency(state: RunState) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    seconds = state.batch_seconds
    buckets = [(str(bound), float(count)) for bound, count in seconds.within]
    family = HistogramMetricFamily(*LATENCY)
    family.add_metric([], [*buckets, ("+Inf", float(seconds.count))], seconds.sum)
    return family
