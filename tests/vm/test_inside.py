"""Every test of tests/vm/inside, on every kernel, as a test of its own."""

from __future__ import annotations

import pytest

from tests.vm import kernels, session

INSIDE = "tests/vm/inside/"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "test" in metafunc.fixturenames:
        tests = session.collect()
        metafunc.parametrize("test", tests, ids=[test.removeprefix(INSIDE) for test in tests])
    if "which" in metafunc.fixturenames:
        metafunc.parametrize("which", kernels.WHICH)


@pytest.mark.vm
def test_on_a_stock_kernel(boot: session.Boot, test: str) -> None:
    said = boot.of(test)
    if said.outcome == "skipped":
        pytest.skip(said.text)
    if said.outcome != "passed":
        pytest.fail(said.text, pytrace=False)
    print(said.text)


@pytest.mark.vm
def test_a_boot_takes_less_than_a_minute(boot: session.Boot) -> None:
    assert 0 < boot.finished.boot_s < 60, boot.finished.explain()
    print(f"booted in {boot.finished.boot_s:.1f} s")
