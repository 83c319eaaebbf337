"""A report in Debian's Chromium, offline: it draws, fetches nothing, complains of nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pghot.cli import main
from pghot.report.page.library import script
from pghot.report.page.page import render
from tests.left_out import leave_out
from tests.report.page.made_runs import a_run

CHROMIUM = shutil.which("chromium")

HOSTILE = "</script><script>document.title = 'taken'</script><b>bold</b>"


@dataclass
class Opened:
    """A page, what it asked for and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    if CHROMIUM is None:
        leave_out(request.config, "browser tests", "not installed: chromium")
    with sync_playwright() as playwright:
        # Without its sandbox: root, as in a container, can have none.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(results: Path) -> Path:
    """A report of two replays, under a hostile title."""
    out = results / "report.html"
    names = [str(results / name) for name in ("free", "full")]
    assert main(["report", *names, "-o", str(out), "--title", HOSTILE]) == 0
    return out


@pytest.fixture
def opened(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open the report and wait until it is drawn; parameters are the context's."""
    context = browser.new_context(
        **{"offline": True, "viewport": {"width": 1100, "height": 900}}
        | getattr(request, "param", {})
    )
    page = context.new_page()
    opened = Opened(page)
    page.on("request", lambda asked: opened.requests.append(asked.url))
    page.on("console", lambda line: opened.complaints.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    yield opened
    context.close()


def drawn(page: Page, name: str) -> int:
    """How many marks a chart has."""
    return page.locator(
        f'[data-view="{name}"] .mark-rect path, [data-view="{name}"] .mark-line path'
    ).count()


def ticks(page: Page, axis: str = "time, s") -> list[str]:
    """The labels of an axis of the heat map that is shown."""
    labels = page.locator('[data-of="map"]:not([hidden]) .role-axis').filter(has_text=axis)
    texts = labels.first.locator(".role-axis-label text").all_text_contents()
    return sorted(texts, key=lambda text: float(text.replace(",", "")))


def colour(page: Page, selector: str, what: str) -> str:
    return str(page.eval_on_selector(selector, f"e => getComputedStyle(e).{what}"))


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_every_chart_is_drawn_without_a_request_or_a_complaint(
    opened: Opened, report: Path
) -> None:
    shown = opened.page.locator("figure:not([hidden]) [data-view]")
    names = [view.get_attribute("data-view") for view in shown.all()]
    assert {name.split("-")[0] for name in names} >= {
        "fast",
        "moves",
        "map",
        "batches",
        "compared",
    }
    for name in names:
        assert opened.page.locator(f'[data-view="{name}"] svg').count() == 1, name
    assert drawn(opened.page, "map-0") > 20
    assert drawn(opened.page, "fast-0") >= 2
    assert opened.requests == [report.as_uri()]
    assert opened.complaints == []


def test_a_hostile_title_is_text(opened: Opened) -> None:
    assert opened.page.title() == HOSTILE
    assert opened.page.locator("h1").inner_text() == HOSTILE
    assert opened.page.locator("b").count() == 0


def test_a_script_that_gets_in_all_the_same_does_not_run(opened: Opened) -> None:
    opened.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        " document.body.append(s); }"
    )
    assert opened.page.evaluate("window.bad") is None
    assert "Content Security Policy" in opened.complaints[0]


def test_the_page_cannot_fetch(opened: Opened) -> None:
    words = opened.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'yes', () => 'no')")
    assert words == "no"
    assert any("Content Security Policy" in line for line in opened.complaints)


def test_the_buttons_zoom_the_heat_map_and_show_all_again(opened: Opened) -> None:
    page = opened.page
    before = ticks(page)
    figure = page.locator('[data-of="map"]:not([hidden])')
    for _ in range(2):
        figure.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(200)
    closer = ticks(page)
    assert closer != before
    span = [float(t.replace(",", "")) for t in closer]
    assert max(span) - min(span) < float(before[-1]) - float(before[0])
    figure.get_by_role("button", name="Show all").click()
    page.wait_for_timeout(200)
    assert ticks(page) == before


def test_shift_and_the_wheel_zoom_and_the_wheel_alone_scrolls(opened: Opened) -> None:
    page = opened.page
    chart = page.locator('[data-view="map-0"] svg')
    chart.scroll_into_view_if_needed()
    before = ticks(page)
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(200)
    assert ticks(page) == before
    page.keyboard.down("Shift")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    page.keyboard.up("Shift")
    page.wait_for_timeout(300)
    assert ticks(page) != before
    assert opened.complaints == []


def test_another_range_is_drawn_when_it_is_chosen(opened: Opened) -> None:
    page = opened.page
    box = page.get_by_label("Range")
    names = box.locator("option").all_inner_texts()
    assert [name.endswith("node 1, whole") for name in names] == [True, True]
    assert [name.split()[0].rstrip(":") for name in names] == ["free", "full"]
    box.select_option(label=names[1])
    page.wait_for_selector('[data-view="map-1"][data-drawn] svg')
    assert page.locator('[data-of="map"]:not([hidden])').count() == 1
    assert drawn(page, "map-1") > 20


@pytest.mark.parametrize(
    "opened", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True
)
def test_text_has_contrast_in_both_colours(opened: Opened) -> None:
    page = opened.page
    back = colour(page, "figure", "backgroundColor")
    for selector in ("figcaption", "h2", "a[href]", "summary", ".line"):
        assert contrast(colour(page, selector, "color"), back) >= 4.5, selector
    for selector in (".role-axis-label text", ".role-axis-title text", ".role-legend-label text"):
        assert contrast(colour(page, selector, "fill"), back) >= 4.5, selector
    for line in page.locator('[data-view="fast-0"] .mark-line path').all():
        stroke = str(line.evaluate("e => getComputedStyle(e).stroke"))
        assert contrast(stroke, back) >= 3


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_the_switch_overrides_the_system(opened: Opened) -> None:
    page = opened.page
    assert luminance(colour(page, "body", "backgroundColor")) < 0.1
    page.get_by_label("light", exact=True).check()
    assert luminance(colour(page, "body", "backgroundColor")) > 0.9
    assert luminance(colour(page, ".role-axis-label text", "fill")) < 0.1
    page.get_by_label("dark", exact=True).check()
    assert luminance(colour(page, "body", "backgroundColor")) < 0.1
    page.get_by_label("as the system").check()
    assert luminance(colour(page, "body", "backgroundColor")) < 0.1


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_it_prints_light_with_its_charts_and_without_its_buttons(
    opened: Opened, tmp_path: Path
) -> None:
    page = opened.page
    page.emulate_media(media="print")
    assert luminance(colour(page, "body", "backgroundColor")) > 0.9
    assert luminance(colour(page, ".role-axis-label text", "fill")) < 0.1
    assert not page.locator(".theme").is_visible()
    assert not page.locator(".zoom").first.is_visible()
    assert page.locator('[data-view="map-0"] svg').is_visible()
    pdf = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert pdf.count(b"/Type /Page\n") <= 12
    assert len(pdf) > 20_000


def test_a_screen_reader_finds_names_headings_and_tables(opened: Opened) -> None:
    page = opened.page
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("region", name="Summary").is_visible()
    for chart in page.locator("figure:not([hidden]) [data-view]").all():
        assert chart.get_attribute("role") == "graphics-document"
        assert len(chart.get_attribute("aria-label") or "") > 20
    for details in page.locator("figure:not([hidden]) details").all():
        details.locator("summary").click()
        assert details.get_by_role("table").first.is_visible()
        assert details.get_by_role("columnheader").count() >= 2


def test_the_page_fits_a_narrow_window(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 800})
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.close()


def test_what_a_run_does_not_hold_leaves_no_empty_chart(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text(render([a_run()], "t", script()), encoding="utf-8")
    page = browser.new_page()
    page.goto(out.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    assert page.locator("#map figure, #heat figure, #batches figure").count() == 0
    for section in ("fast", "map", "heat", "batches"):
        assert page.locator(f"#{section} .line").first.inner_text().startswith("No ")
    page.close()
