"""Kernel lockdown, as with Secure Boot.  It stays until the guest ends: the last file of all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm import daemon

LOCKDOWN = Path("/sys/kernel/security/lockdown")
LIMIT = Path("/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps")


def test_a_run_goes_on_at_the_kernels_pace_and_says_so() -> None:
    if not LOCKDOWN.exists():
        subprocess.run(["mount", "-t", "securityfs", "none", LOCKDOWN.parent], check=False)
    if not LOCKDOWN.exists():
        pytest.skip("this kernel has no lockdown, or no securityfs")
    LOCKDOWN.write_text("integrity")
    with pytest.raises(PermissionError):
        (daemon.SCAN / "scan_size_mb").read_text()
    before = daemon.BALANCING.read_text(), LIMIT.read_text()
    doctor = subprocess.run([daemon.PGHOT, "doctor"], capture_output=True, text=True, check=False)
    assert doctor.returncode == 0, doctor.stdout
    assert "kernel lockdown (integrity" in " ".join(doctor.stdout.split())
    done = daemon.pghot("run", "-a", "-d", "2", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "(kernel lockdown: integrity)" in line]
    assert "Operation not permitted" in line
    assert line.endswith("the kernel's own pace, so hot pages are known later")
    assert (daemon.BALANCING.read_text(), LIMIT.read_text()) == before
