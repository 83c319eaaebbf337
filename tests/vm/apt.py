"""Packages of another suite, without touching the machine's own apt.

Sources are those the machine has, with the suite replaced (sources.list(5)); lists and
downloads are kept in a directory of our own (apt.conf(5)).
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ETC = Path("/etc/apt")
ATTEMPTS = 3

_OPTIONS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
"""What sources.list(5) calls options of the one-line style in deb822 style, if not the same."""


class AptError(Exception):
    """A package cannot be had; the message says which and why."""


class Apt:
    """apt-get and apt-cache over the given suites, in `directory`."""

    def __init__(self, directory: Path, codename: str, suites: Iterable[str]) -> None:
        self.directory = directory
        for name in ("parts", "state/lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        text = "\n".join(stanzas(ETC, codename, list(suites)))
        if not text:
            raise AptError(f"no apt source of this machine names the suite {codename}")
        (directory / "parts/suites.sources").write_text(text)
        (directory / "apt.conf").write_text(_configuration(directory))
        self.environment = os.environ | {
            "APT_CONFIG": str(directory / "apt.conf"),
            "LC_ALL": "C",
        }

    def update(self, package: str) -> None:
        """Fetch the lists, again where `package` is in none; a suite may be missing."""
        for attempt in range(ATTEMPTS):
            time.sleep(5 * attempt)
            said = self._run("apt-get", "-q", "update")
            if self.versions(package):
                return
        raise AptError(f"no {package} after {ATTEMPTS} tries of apt-get update: {_last(said)}")

    def versions(self, package: str) -> list[str]:
        """The versions of a package, newest first."""
        rows = self._run("apt-cache", "madison", package).stdout.splitlines()
        return [row.split("|")[1].strip() for row in rows if row.count("|") == 2]

    def depends(self, package: str, version: str | None = None) -> list[str]:
        """The names that a package depends on, the first of each alternative."""
        name = f"{package}={version}" if version else package
        shown = self._run("apt-cache", "show", "--no-all-versions", name).stdout
        found = re.search(r"^Depends: (.*)$", shown, re.MULTILINE)
        return [item.split()[0] for item in found.group(1).split(", ")] if found else []

    def download(self, packages: list[str], into: Path) -> list[Path]:
        """Fetch packages as files."""
        for attempt in range(ATTEMPTS):
            time.sleep(5 * attempt)
            said = self._run("apt-get", "-q", "download", *packages, cwd=into)
            if said.returncode == 0:
                return sorted(into.glob("*.deb"))
        raise AptError(f"apt-get download {' '.join(packages)}: {_last(said)}")

    def _run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, cwd=cwd, check=False, capture_output=True, text=True
        )


def stanzas(etc: Path, codename: str, suites: list[str]) -> Iterator[str]:
    """Give deb822 sources for `suites` from every source below `etc` that has `codename`."""
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            if text := _stanza(_fields(paragraph), codename, suites):
                yield text
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else []:
            if text := _stanza(_one_line(line), codename, suites):
                yield text


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] += f"\n{line}"
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


def _one_line(line: str) -> dict[str, str]:
    """Read `deb [option=value ...] URI SUITE COMPONENT...` as fields."""
    found = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
    if not found:
        return {}
    options = dict(item.split("=", 1) for item in (found.group(1) or "").split())
    fields = {
        _OPTIONS.get(name, name.title()): value.replace(",", " ")
        for name, value in options.items()
    }
    uri, suite, components = found.group(2, 3, 4)
    return fields | {"Types": "deb", "URIs": uri, "Suites": suite, "Components": components}


def _stanza(fields: dict[str, str], codename: str, suites: list[str]) -> str:
    wanted = (("Types", "deb"), ("Suites", codename), ("Components", "main"))
    if fields.get("Enabled", "yes") == "no":
        return ""
    if any(value not in fields.get(name, "").split() for name, value in wanted):
        return ""
    fields = fields | {"Types": "deb", "Suites": " ".join(suites), "Components": "main"}
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _configuration(directory: Path) -> str:
    return f"""\
Dir::State "{directory}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{directory}/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{directory}/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Retries "3";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


def _last(said: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in said.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or ["no message"])[0]
