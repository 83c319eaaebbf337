"""The package, installed on Debian, under its systemd as PID 1 of a guest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import kernels
from tests.vm.systemd import check, disk, guest

RELEASES = {"bookworm": "release", "trixie": "next"}
"""Releases, and the kernel that each is booted with."""

NAMES = [one.__name__ for one in check.CHECKS]

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        os.environ.get("PGHOT_VM_ALL") != "1", reason="builds a package: PGHOT_VM_ALL=1"
    ),
]


@pytest.fixture(scope="module", params=RELEASES)
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, guest.Said]]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacks = [
        name for program, name in disk.PROGRAMS.items() if not shutil.which(program, path=path)
    ]
    if lacks or os.geteuid():
        pytest.skip(f"needs {', '.join(lacks) or 'root'}")
    scratch = tmp_path_factory.mktemp(f"systemd-{request.param}")
    try:
        yield checked(request.param, scratch)
    finally:
        shutil.rmtree(scratch)


def checked(release: str, scratch: Path) -> dict[str, guest.Said]:
    try:
        kernel = kernels.find(RELEASES[release])
        disk.base(release)
    except (kernels.NoKernelError, disk.NoRootError) as reason:
        pytest.skip(str(reason))
    deb = disk.package(release, scratch)
    image = disk.disk(release, deb, scratch)
    said = guest.boot(kernel, image, disk.initramfs(kernel, scratch), scratch)
    assert said, guest.console_end(scratch)
    return said


@pytest.mark.parametrize("name", NAMES)
def test_under_systemd(said: dict[str, guest.Said], name: str) -> None:
    assert name in said, f"never came to it; it came to {list(said)}"
    assert said[name].outcome == "passed", said[name].text
    print(said[name].text)
