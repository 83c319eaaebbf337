"""A disk with a release of Debian, systemd and the package of this checkout, and its initramfs.

debootstrap makes the root file system once and keeps it in the cache as an archive; mke2fs
makes the disk from a directory, so that nothing is mounted here but a chroot's /proc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.vm.apt import ETC, stanzas
from tests.vm.kernels import Kernel, cache
from tests.vm.machine import LOAD_FLAGS, ROOT

INCLUDE = "systemd,systemd-sysv,udev,dbus,python3"
MODULES = ("virtio_pci", "virtio_blk", "ext4")
DISK_MIB = 2048
CHECK = Path(__file__).with_name("check.py")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

PROGRAMS = {
    "debootstrap": "debootstrap",
    "mke2fs": "e2fsprogs",
    "dh_builddeb": "debhelper",
    "lintian": "lintian",
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "modprobe": "kmod",
    "gcc": "gcc libc6-dev",
}
"""Programs that this needs, and their packages."""

UNIT = """\
[Unit]
Description=Checks of the package
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /usr/local/lib/check.py
StandardOutput=journal
ExecStopPost=/usr/bin/systemctl poweroff -ff

[Install]
WantedBy=multi-user.target
"""

SLOW = """\
[Manager]
DefaultTimeoutStartSec=1800
DefaultTimeoutStopSec=1800
"""
"""An emulator beside other work takes minutes for what a machine starts in a second."""

INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do
    /bin/busybox insmod /modules/$module
done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /disk
exec /bin/busybox switch_root /disk /sbin/init
"""


class NoRootError(Exception):
    """No root file system can be had; the message says why."""


def base(release: str) -> Path:
    """An archive of a release with systemd and Python, made where the cache has none."""
    archive = cache().parent / "roots" / f"{release}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        root = archive.with_suffix(f".{os.getpid()}")
        try:
            _debootstrap(release, root)
            part = archive.with_suffix(f".part-{os.getpid()}")
            subprocess.run(["tar", "-C", root, "--one-file-system", "-cf", part, "."], check=True)
            part.replace(archive)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return archive


def _debootstrap(release: str, root: Path) -> None:
    options = ("--variant=minbase", f"--include={INCLUDE}", f"--keyring={KEYRING}")
    done = subprocess.run(
        ["debootstrap", *options, release, root, _mirror()],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    if done.returncode:
        raise NoRootError(f"debootstrap {release}: {done.stdout.strip().splitlines()[-1:]}")


def _mirror() -> str:
    """The first source of this machine's own release."""
    codename = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
    )["VERSION_CODENAME"]
    for text in stanzas(ETC, codename, [codename]):
        for line in text.splitlines():
            if line.startswith("URIs: "):
                return line.split()[1]
    raise NoRootError(f"no apt source of this machine names {codename}")


def package(release: str, into: Path) -> Path:
    """The package of this checkout for a release, built by scripts/deb."""
    quick = {"PGHOT_DIST": str(into), "DPKG_DEB_COMPRESSOR_TYPE": "gzip"}
    done = subprocess.run(
        [ROOT / "scripts/deb", release],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | quick,
    )
    if done.returncode:
        raise AssertionError(f"scripts/deb {release}: {done.stderr[-3000:]}")
    (made,) = into.glob("*.deb")
    return made


def disk(release: str, deb: Path, scratch: Path) -> Path:
    """A disk on which the package is installed and the checks run after the boot."""
    root, image = scratch / "root", scratch / "disk"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", base(release)], check=True)
    shutil.copy(deb, root / "srv")
    _in_chroot(root, "dpkg", "--install", f"/srv/{deb.name}")
    shutil.copy(CHECK, root / "usr/local/lib/check.py")
    load = str(root / "usr/local/lib/load")
    subprocess.run(["gcc", *LOAD_FLAGS, str(ROOT / "tests/vm/load.c"), "-o", load], check=True)
    (root / "etc/systemd/system/check.service").write_text(UNIT)
    (root / "etc/systemd/system.conf.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/systemd/system.conf.d/slow.conf").write_text(SLOW)
    _in_chroot(root, "systemctl", "enable", "check.service")
    making = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", root, image, f"{DISK_MIB}M"]
    subprocess.run(making, check=True)
    shutil.rmtree(root)
    return image


def _in_chroot(root: Path, *command: str) -> None:
    done = subprocess.run(
        ["/usr/sbin/chroot", root, *command],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")


def initramfs(kernel: Kernel, scratch: Path) -> Path:
    """What finds the disk and hands over to its init: busybox and the modules for it."""
    tree, made = scratch / "initramfs.d", scratch / "initramfs"
    for name in ("bin", "dev", "disk", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tree / "bin/busybox")
    modules = [_module(path, tree / "modules") for path in _needed(kernel)]
    (tree / "init").write_text(INIT.format(modules=" ".join(modules)))
    (tree / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=tree, check=True, capture_output=True).stdout
    pack = ["busybox", "cpio", "-o", "-H", "newc"]
    with made.open("wb") as file:
        subprocess.run(
            pack, cwd=tree, input=names, stdout=file, stderr=subprocess.DEVNULL, check=True
        )
    return made


def _needed(kernel: Kernel) -> list[Path]:
    """Files of MODULES and of what they need, in the order in which they go in."""
    found: dict[Path, None] = {}
    for name in MODULES:
        where = ("-d", kernel.directory, "-S", kernel.version)
        listed = subprocess.run(
            ["/usr/sbin/modprobe", "--show-depends", *where, name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        lines = (line.split() for line in listed.splitlines())
        found |= {Path(words[1]): None for words in lines if words[0] == "insmod"}
    return list(found)


def _module(path: Path, into: Path) -> str:
    """Copy a module, unpacked."""
    unpack = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
    name = path.name.removesuffix(path.suffix) if unpack else path.name
    if unpack:
        with (into / name).open("wb") as file:
            subprocess.run([unpack, "-dc", path], stdout=file, check=True)
    else:
        shutil.copy(path, into / name)
    return name
