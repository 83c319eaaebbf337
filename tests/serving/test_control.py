"""The control socket: who may use it, what it says, and what it never does."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pghot.engine.errors import TunableError
from pghot.engine.tunables import TUNABLES
from pghot.engine.vmstat import ORDER
from pghot.errors import InputError, PghotError
from pghot.files.listening import listening
from pghot.live.mailbox import Mailbox
from pghot.serving import control as controls
from pghot.serving import protocol
from pghot.serving.client import Client, find_run
from pghot.serving.control import control
from pghot.serving.sockets import live_sockets, private_directory, socket_of
from tests.published import published_state

ABOUT = {"pid": 4711, "version": "0.1.0", "command": "pghot run -p 40"}


class Run:
    """A run's thread: does what waits at its mailbox, and has one tunable that refuses."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.tunables = dict.fromkeys(TUNABLES, 2)
        self.over = threading.Event()
        self.publish()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def publish(self) -> None:
        tables = {"tunables": dict(self.tunables), "vmstat": dict.fromkeys(ORDER, 7)}
        self.mailbox.publish(published_state(accesses=1, **tables))

    def end(self) -> None:
        self.over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self.over.wait(0.005):
            self.mailbox.attend(self._write)
        self.mailbox.close()

    def _write(self, name: str, text: str) -> None:
        if text == "9":
            raise TunableError(errno.EINVAL, f"{name}: '9' is not within 1..3")
        self.tunables[name] = int(text)
        self.publish()


@pytest.fixture
def served():
    run = Run()
    yield run
    run.end()


@pytest.fixture
def path(tmp_path, served):
    path = socket_of(private_directory(tmp_path / "ctl"), 4711)
    with control(served.mailbox, path, ABOUT):
        yield path
        served.end()


@pytest.fixture
def client(path):
    with Client(path) as client:
        yield client


def raw(path: Path, *lines: bytes) -> list[dict]:
    """Send lines, and hang up our end: give the greeting and every answer."""
    with socket.socket(socket.AF_UNIX) as talker:
        talker.connect(str(path))
        talker.sendall(b"".join(lines))
        talker.shutdown(socket.SHUT_WR)
        with talker.makefile("rb") as answers:
            return [json.loads(line) for line in answers]


def test_only_the_owner_can_open_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_greets_with_its_version_and_whose_it_is(path):
    assert raw(path) == [{"pghot_ctl": 1, **ABOUT}]
    manual = (Path(__file__).parents[2] / "docs/ctl.md").read_text()
    assert json.dumps({"pghot_ctl": 1, **ABOUT}) in manual


def test_values_are_read_by_name_tunables_and_counters(client):
    assert client.get(["freq_threshold", "pgpromote_success"]) == {
        "freq_threshold": 2,
        "pgpromote_success": 7,
    }
    assert list(client.get()) == list(TUNABLES)


def test_what_was_written_is_what_is_read_next(client):
    client.set("freq_threshold", "3")
    assert client.get(["freq_threshold"]) == {"freq_threshold": 3}


def test_a_refusal_carries_the_kernels_errno_and_status_2(client):
    with pytest.raises(protocol.ControlError) as caught:
        client.set("freq_threshold", "9")
    assert str(caught.value) == "freq_threshold: '9' is not within 1..3 (EINVAL)"
    assert (caught.value.errno, caught.value.exit_status) == (errno.EINVAL, 2)


def test_the_state_is_the_last_one(client, served):
    assert client.state() == served.mailbox.state()
    served.mailbox.publish(published_state(accesses=2))
    assert client.state().accesses == 2


def test_who_watches_gets_the_last_state_each_new_one_and_the_end(client, served):
    seen = client.watch()
    assert next(seen).accesses == 1
    served.mailbox.publish(published_state(accesses=2))
    assert next(seen).accesses == 2
    served.end()
    assert list(seen) == []


def test_after_the_run_a_write_says_so(client, served):
    served.end()
    with pytest.raises(PghotError, match="the run is over"):
        client.set("freq_threshold", "1")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (b"hello\n", "not a line of JSON"),
        (b"[" * 5000 + b"\n", "not a line of JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"{}\n", "no such request: None"),
        (b'{"do": ["get"]}\n', "no such request"),
        (b'{"do": "get", "names": "freq_threshold"}\n', "wants names, a list of texts"),
        (b'{"do": "get", "names": [1]}\n', "wants names, a list of texts"),
        (b'{"do": "get", "names": ["no_such"]}\n', "no_such: no such tunable or counter"),
        (b'{"do": "set", "name": "freq_threshold", "value": 1}\n', "both texts"),
        (b'{"do": "set"}\n', "both texts"),
        (b"\xff\xfe\n", "not a line of JSON"),
        (b"\n", "not a line of JSON"),
    ],
)
def test_what_is_no_request_is_answered_and_the_next_one_served(path, request_, why):
    _greeting, refused, served = raw(
        path, request_, b'{"do": "get", "names": ["numa_balancing"]}\n'
    )
    assert why in refused["error"]["message"]
    assert refused["error"]["status"] == 2
    assert served == {"ok": {"values": {"numa_balancing": 2}}}


def test_a_line_that_is_too_long_is_refused_once_and_the_next_one_served(path):
    too_long = b"x" * (3 * protocol.LONGEST) + b"\n"
    _greeting, refused, served = raw(path, too_long, b'{"do": "state"}\n')
    assert "not a whole line" in refused["error"]["message"]
    assert served["ok"]["state"]["accesses"] == 1


def test_a_line_that_is_cut_off_is_no_request(path):
    _greeting, refused = raw(path, b'{"do": "state"}')
    assert "not a whole line" in refused["error"]["message"]


def test_many_clients_at_once_and_one_too_many(path, monkeypatch):
    monkeypatch.setattr(controls, "MOST_CLIENTS", 3)
    opened = [Client(path) for _ in range(3)]
    with pytest.raises(PghotError, match="3 others are connected"):
        Client(path)
    assert [one.get(["freq_threshold"]) for one in opened] == [{"freq_threshold": 2}] * 3
    for one in opened:
        one.close()
    until = time.monotonic() + 90
    while True:  # those have gone as soon as the server has seen it
        try:
            Client(path).close()
            break
        except PghotError:
            assert time.monotonic() < until


def test_a_client_that_takes_nothing_does_not_hold_up_the_end(tmp_path, served):
    path = tmp_path / "ctl.sock"
    with control(served.mailbox, path, ABOUT), socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(path))
        lazy.sendall(b'{"do": "watch"}\n')
        served.end()
    assert not path.exists()


def test_a_request_before_the_first_state_waits_for_it(tmp_path):
    mailbox, path = Mailbox(), tmp_path / "ctl.sock"
    with control(mailbox, path, ABOUT), Client(path) as client:
        first = published_state(tunables={"freq_threshold": 2})
        threading.Timer(0.1, mailbox.publish, [first]).start()
        assert client.get(["freq_threshold"]) == {"freq_threshold": 2}
        mailbox.close()


def test_a_run_that_ends_before_its_first_state_says_so(tmp_path):
    mailbox, path = Mailbox(), tmp_path / "ctl.sock"
    with control(mailbox, path, ABOUT), Client(path) as client:
        mailbox.close()
        with pytest.raises(PghotError, match="the run has not begun"):
            client.get()


def test_who_has_hung_up_meanwhile_is_told_that_it_is_over(client):
    client._send({"do": "get", "names": []})
    client._lines.close()  # as another thread does
    with pytest.raises(PghotError, match="the run has ended"):
        client._answer()


@pytest.fixture
def anybodys():
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def user(uid: int):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else as well")
def test_another_user_is_refused_even_where_the_file_lets_him_in(anybodys, served):
    path = anybodys / "open.sock"
    with control(served.mailbox, path, ABOUT):
        with user(65534), pytest.raises(PghotError, match="Permission denied"):
            Client(path)
        path.chmod(0o666)
        with user(65534), pytest.raises(PghotError, match="this run is of another user"):
            Client(path)
        served.end()


def test_a_dead_runs_socket_goes_and_a_live_one_stays(path):
    dead = socket_of(path.parent, 12)
    left_behind(dead)
    (path.parent / "notes.txt").write_text("not ours to remove")
    assert live_sockets(path.parent) == [path]
    assert not dead.exists()
    assert (path.parent / "notes.txt").exists()


def left_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def test_a_new_run_takes_the_place_of_a_dead_one(tmp_path):
    left_behind(tmp_path / "a.sock")
    with listening(tmp_path / "a.sock"):
        assert stat.S_IMODE((tmp_path / "a.sock").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_it_takes_nobodys_place(path, tmp_path):
    with pytest.raises(InputError, match="another run listens there"), listening(path):
        pass
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(InputError, match="is there already and is no socket"), listening(file):
        pass
    assert file.read_text() == "precious"


def test_a_path_that_no_socket_can_have_is_one_line(tmp_path):
    long, nowhere = tmp_path / ("x" * 120), tmp_path / "no" / "such.sock"
    with pytest.raises(InputError, match="too long for the name of a socket"), listening(long):
        pass
    with pytest.raises(PghotError, match="cannot listen there: No such"), listening(nowhere):
        pass


def test_a_directory_that_others_may_enter_is_refused(tmp_path):
    (tmp_path / "ctl").mkdir(mode=0o755)
    with pytest.raises(PghotError, match="others may enter it; chmod 700"):
        private_directory(tmp_path / "ctl")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PghotError, match="is not a directory of ours"):
        private_directory(tmp_path / "link")


def test_one_run_is_found_by_itself_several_are_listed_none_is_said(path, tmp_path):
    assert find_run(path.parent) == path
    with control(Mailbox(), socket_of(path.parent, 99), {**ABOUT, "pid": 99}):
        with pytest.raises(PghotError) as caught:
            find_run(path.parent)
        listed = "99 (pghot run -p 40), 4711 (pghot run -p 40)"
        assert str(caught.value) == f"several runs, name one by --pid: {listed}"
        assert find_run(path.parent, pid=4711) == path
    with pytest.raises(PghotError, match=r"no pghot run listens in .*/nowhere: try so$"):
        find_run(tmp_path / "nowhere", hint=": try so")


def test_a_run_of_another_protocol_is_refused_by_its_version(tmp_path):
    path = tmp_path / "other.sock"
    with listening(path) as server:
        greeting = threading.Thread(target=_greet, args=(server, {"pghot_ctl": 9}))
        greeting.start()
        with pytest.raises(PghotError, match="speaks version 9 of the control protocol"):
            Client(path)
        greeting.join()


def _greet(server: socket.socket, greeting: dict) -> None:
    talker, _ = server.accept()
    with talker:
        talker.sendall(json.dumps(greeting).encode() + b"\n")
