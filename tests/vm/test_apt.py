"""Sources for another suite are those of the machine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm import apt, kernels

DEB822 = """\
Types: deb
# a comment
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit2ioBEADhWpZ8

Types: deb
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb https://mirror.example/off bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] https://mirror.example/a bookworm main
deb-src https://mirror.example/b bookworm main
deb https://mirror.example/c stable main
"""


def sources(etc: Path, **files: str) -> list[str]:
    (etc / "sources.list.d").mkdir()
    for name, text in files.items():
        (etc / "sources.list.d" / name.replace("_", ".")).write_text(text)
    return list(apt.stanzas(etc, "bookworm", ["trixie", "trixie-backports"]))


def test_a_deb822_source_keeps_all_but_its_suites_and_components(tmp_path: Path) -> None:
    (stanza,) = sources(tmp_path, debian_sources=DEB822)
    assert stanza.splitlines() == [
        "Types: deb",
        "URIs: https://mirror.example/debian",
        "Suites: trixie trixie-backports",
        "Components: main",
        "Signed-By: ",
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " mQINBFit2ioBEADhWpZ8",
    ]


def test_a_one_line_source_keeps_its_options(tmp_path: Path) -> None:
    (stanza,) = sources(tmp_path, a_list=ONE_LINE)
    assert set(stanza.splitlines()) == {
        "Types: deb",
        "URIs: https://mirror.example/a",
        "Suites: trixie trixie-backports",
        "Components: main",
        "Architectures: amd64",
        "Signed-By: /usr/share/keyrings/a.gpg",
    }


def test_a_source_that_is_switched_off_stays_off(tmp_path: Path) -> None:
    assert sources(tmp_path, debian_sources=f"Enabled: no\n{DEB822}") == []


class Offers:
    """An apt that knows packages by what they depend on."""

    def __init__(self, depends: dict[str, list[str]]) -> None:
        self.known = depends

    def depends(self, package: str, version: str | None = None) -> list[str]:
        assert version in {None, *self.versions(package)}
        return self.known.get(package, [])

    def versions(self, package: str) -> list[str]:
        return ["1"] if package in self.known else []


def test_image_and_modules_are_followed_from_the_meta_package() -> None:
    split = Offers(
        {
            "linux-image-amd64": ["linux-base-amd64", "linux-image-7.3-amd64"],
            "linux-image-7.3-amd64": ["dracut", "linux-binary-7.3-amd64", "linux-base-7.3-amd64"],
            "linux-binary-7.3-amd64": ["linux-modules-7.3-amd64"],
        }
    )
    names = [f"linux-{part}-7.3-amd64" for part in ("base", "binary", "image", "modules")]
    assert kernels._packages(split, "linux-image-amd64") == (names, "7.3-amd64")


def test_extra_modules_of_ubuntu_come_along() -> None:
    ubuntu = Offers(
        {
            "linux-image-generic": ["linux-image-6.8.0-1-generic", "linux-firmware"],
            "linux-image-6.8.0-1-generic": ["kmod", "linux-modules-6.8.0-1-generic"],
            "linux-modules-extra-6.8.0-1-generic": [],
        }
    )
    packages, version = kernels._packages(ubuntu, "linux-image-generic")
    assert version == "6.8.0-1-generic"
    assert packages == [
        f"linux-{part}-{version}" for part in ("image", "modules", "modules-extra")
    ]


def test_a_meta_package_without_an_image_is_refused() -> None:
    with pytest.raises(apt.AptError, match="depends on no linux-image"):
        kernels._packages(Offers({"linux-image-amd64": ["kmod"]}), "linux-image-amd64")


def test_those_that_look_for_a_kernel_at_once_fetch_it_once(tmp_path, monkeypatch):
    fetched, looking = [], threading.Semaphore(0)
    flock = kernels.fcntl.flock

    def noted(lock, operation):
        looking.release()
        flock(lock, operation)

    def fetch(_offer):
        fetched.append(_offer)
        for _each in range(3):
            assert looking.acquire(timeout=60)
        (kernels.cache() / "1.2.3").mkdir()
        (kernels.cache() / "1.2.3/vmlinuz").touch()
        return "1.2.3"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(kernels, "_offer", lambda which: which)
    monkeypatch.setattr(kernels, "_fetch", fetch)
    monkeypatch.setattr(kernels.fcntl, "flock", noted)
    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(kernels.find, "next") for _ in range(3)]
        assert {future.result().version for future in found} == {"1.2.3"}
    assert fetched == ["next"]
