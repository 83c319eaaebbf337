"""Coverage-guided fuzzing of all that reads other people's files: `scripts/fuzz`.

Each target reads bytes as one format, with interpreted loops, for Atheris sees no others.
What must come of any bytes is a result or an InputError of one line: a traceback, an input
that takes over TIMEOUT_S, or memory over MOST_MIB ends the run, and the input is kept.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

TIMEOUT_S = 20
MOST_MIB = 2048
LONGEST = 1 << 14
ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "fuzz"
"""Inputs that found something new, by target; `crash-...`, `timeout-...`, `oom-...` beside."""

ANY = "any"
LOGS = ("log.parquet", "log.csv", "log.csv.zst", "machine.toml")


def targets() -> tuple[str, ...]:
    """Names of all formats."""
    from pghot.log.convert import FORMATS  # noqa: PLC0415 - after instrumentation

    return (ANY, *FORMATS, *LOGS)


def main() -> int:
    """Fuzz each target in a process of its own; the status is 1 where one found something."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="TARGET", help="all where none is named")
    args = parser.parse_args()
    if args.one:
        return fuzz(args.one, args.seconds)
    known = targets()
    wrong = [name for name in args.names if name not in known]
    if wrong:
        parser.error(f"no target {wrong[0]}; there are {', '.join(known)}")
    status = 0
    for name in args.names or known:
        command = [sys.executable, "-m", "tests.fuzz", "--one", name]
        command += ["--seconds", str(args.seconds)]
        environment = os.environ | {"PGHOT_LOOPS": "interpreted"}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        print(f"{name}: {'nothing found' if done.returncode == 0 else 'FOUND SOMETHING'}")
        status |= done.returncode != 0
    return status


def fuzz(name: str, seconds: int) -> int:
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris  # noqa: PLC0415 - a group of its own

    import pghot  # noqa: F401, PLC0415 - its finder of modules is to come after Atheris'

    with atheris.instrument_imports(include=["pghot"]):
        for module in _READERS:
            import_module(module)
    reading = target(name)
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(b"\0" * CHOICES + seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT_S}",
        f"-rss_limit_mb={MOST_MIB}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={corpus}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], reading)
    atheris.Fuzz()
    return 0


_READERS = ("tests.log.convert.test_hostile_input", "tests.log.test_any_bytes")
CHOICES = 4
"""First bytes of an input, which choose options."""


def target(name: str) -> Callable[[bytes], None]:
    """What reads an input as a format."""
    if name in LOGS:
        return _log_target(name)
    return _convert_target(None if name == ANY else name)


def seeds(name: str) -> list[bytes]:
    """Whole files of a format."""
    from tests.log.convert.test_hostile_input import SEEDS  # noqa: PLC0415

    if name == ANY:
        return [seed for every in SEEDS.values() for seed in every]
    if name in SEEDS:
        return SEEDS[name]
    from tests.log.made import MACHINE, log_rows, write_log  # noqa: PLC0415

    if name == "machine.toml":
        return [MACHINE.encode()]
    with tempfile.TemporaryDirectory() as directory:
        return [write_log(Path(directory, name), log_rows(9, 3)).read_bytes()]


def _convert_target(name: str | None) -> Callable[[bytes], None]:
    from tests.log.convert.test_hostile_input import check  # noqa: PLC0415

    def read(data: bytes) -> None:
        choices, content = data[:CHOICES].ljust(CHOICES, b"\0"), data[CHOICES:]
        check(_packed(choices[0], content), name, **_options(choices))

    return read


def _options(choices: bytes) -> dict[str, object]:
    from pghot.log.convert import Llc  # noqa: PLC0415

    bits = int.from_bytes(choices, "little") >> 8
    return {
        "skip_bad": bool(bits & 1),
        "addresses": ("auto", "physical", "virtual", "auto")[bits >> 1 & 3],
        "llc": Llc(0) if bits >> 3 & 1 else Llc(1024, 2, 64),
        "sample": 3 if bits >> 4 & 1 else 1,
        "order_as_time": (None, None, 1, 10**9)[bits >> 5 & 3],
        "start": "slow" if bits >> 7 & 1 else "first-touch",
        "fields": (None, None, None, "pid,tid,cpu,time,event,addr,phys_addr")[bits >> 8 & 3],
        "columns": (None, None, None, "time,va,type,pid")[bits >> 10 & 3],
        "delimiter": (",", ",", " ", ";")[bits >> 12 & 3],
        "time_unit": (None, None, "ns", "s")[bits >> 14 & 3],
    }


def _packed(choice: int, content: bytes) -> bytes:
    if choice < 0xF0:
        return content
    packers = (gzip.compress, bz2.compress, lzma.compress)
    return packers[choice % 3](content)


def _log_target(name: str) -> Callable[[bytes], None]:
    from pghot.errors import InputError  # noqa: PLC0415
    from pghot.log.machine import Machine  # noqa: PLC0415
    from tests.log.test_any_bytes import read_or_refused  # noqa: PLC0415

    def read(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, name)
            path.write_bytes(data[CHOICES:])
            if name != "machine.toml":
                read_or_refused(path)
                return
            try:
                Machine.load(path)
            except InputError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right

    return read


if __name__ == "__main__":
    sys.exit(main())
