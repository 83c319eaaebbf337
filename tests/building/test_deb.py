"""What the Debian package is made of, as far as that shows without building it."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "share/debian"
SCRIPTS = [
    *(DEBIAN / name for name in ("postinst", "prerm", "postrm")),
    *(ROOT / "scripts" / name for name in ("deb", "deb-check", "chroot-check")),
]


def test_each_override_of_lintian_has_a_reason_above() -> None:
    lines = (DEBIAN / "lintian-overrides").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all(line.startswith(("# ", "pghot: ")) for line in lines)
    assert lines[-1].startswith("pghot: ")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_that_sh_reads(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)


def test_the_packages_configuration_is_a_dry_run() -> None:
    lines = (ROOT / "scripts/deb").read_text().splitlines()
    (line,) = (line for line in lines if "dry_run = true" in line)
    edit = line.split("'")[1]
    example = ROOT / "examples/pghot.toml"
    made = subprocess.run(
        ["sed", edit, example], check=True, capture_output=True, text=True
    ).stdout
    assert tomllib.loads(made) == tomllib.loads(example.read_text()) | {"dry_run": True}
