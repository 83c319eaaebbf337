"""Whoever connects to the port of metrics, and however often: the run goes on, a scrape works."""

from __future__ import annotations

import errno
import resource
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pghot.errors import PghotError
from pghot.linux.processes import raise_nofile
from pghot.live.mailbox import Mailbox
from pghot.serving import http
from pghot.serving.control import control
from pghot.serving.metrics import metrics
from pghot.workers import Worker


@pytest.fixture
def url() -> Iterator[str]:
    with metrics(Mailbox(), ":0", "0.1.0") as url:
        yield url


def connect(url: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port(url)), timeout=90)
    client.settimeout(90)
    return client


def port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=90) as answer:
        return answer.read().decode()


@contextmanager
def many(url: str, count: int) -> Iterator[list[socket.socket]]:
    clients = []
    try:
        clients.extend(connect(url) for _ in range(count))
        yield clients
    finally:
        for client in clients:
            client.close()


def test_idle_connections_take_neither_descriptors_nor_a_scrapes_turn(url: str) -> None:
    with many(url, 200):
        assert "pghot_build_info" in scraped(url)


def test_there_are_never_more_than_so_many(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    real = http.PageServer._accept

    def accept(server: http.PageServer, selector: object) -> None:
        real(server, selector)
        taken.append(server.connections)

    monkeypatch.setattr(http.PageServer, "_accept", accept)
    with many(url, 3 * http.MOST):
        scraped(url)
    assert max(taken) == http.MOST


def test_the_one_that_has_waited_longest_makes_room(url: str) -> None:
    with many(url, http.MOST + 1) as clients:
        assert clients[0].recv(1) == b""
        clients[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert clients[-1].recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_who_says_nothing_is_hung_up_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE_S", 0.0)
    with connect(url) as client:
        client.sendall(b"GET / HT")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET /any?x=1 HTTP/1.0\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"POST / HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"\r\n\r\n", b"400 Bad Request"),
        (b"GET / SMTP\r\n\r\n", b"400 Bad Request"),
        (b"GET /\xff\x00 HTTP/1.1\r\n:\r\n\r\n", b"200 OK"),
        (b"x" * (http.LONGEST + 1), b"431 Request Header Fields Too Large"),
    ],
)
def test_whatever_is_asked_is_answered(url: str, asked: bytes, status: bytes) -> None:
    with connect(url) as client:
        client.sendall(asked)
        assert client.recv(200).startswith(b"HTTP/1.1 " + status + b"\r\n")


def test_a_page_is_made_once_a_state_however_often_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    monkeypatch.setattr(
        "pghot.serving.metrics.Collector.collect", lambda _: made.append(1) or iter(())
    )
    mailbox = Mailbox()
    with metrics(mailbox, ":0", "0.1.0") as url:
        for _ in range(5):
            scraped(url)
        assert made == [1]


def test_without_a_descriptor_nobody_is_let_in_for_a_while_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    real = socket.socket.accept
    scarce = [errno.EMFILE, errno.ENFILE]

    def accept(server: socket.socket):
        if scarce:
            number = scarce.pop()
            raise OSError(number, "Too many open files")
        return real(server)

    monkeypatch.setattr(http, "_REST_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", accept)
    with metrics(Mailbox(), ":0", "0.1.0", told.append) as url:
        assert "pghot_build_info" in scraped(url)
    assert told == ["metrics: Too many open files; nobody is let in meanwhile"]


def test_a_page_that_cannot_be_made_is_told_and_the_next_one_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    fails = [ZeroDivisionError("a mistake")]
    monkeypatch.setattr("pghot.workers.PAUSE_S", 0.0)

    def page(_target: str, _fields: object) -> http.Answer:
        if fails:
            raise fails.pop()
        return http.Answer("200 OK", "text/plain", b"served")

    with socket.create_server(("127.0.0.1", 0)) as listens:
        server = http.PageServer(listens, page, "metrics", told.append)
        server.start()
        url = f"http://127.0.0.1:{server.port}/"
        with connect(url) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionError):
                assert client.recv(1) == b""
        assert scraped(url) == "served"
        server.close()
    assert told == ["metrics: a mistake; begun again"]


def test_a_thread_that_keeps_dying_is_given_up_and_every_death_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pghot.workers.PAUSE_S", 0.0)
    told: list[str] = []

    def dies() -> None:
        raise OSError(errno.EIO, "Input/output error")

    worker = Worker("reload", dies, told.append, again=2)
    worker.start()
    until = time.monotonic() + 90
    while worker.alive and time.monotonic() < until:
        time.sleep(0.001)
    assert told == [
        "reload: Input/output error; begun again",
        "reload: Input/output error; begun again",
        "reload: Input/output error; given up; the run goes on without",
    ]


def test_the_end_does_not_wait_for_a_thread_that_hangs() -> None:
    never = threading.Event()
    worker = Worker("notify", never.wait)
    worker.start()
    assert not worker.end(0.01)
    never.set()
    assert worker.end(30)


def test_a_thread_that_the_system_has_not_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with (
        pytest.raises(PghotError, match=r"^metrics: can't start new thread$"),
        metrics(Mailbox(), ":0", "0.1.0"),
    ):
        pass


def test_a_client_for_whom_there_is_no_thread_is_turned_away_and_the_next_is_not(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    about = {"pid": 1, "version": "0", "command": "pghot"}
    real = threading.Thread.start
    with control(Mailbox(), tmp_path / "a.sock", about, told.append):

        def start(_thread: threading.Thread) -> None:
            monkeypatch.setattr(threading.Thread, "start", real)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        for greeting in (b"", b"{"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(90)
                client.connect(str(tmp_path / "a.sock"))
                assert client.recv(1) == greeting
    assert told == ["control: can't start new thread; a client was turned away"]


def test_a_run_may_have_as_many_descriptors_as_its_hard_limit_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
        raise_nofile._BEFORE.clear()
        raise_nofile.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        raise_nofile.lower_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(512, hard), hard)
    finally:
        raise_nofile._BEFORE.clear()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
