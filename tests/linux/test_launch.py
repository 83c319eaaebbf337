"""The command of `pghot run -- COMMAND`: held back, run as the right user, its status ours."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.linux.processes.launch import CommandError, Launched, find_program
from pghot.linux.processes.sudo_user import sudo_account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
PATH = os.environ.get("PATH", os.defpath)


def run(*argv: str, environ: dict[str, str] | None = None) -> int:
    with Launched(argv, environ) as launched:
        launched.fork()
        launched.start()
        return launched.wait()


def written(tmp_path: Path, script: str, environ: dict[str, str] | None = None) -> str:
    """What a shell script writes to the file $OUT."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    out = tmp_path / "out"
    assert run("sh", "-c", script, environ={"PATH": PATH, "OUT": str(out), **(environ or {})}) == 0
    return out.read_text()


def test_the_command_runs_only_once_started(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Launched(["touch", str(out)]) as launched:
        launched.fork()
        time.sleep(0.05)
        assert launched.poll() is None
        assert not out.exists()
        launched.start()
        launched.start()
        assert launched.wait() == 0
    assert out.exists()


def test_the_process_that_waits_becomes_the_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Launched(["sh", "-c", f"echo $$ >{out}"]) as launched:
        launched.fork()
        launched.start()
        assert launched.wait() == 0
    assert int(out.read_text()) == launched.pid


def test_one_that_is_never_started_never_runs(tmp_path: Path) -> None:
    with Launched(["touch", str(tmp_path / "out")]) as launched:
        launched.fork()
    assert launched.status == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("status", [0, 1, 2, 77, 255])
def test_the_exit_status_is_passed_through(status: int) -> None:
    assert run("sh", "-c", f"exit {status}") == status


def test_a_signal_is_128_and_its_number() -> None:
    assert run("sh", "-c", "kill -KILL $$") == 128 + signal.SIGKILL


def test_a_signal_is_passed_on_and_one_to_an_ended_command_is_nothing() -> None:
    with Launched(["sleep", "60"]) as launched:
        launched.fork()
        launched.start()
        launched.forward(signal.SIGTERM)
        assert launched.wait() == 128 + signal.SIGTERM
        launched.forward(signal.SIGTERM)
        assert launched.poll() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_the_start_ends_it_without_running_our_handlers(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    signal.signal(number, lambda *_: pytest.fail("handled"))
    try:
        with Launched(["sleep", "60"]) as launched:
            launched.fork()
            launched.forward(number)
            assert launched.wait() == 128 + number
            launched.start()
    finally:
        signal.signal(number, before)


def test_what_is_ignored_for_us_stays_ignored_for_the_command() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("sh", "-c", "kill -HUP $$; exit 3") == 3
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_broken_pipe_ends_the_command_as_in_a_shell() -> None:
    """Python ignores SIGPIPE; the command must not inherit that."""
    assert run("sh", "-c", "kill -PIPE $$; exit 3") == 128 + signal.SIGPIPE


def test_no_signal_stays_blocked(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert "SigBlk:\t0000000000000000" in written(tmp_path, "cat /proc/self/status >$OUT")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_the_command_has_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "held").open("w"):
        names = written(tmp_path, "ls -l /proc/$$/fd >$OUT")
    assert "held" not in names
    assert "pipe" not in "".join(line for line in names.splitlines() if " 3 ->" in line)


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("no-such-command", 127, "no-such-command: command not found"),
        ("/no/such/command", 127, "/no/such/command: command not found"),
        ("", 127, ": command not found"),
        ("/", 126, "/: not an executable file"),
    ],
)
def test_what_cannot_be_found_is_told_with_the_status_of_a_shell(
    name: str, status: int, message: str
) -> None:
    with pytest.raises(CommandError) as raised:
        Launched([name])
    assert (raised.value.exit_status, str(raised.value)) == (status, message)


def test_a_file_that_is_not_executable_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo\n")
    for name, path in [(str(tmp_path / "plain"), ""), ("plain", f"/nowhere:{tmp_path}")]:
        with pytest.raises(CommandError) as raised:
            find_program(name, path)
        assert raised.value.exit_status == 126


def test_a_script_without_an_interpreter_line_is_run_by_sh(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('exit "$1"\n')
    script.chmod(0o755)
    assert run(str(script), "9") == 9


def test_what_is_no_program_at_last_is_told_by_the_child_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    assert run(str(program)) == 127
    assert capfd.readouterr().err == f"pghot: {program}: No such file or directory\n"


def test_when_we_die_before_the_start_the_command_never_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = textwrap.dedent(f"""
        import os
        from pghot.linux.processes.launch import Launched
        launched = Launched(["touch", {str(out)!r}])
        launched.fork()
        print(launched.pid, flush=True)
        os.kill(os.getpid(), 9)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    child = int(done.stdout)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
                continue
        break
    else:
        pytest.fail("the child still waits")
    assert not out.exists()


def sudo(name: str = "nobody", **more: str) -> dict[str, str]:
    user = pwd.getpwnam(name)
    return {
        "SUDO_UID": str(user.pw_uid),
        "SUDO_GID": str(user.pw_gid),
        "SUDO_USER": name,
        "SUDO_COMMAND": "pghot",
        "HOME": "/root",
        "USER": "root",
        **more,
    }


@needs_root
def test_under_sudo_it_runs_as_the_user_who_called(tmp_path: Path) -> None:
    user = pwd.getpwnam("nobody")
    lines = written(tmp_path, "cat /proc/self/status >$OUT", sudo()).splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split() == [str(user.pw_gid)] * 4
    assert sorted(map(int, status["Groups"].split())) == sorted(
        os.getgrouplist("nobody", user.pw_gid)
    )
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


@needs_root
def test_under_sudo_the_environment_is_the_users(tmp_path: Path) -> None:
    text = written(tmp_path, "env >$OUT", sudo(KEPT="1"))
    environment = dict(line.split("=", 1) for line in text.splitlines())
    user = pwd.getpwnam("nobody")
    assert environment["HOME"] == user.pw_dir
    assert environment["USER"] == environment["LOGNAME"] == "nobody"
    assert environment["KEPT"] == "1"
    assert not [name for name in environment if name.startswith("SUDO_")]


@needs_root
def test_under_sudo_the_directory_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert written(tmp_path, "pwd >$OUT", sudo()).strip() == str(tmp_path)


@needs_root
def test_what_the_user_may_not_execute_is_126(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert run(str(program), environ={"PATH": PATH, **sudo()}) == 126
    assert capfd.readouterr().err == f"pghot: {program}: Permission denied\n"


def test_where_we_are_not_root_nothing_of_sudo_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sudo_account(sudo()) == (None, sudo())


def test_root_by_sudo_stays_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert sudo_account(sudo("root")) == (None, sudo("root"))


def test_a_user_that_nobody_knows_has_one_group_and_no_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account, environment = sudo_account({**sudo(), "SUDO_UID": "987654", "SUDO_GID": "9"})
    assert account is not None
    assert (account.uid, account.gid, account.groups) == (987654, 9, (9,))
    assert (environment["HOME"], environment["USER"]) == ("/", "nobody")


def test_a_sudo_uid_that_is_no_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InputError, match=r"^SUDO_UID=x: not a number"):
        sudo_account({**sudo(), "SUDO_UID": "x"})


NOFILE = """
import resource, sys
from pghot.linux.processes.launch import Launched
from pghot.linux.processes.raise_nofile import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))
raise_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
with Launched(["sh", "-c", f'[ "$(ulimit -Sn)" = {hard // 2} ]']) as launched:
    launched.fork()
    launched.start()
    sys.exit(launched.wait())
"""


def test_pghot_takes_all_descriptors_that_it_may_have_and_its_command_has_what_there_were() -> (
    None
):
    done = subprocess.run([sys.executable, "-c", NOFILE], check=False, timeout=60)
    assert done.returncode == 0
