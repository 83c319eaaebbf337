"""What each command imports: nothing heavy that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pghot

ROOT = Path(pghot.__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sqlite.parquet"

HEAVY = (
    "mfusepy",
    "msgspec",
    "numpy",
    "numpy.ma",
    "prometheus_client",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "rich",
    "textual",
    "vl_convert",
)
# A command line, and the heavy packages that it may import.
LIGHT = {
    "--help": "",
    "--version": "",
    "run --help": "",
    "replay --help": "",
    "sim --help": "",
    "curve --help": "",
    "sweep --help": "",
    "advise --help": "",
    "top --help": "",
    "completion bash": "",
    "help": "rich",
    "help tunables": "rich",
    "ctl get --control NOWHERE": "",
    "ctl watch --control NOWHERE": "",
    "topology": "rich",
    "topology --json": "msgspec",
    "doctor": "rich",
    "doctor --json": "",
    "config show": "numpy",
    "config check CONFIG": "numpy msgspec",
    "restore": "",
    "top --once --control NOWHERE": "numpy msgspec",
}
WITH_LOOPS = {
    "replay EXAMPLE --json": "numpy msgspec pyarrow",
    "replay EXAMPLE": "numpy msgspec pyarrow rich",
    "curve EXAMPLE --json": "numpy msgspec pyarrow",
    "curve EXAMPLE": "numpy msgspec pyarrow rich",
    "sweep EXAMPLE -o SWEEP --json": "numpy msgspec pyarrow rich",
    "convert CSV -o OUT": "numpy msgspec pyarrow",
    "sim gups --scale 0.001 --policy none --json": "numpy msgspec",
    "sim --list --json": "numpy msgspec",
    "sim --list": "numpy msgspec rich",
    "top --once --replay EXAMPLE": "numpy msgspec pyarrow rich",
}
RUNS = {
    "run -p 40 -d 0.2 --json": "numpy",
    "run -p 40 -d 0.2 --json --log-format json": "numpy",
    "run -p 40 -d 0.2": "numpy rich",
    "run -p 40 -d 0.2 --json --record LOG": "numpy numpy.ma msgspec pyarrow",  # pyarrow wants it
    "run -p 40 -d 0.2 --json --config CONFIG": "numpy msgspec",
    "run -p 40 -d 0.2 --json --metrics 0": "numpy prometheus_client",
}

SCRIPT = """
import atexit, runpy, sys
def say():
    with open("/proc/self/status") as status, open({said!r}, "w") as said:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        print(*sys.modules, file=said)
        print(peak, file=said)
atexit.register(say)
sys.argv[1:] = {words!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def imported(module: str, words: list[str], directory: Path) -> set[str]:
    """The modules that `python -m module words` has imported at its end."""
    return at_end(module, words, directory)[0]


def at_end(module: str, words: list[str], directory: Path) -> tuple[set[str], int]:
    """The modules at the end of a process, and the most bytes that it held."""
    said = directory / "said"
    script = SCRIPT.format(said=str(said), module=module, words=words)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=environment,
    )
    assert "Traceback" not in done.stderr, done.stderr
    modules, kib = said.read_text().splitlines()
    return set(modules.split()), int(kib) << 10


@pytest.fixture
def words_of(tmp_path: Path):
    """The words of a command line, with the files that it names in their places."""
    config, csv = tmp_path / "run.toml", tmp_path / "trace.csv"
    config.write_text("scan_size_mb = 256\n[tunables]\nfreq_threshold = 3\n")
    csv.write_text("1,4096\n2,8192\n")
    places = {
        "CONFIG": config,
        "CSV": csv,
        "EXAMPLE": EXAMPLE,
        "LOG": tmp_path / "log.parquet",
        "NOWHERE": tmp_path / "nowhere.sock",
        "OUT": tmp_path / "out.parquet",
        "SWEEP": tmp_path / "sweep",
    }
    return lambda line: [str(places.get(word, word)) for word in line.split()]


@pytest.mark.parametrize(("line", "allowed"), LIGHT.items(), ids=LIGHT)
def test_a_command_without_loops_imports_no_more_than_it_needs(line, allowed, words_of, tmp_path):
    found = imported("pghot", words_of(line), tmp_path)
    assert found & {*HEAVY} <= set(allowed.split())


@pytest.mark.parametrize(("line", "allowed"), WITH_LOOPS.items(), ids=WITH_LOOPS)
def test_a_command_with_loops_imports_no_more_than_it_needs(line, allowed, words_of, tmp_path):
    found = imported("pghot", words_of(line), tmp_path)
    assert found & {*HEAVY} <= set(allowed.split())


@pytest.mark.parametrize(("line", "allowed"), RUNS.items(), ids=RUNS)
def test_a_run_imports_no_more_than_it_needs(line, allowed, words_of, tmp_path):
    found = imported("tests.made_run", [str(tmp_path), *words_of(line)], tmp_path)
    assert found & {*HEAVY} <= set(allowed.split())


def test_a_run_holds_at_most_80_megabytes(words_of, tmp_path):
    words = words_of("run -p 40 -d 0.2 --json")
    _found, most = at_end("tests.made_run", [str(tmp_path), *words], tmp_path)
    assert most <= 80_000_000


def test_a_command_imports_the_modules_of_no_other(words_of, tmp_path):
    found = imported("pghot", words_of("topology --json"), tmp_path)
    commands = {name for name in found if name.startswith("pghot.cli.")}
    assert commands == {"pghot.cli.parser", "pghot.cli.topology"}


def test_what_is_imported_is_found(words_of, tmp_path):
    """So that the tests above can fail."""
    found = imported("pghot", words_of("replay EXAMPLE"), tmp_path)
    assert {"numpy", "pyarrow", "rich", "pghot.replaying.replay"} <= found
