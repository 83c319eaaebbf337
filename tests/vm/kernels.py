"""Stock kernels to boot: found in the cache, or fetched as packages of the distribution.

Each lies in `CACHE/pghot/kernels/VERSION` with `vmlinuz` and `lib/modules/VERSION`, never
in the machine's own /boot or /lib/modules.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.vm.apt import Apt, AptError

WHICH = ("release", "next")
"""The newest kernel offered to this release, and the newest offered to the next one."""

NEWEST = WHICH[-1]

NEXT = {"bullseye": "bookworm", "bookworm": "trixie", "trixie": "forky", "forky": "duke"}
"""Debian's order of releases."""


class NoKernelError(Exception):
    """No kernel of that kind can be had; the message says why."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel image and its modules in the cache."""

    directory: Path

    @property
    def version(self) -> str:
        """What `uname -r` says in it."""
        return self.directory.name

    @property
    def image(self) -> Path:
        """The bootable image."""
        return self.directory / "vmlinuz"


@dataclasses.dataclass(frozen=True)
class _Offer:
    suites: tuple[str, ...]
    package: str


def cache() -> Path:
    """The directory that holds all kernels."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pghot/kernels"


def find(which: str, *, fresh: bool = False) -> Kernel:
    """Give one of WHICH, or a cached kernel by the start of its version (`6.12`, `7.x`).

    Fetches what is not in the cache, or, `fresh`, what may have a newer version.
    """
    if which not in WHICH:
        return _by_version(which.removesuffix(".x"))
    link = cache() / f"{_os_release()['VERSION_CODENAME']}-{which}"
    with _one_at_a_time():
        if fresh or not (link / "vmlinuz").exists():
            try:
                version = _fetch(_offer(which))
            except AptError as error:
                raise NoKernelError(str(error)) from error
            _link(link, version)
    return Kernel(link.resolve())


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Have other processes that look for a kernel wait: they find what this one has fetched."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _by_version(start: str) -> Kernel:
    have = [find(which) for which in WHICH]
    for kernel in have:
        if f"{kernel.version}.".startswith((f"{start}.", f"{start}+", f"{start}-")):
            return kernel
    names = ", ".join(kernel.version for kernel in have)
    raise NoKernelError(f"no kernel {start} here; there are {', '.join(WHICH)}, that is {names}")


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError as error:
        raise NoKernelError(f"no /etc/os-release: {error}") from error


def _offer(which: str) -> _Offer:
    if platform.machine() != "x86_64":
        raise NoKernelError(f"only x86_64 guests are built, this machine is {platform.machine()}")
    release = _os_release()
    codename = release.get("VERSION_CODENAME", "")
    if release["ID"] == "ubuntu":
        hwe = f"-hwe-{release['VERSION_ID']}" if which == "next" else ""
        suites = (codename, f"{codename}-updates", f"{codename}-security")
        return _Offer(suites, f"linux-image-generic{hwe}")
    if release["ID"] != "debian":
        raise NoKernelError(f"no kernel packages known for {release['ID']}; Debian and Ubuntu are")
    if which == "next":
        if codename not in NEXT:
            raise NoKernelError(f"no release of Debian known after {codename}")
        codename = NEXT[codename]
    return _Offer((codename, f"{codename}-backports"), "linux-image-amd64")


def _fetch(offer: _Offer) -> str:
    """Put the newest kernel of an offer into the cache and give its version."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache()) as scratch:
        work = Path(scratch)
        apt = Apt(work / "apt", _os_release()["VERSION_CODENAME"], offer.suites)
        apt.update(offer.package)
        packages, version = _packages(apt, offer.package)
        target = cache() / version
        if not target.exists():
            tree = work / "tree"
            _unpack(apt.download(packages, _new(work / "packages")), tree)
            _arrange(tree, _new(work / "kernel"), version)
            (work / "kernel").rename(target)
        return version


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _packages(apt: Apt, meta: str) -> tuple[list[str], str]:
    """The packages that hold the image and the modules, and the kernel's version."""
    depends = apt.depends(meta, apt.versions(meta)[0])
    images = [name for name in depends if name.startswith("linux-image-")]
    if not images:
        raise AptError(f"{meta} depends on no linux-image package")
    version = images[0].removeprefix("linux-image-").removeprefix("unsigned-")
    found, new = set[str](), set(images[:1])
    while new:
        found |= new
        new = {
            name
            for package in new
            for name in apt.depends(package)
            if name.startswith("linux-") and name.endswith(version)
        } - found
    extra = f"linux-modules-extra-{version}"  # Ubuntu keeps 9p there
    if apt.versions(extra):
        found.add(extra)
    return sorted(found), version


def _unpack(packages: list[Path], tree: Path) -> None:
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)


def _arrange(tree: Path, kernel: Path, version: str) -> None:
    """Keep image and modules, wherever the packages had them, and index the modules."""
    images = [tree / f"boot/vmlinuz-{version}", *tree.glob("usr/lib/modules/*/vmlinuz")]
    shutil.copy(next(path for path in images if path.exists()), kernel / "vmlinuz")
    modules = kernel / "lib/modules" / version
    for parent in (tree / "lib/modules", tree / "usr/lib/modules"):
        if (parent / version).exists():
            shutil.copytree(parent / version, modules, dirs_exist_ok=True)
    depmod = shutil.which("depmod") or "/usr/sbin/depmod"
    subprocess.run([depmod, "-b", kernel, version], check=True)


def _link(link: Path, version: str) -> None:
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(version)
    fresh.replace(link)
