from __future__ import annotations

import argparse
import json
import sys

import pytest

from pghot.cli import convert as command
from pghot.errors import InputError
from tests.log.convert.trace_files import DATA


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_a_summary_goes_to_stdout_and_notes_to_stderr(tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert run(DATA / "faults.data", "-o", out) == 0
    said = capsys.readouterr()
    assert (
        said.out == f"{out}: 46 accesses to 46 pages, from 48 in perf-data (physical addresses)\n"
    )
    first, second = said.err.splitlines()
    assert first.startswith("note: physical addresses are of the traced machine, which the log")
    assert "convert with --machine FILE" in first
    assert second == "note: 2 left out: no physical address"


def test_json_prints_the_report_and_nothing_else(tmp_path, capsys):
    out = tmp_path / "out.parquet"
    assert run(DATA / "lackey.txt", "-o", out, "--json", "--llc-size", "0") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["format"] == "lackey"
    assert report["rows_in"] == report["rows_out"]
    assert report["machine"] == "synthetic"


def test_options_reach_the_conversion(tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("time;address\n1;4096\nbad\n2;8192\n3;8192\n")
    arguments = (
        "--format csv --delimiter ; --time-unit ms --sample 2 --nid 1 --skip-bad --start slow"
    )
    run(source, "-o", tmp_path / "out.csv", *arguments.split(), "--source", "hintfault")
    rows = (tmp_path / "out.csv").read_text().split()[1:]
    assert rows == ["0,32768,1,0,4096", "2000,32769,1,0,8192"]
    assert "note: 1 left out: bad line" in capsys.readouterr().err


def test_a_size_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="--llc-size: size 'x'"):
        run(DATA / "lackey.txt", "-o", tmp_path / "out.parquet", "--llc-size", "x")


def test_a_bar_is_shown_on_a_terminal_once_it_takes_long(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(command, "_QUIET_SECONDS", -1.0)
    assert run(DATA / "lackey.txt", "-o", tmp_path / "out.parquet") == 0
    assert "accesses" in capsys.readouterr().out
