"""The file: sections as HTML, the library, and a policy that lets nothing be fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple

from pghot.report.page.chart import Cell, ReportTable, Section, View
from pghot.report.page.compose import sections
from pghot.report.page.model import Run
from pghot.report.page.words import summary

LIMIT = 2_000_000
"""Bytes that a report is under, whatever the size of the run."""

ROWS = 1700
"""Rows of a table at the most."""


class Content(NamedTuple):
    """What a report says: what it is of, the sentences that come first, its sections."""

    about: str
    summary: Sequence[str]
    sections: Sequence[Section]


def render(runs: Sequence[Run], title: str, library: str) -> str:
    """The report of runs as HTML; `library` is the charting script."""
    return render_content(Content(_about(runs), summary(runs), sections(runs)), title, library)


def render_content(content: Content, title: str, library: str) -> str:
    """A report as HTML."""
    parts = content.sections
    views = {f"{part.key}-{at}": view for part in parts for at, view in enumerate(part.views)}
    data = _json(
        {
            name: {"spec": view.spec, "heat": view.heat, "lines": view.lines}
            for name, view in views.items()
        }
    )
    scripts = [_inline(library), _inline(_asset("page.js"))]
    style = _asset("page.css")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            "style-src 'unsafe-inline'",  # the library styles what it draws
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    body = "\n".join(_section(part) for part in parts)
    contents = "".join(f'<li><a href="#{p.key}">{escape(p.title)}</a></li>' for p in parts)
    sentences = "".join(f"<li>{escape(line)}</li>" for line in content.summary)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#summary">Skip to the summary</a>
<header>
<h1>{escape(title)}</h1>
<fieldset class="theme"><legend>Colours</legend>
<label><input type="radio" name="theme" value="" checked>as the system</label>
<label><input type="radio" name="theme" value="light">light</label>
<label><input type="radio" name="theme" value="dark">dark</label>
</fieldset>
<p class="about">{escape(content.about)}</p>
<nav aria-label="Sections"><ul>{contents}</ul></nav>
</header>
<main>
<section id="summary" aria-labelledby="summary-title">
<h2 id="summary-title">Summary</h2>
<ul class="summary">{sentences}</ul>
</section>
{body}
</main>
<noscript><p>The charts need JavaScript; the tables below each do not.</p></noscript>
<script type="application/json" id="views">{data}</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def _section(section: Section) -> str:
    key = section.key
    lines = "".join(f'<p class="line">{escape(line)}</p>' for line in section.lines)
    views = [_view(f"{key}-{at}", view, section) for at, view in enumerate(section.views)]
    tables = "".join(_table(table, shown=True) for table in section.tables)
    choice = _choice(section) if section.choice and len(section.views) > 1 else ""
    return (
        f'<section id="{key}" aria-labelledby="{key}-title">\n'
        f'<h2 id="{key}-title">{escape(section.title)}</h2>\n'
        f"{choice}{''.join(views)}{lines}{tables}\n</section>"
    )


def _choice(section: Section) -> str:
    options = "".join(
        f'<option value="{section.key}-{at}">{escape(view.name)}</option>'
        for at, view in enumerate(section.views)
    )
    return (
        f'<p class="choice"><label>Range <select data-choice="{section.key}">{options}</select>'
        "</label></p>\n"
    )


def _view(name: str, view: View, section: Section) -> str:
    tables = "".join(map(_table, view.tables))
    hidden = " hidden" if section.choice and not name.endswith("-0") else ""
    return (
        f'<figure id="{name}" data-of="{section.key}"{hidden}>\n'
        f"{_zoom(name) if section.zoom else ''}"
        f'<div class="chart" data-view="{name}"></div>\n'
        f"<figcaption>{escape(view.words)}</figcaption>\n"
        f"<details><summary>Data as a table</summary>{tables}</details>\n</figure>\n"
    )


def _zoom(name: str) -> str:
    kinds = (
        ("in", "+", "Zoom in"), ("out", "\N{MINUS SIGN}", "Zoom out"),
        ("left", "←", "Earlier"), ("right", "→", "Later"),
        ("up", "↑", "Higher addresses"), ("down", "↓", "Lower addresses"),
        ("reset", "All", "Show all"),
    )  # fmt: skip
    buttons = "".join(
        f'<button type="button" data-zoom="{kind}" aria-label="{label}" title="{label}">'
        f"{sign}</button>"
        for kind, sign, label in kinds
    )
    return (
        f'<p class="zoom" data-for="{name}" role="group" aria-label="Zoom">{buttons}'
        "<span>or drag to move, Shift and the wheel to zoom</span></p>\n"
    )


def _table(table: ReportTable, *, shown: bool = False) -> str:
    rows = list(table.rows)[:ROWS]
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    body = "\n".join(
        f'<tr><th scope="row">{_cell(row[0])}</th>'
        + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    left = len(table.rows) - len(rows)
    more = f"<p>{left:,} more rows are left out.</p>" if left else ""
    caption = escape(table.caption)
    kind = "shown" if shown else "data"
    return (
        f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>{more}</div>"
    )


def _cell(value: Cell) -> str:
    """Write a cell; an unknown figure is a dash that is read out as what it is."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return '<span role="img" aria-label="none">-</span>'
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escape(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < abs(value) < 0.001:
        return "under 0.001" if value > 0 else f"{value:.1e}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _about(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        run = runs[0]
        return f"{run.name}: {run.about}."
    abouts = dict.fromkeys(run.about for run in runs)
    return f"{len(runs)} runs: {'; '.join(abouts)}."


def _json(value: object) -> str:
    """JSON that ends no script, whatever its strings are."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _inline(script: str) -> str:
    """Have nothing in a script end its element."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    return files("pghot.report.page").joinpath(name).read_text(encoding="utf-8")
