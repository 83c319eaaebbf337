"""The build: which loops are compiled, when again, and what where they cannot be."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.building.package import ROOT, Checkout, hook_module


def objects(checkout: Checkout) -> dict[str, int]:
    """Objects in place, by the inode that each is."""
    return {path.name: path.stat().st_ino for path in checkout.package.rglob("*.so")}


def test_every_module_that_says_import_cython_is_compiled_and_written_down(
    checkout: Checkout,
) -> None:
    assert set(objects(checkout)) == {"sums.abi3.so", "more.abi3.so"}
    names = [line.split()[0] for line in checkout.built.read_text().splitlines()]
    assert names == ["pghot.deep.more", "pghot.sums"]
    assert checkout.say("total(5), is_compiled(), m()").stdout == "(30, True, True)\n"


def test_only_what_has_changed_is_compiled_again(checkout: Checkout) -> None:
    before = objects(checkout)
    checkout.loop.write_text(checkout.loop.read_text().replace("i * STEP", "i * STEP + 1"))
    assert checkout.build().returncode == 0
    after = objects(checkout)
    assert after["more.abi3.so"] == before["more.abi3.so"]
    assert after["sums.abi3.so"] != before["sums.abi3.so"]
    assert checkout.say("total(5), is_compiled()").stdout == "(35, True)\n"


def test_times_of_files_do_not_matter(checkout: Checkout) -> None:
    before = objects(checkout)
    text = checkout.loop.read_text()
    checkout.loop.touch()
    assert checkout.build(CC="false").returncode == 0  # what cannot compile has nothing to do
    checkout.loop.write_text(text.replace("i * STEP", "i * STEP + 1"))
    os.utime(checkout.loop, (0, 0))
    assert checkout.build().returncode == 0
    assert objects(checkout)["sums.abi3.so"] != before["sums.abi3.so"]


def test_a_constant_in_a_pxd_reaches_every_loop(checkout: Checkout) -> None:
    (checkout.package / "units.pxd").write_text("cdef enum:\n    STEP = 4\n")
    assert checkout.build().returncode == 0
    assert checkout.say("total(5)").stdout == "40\n"


def test_a_module_that_holds_loops_no_more_leaves_no_object(checkout: Checkout) -> None:
    checkout.loop.write_text("def total(n): return -n\ndef is_compiled(): return False\n")
    assert checkout.build().returncode == 0
    assert set(objects(checkout)) == {"more.abi3.so"}
    assert checkout.say("total(5), m()").stdout == "(-5, True)\n"


def test_a_source_that_cannot_be_compiled_is_named_with_what_the_compiler_says(
    checkout: Checkout,
) -> None:
    checkout.loop.write_text(
        checkout.loop.read_text().replace("import STEP\nelse", "import PACE\nelse")
    )
    done = checkout.build()
    assert done.returncode == 1
    assert done.stderr.startswith("src/pghot/sums.py cannot be compiled:")
    assert "Traceback" not in done.stderr
    assert not list((checkout.root / "build" / "loops").glob("c-*"))


def test_without_a_compiler_loops_stay_interpreted_and_old_objects_go(checkout: Checkout) -> None:
    done = checkout.build(CC="no-such-compiler")
    assert done.returncode == 0
    assert done.stderr == "no C compiler: the loops of pghot stay interpreted\n"
    assert objects(checkout) == {}
    assert not checkout.built.exists()


def test_where_loops_must_be_compiled_the_want_of_a_compiler_is_an_error(fresh: Checkout) -> None:
    done = fresh.build(CC="no-such-compiler", PGHOT_COMPILE="yes")
    assert done.returncode == 1
    assert done.stderr == "no C compiler: the loops cannot be compiled\n"


def test_loops_that_are_not_to_be_compiled_are_not(checkout: Checkout) -> None:
    assert checkout.build(PGHOT_COMPILE="no").returncode == 0
    assert objects(checkout) == {}


def test_debians_packages_are_named_for_what_is_missing(fresh: Checkout) -> None:
    packages = fresh.build("missing", CC="no-such-compiler").stdout.split()
    assert packages[:2] == ["gcc", "libc6-dev"]
    assert packages[2].endswith("-dev")


def test_objects_in_place_are_current_until_anything_of_them_changes(checkout: Checkout) -> None:
    assert checkout.build("current").returncode == 0
    checkout.object.unlink()
    assert checkout.build("current").returncode == 1
    assert checkout.build().returncode == 0
    checkout.loop.write_text(checkout.loop.read_text() + "\n")
    assert checkout.build("current").returncode == 1


def test_a_read_only_checkout_is_compiled_elsewhere_and_nothing_stays_there(
    fresh: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = hook_module()
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr(hook.tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr(hook.os, "access", lambda *_: False)  # root may write everywhere
    work = hook.Work(fresh.root)
    made = work.objects()
    assert all(path.is_relative_to(elsewhere) and path.is_file() for path in made.values())
    work.close()
    assert not list(elsewhere.iterdir())


def wheel_names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


@pytest.mark.skipif(
    os.environ.get("PGHOT_VM_ALL") != "1", reason="compiles all loops again: PGHOT_VM_ALL=1"
)
def test_a_wheel_holds_the_objects_for_every_cpython_and_the_sources(tmp_path: Path) -> None:
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert "-cp311-abi3-linux_" in Path(made).name
    names = wheel_names(Path(made))
    assert {"pghot/_built.txt", "pghot/log/check.abi3.so", "pghot/log/check.py"} <= names
    assert not {name for name in names if "/build/" in name}


def test_a_wheel_without_objects_serves_every_machine_and_wants_cython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOT_COMPILE", "no")
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert made.endswith("-py3-none-any.whl")
    assert not {name for name in wheel_names(Path(made)) if name.endswith((".so", "_built.txt"))}
    with zipfile.ZipFile(made) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        assert "\nRequires-Dist: cython" in wheel.read(metadata).decode()


def test_a_source_distribution_holds_no_object_and_all_that_a_build_wants(tmp_path: Path) -> None:
    (made,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert not {name for name in names if name.endswith((".so", "_built.txt"))}
    assert {"hatch_build.py", "uv.lock", "src/pghot/engine/arrays.pxd"} <= names
