from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pghot.errors import PghotError
from pghot.linux.nodes.zoneinfo import ZoneInfo, parse_zoneinfo, read_again, read_zoneinfo
from tests.linux import host_trees as trees


def test_populated_zones_are_given_and_empty_ones_are_not(tmp_path: Path) -> None:
    zones = read_zoneinfo(trees.host(trees.plain, tmp_path))
    assert [zone.name for zone in zones] == ["DMA", "DMA32", "Normal"]
    assert zones[0] == ZoneInfo(0, "DMA", 3840, 100, 200, 300, 94, 4095, 3998, 3998, 1)
    assert zones[0].end_pfn == 4096


def test_a_kernel_without_the_promo_line_has_no_promo_watermark(tmp_path: Path) -> None:
    zones = read_zoneinfo(trees.host(trees.old, tmp_path))
    assert [zone.promo for zone in zones] == [None, None]
    assert [zone.high for zone in zones] == [300, 300]


def test_the_high_of_per_cpu_lists_is_not_the_watermark() -> None:
    text = trees.Z("Normal", 5, 10).text(3, True)
    assert "high:     9463" in text
    assert [(zone.node, zone.high) for zone in parse_zoneinfo(text)] == [(3, 300)]


def test_a_zone_that_lacks_a_value_is_told() -> None:
    text = trees.Z("Normal", 5, 10).text(3, True).replace("spanned", "spun")
    with pytest.raises(PghotError, match=r"/proc/zoneinfo: node 3, zone Normal: lacks spanned$"):
        parse_zoneinfo(text)


@pytest.mark.parametrize("tree", [trees.plain, trees.old])
def test_zones_read_again_are_as_they_are_now(tree, tmp_path: Path) -> None:
    host = trees.host(tree, tmp_path)
    before = read_zoneinfo(host)
    path = tmp_path / "proc/zoneinfo"
    text = path.read_text()
    for old, new in (
        ("  min      100", "  min      777"),
        ("pages free     1000", "pages free     5"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    again = read_again(host, before)
    assert again == read_zoneinfo(host)
    assert again != before


def test_zones_that_have_gone_or_come_are_not_among_those_read_again(tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    zones = read_zoneinfo(host)
    other = dataclasses.replace(zones[0], node=9)
    assert read_again(host, [zones[1], other]) == (zones[1],)


@pytest.mark.parametrize(
    "damage", [("min ", "mine "), ("min      100", "min      x"), ("min", "")]
)
def test_damage_is_told_as_at_first(damage, tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    zones = read_zoneinfo(host)
    path = tmp_path / "proc/zoneinfo"
    path.write_text(path.read_text().replace(*damage))
    with pytest.raises(PghotError, match=r"zone DMA: lacks min$"):
        read_again(host, zones)


def test_no_zoneinfo_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PghotError, match=r"^/proc/zoneinfo: No such file or directory$"):
        read_zoneinfo(trees.RecordedHost(tmp_path))
