"""Pictures of a report, light and dark: the summary with the first charts, and the heat map."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZE = {"width": 1000, "height": 1180}


def main(report: Path, directory: Path) -> None:
    """Write report-light.png, report-dark.png, heat-light.png and heat-dark.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            page.screenshot(path=directory / f"report-{scheme}.png")
            page.locator("#map").screenshot(path=directory / f"heat-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
