#!/usr/bin/env python3
"""Draw docs/pictures/rooms.svg: which package of src/pghot imports which, from their imports.

A package stands above all that it imports; an arrow that others imply is left out.  With
--check nothing is written; status 1 where the picture is stale.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "pghot"
PICTURE = ROOT / "docs" / "pictures" / "rooms.svg"

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 120, 32, 24, 40, 12
STYLE = """
rect { fill: #eef3f8; stroke: #40566b; }
text { font: 14px sans-serif; fill: #1c2733; text-anchor: middle; }
path { stroke: #40566b; fill: none; opacity: 0.55; }
marker path { fill: #40566b; stroke: none; opacity: 1; }
@media (prefers-color-scheme: dark) {
  rect { fill: #1d2935; stroke: #8fa6bb; }
  text { fill: #e4ecf3; }
  path { stroke: #8fa6bb; }
  marker path { fill: #8fa6bb; }
}
"""
Graph = dict[str, set[str]]


def imported(path: Path) -> Iterator[str]:
    """The parts of pghot that a file imports, as it names them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pghot":
            below = (node.module or "").split(".")[1:2]
            yield from below or [alias.name for alias in node.names]


def rooms() -> list[str]:
    """The packages of src/pghot."""
    return [path.parent.name for path in sorted(PACKAGE.glob("*/__init__.py"))]


def imports() -> Graph:
    """By package, the packages that its modules import."""
    names = rooms()
    return {
        room: {
            name
            for path in (PACKAGE / room).rglob("*.py")
            for name in imported(path)
            if name in names and name != room
        }
        for room in names
    }


def below(graph: Graph, room: str) -> set[str]:
    """All that a package imports, by way of others too."""
    return graph[room].union(*(below(graph, name) for name in graph[room]))


def direct(graph: Graph) -> Graph:
    """The arrows that no others imply."""
    return {
        room: {
            name
            for name in names
            if not any(name in below(graph, other) for other in names - {name})
        }
        for room, names in graph.items()
    }


def layers(graph: Graph) -> list[list[str]]:
    """The packages from the top down: each in the row above the highest that it imports."""
    height: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((measure(name) for name in graph[room]), default=-1)
        return height[room]

    for room in graph:
        measure(room)
    rows = range(max(height.values()), -1, -1)
    return [sorted(room for room in graph if height[room] == row) for row in rows]


def places(rows: list[list[str]]) -> dict[str, tuple[int, int]]:
    """The left upper corner of each package's box, rows centred."""
    full = max(map(len, rows)) * (WIDTH + ACROSS)
    return {
        room: (
            MARGIN + (full - len(row) * (WIDTH + ACROSS)) // 2 + at * (WIDTH + ACROSS),
            MARGIN + level * (HEIGHT + DOWN),
        )
        for level, row in enumerate(rows)
        for at, room in enumerate(row)
    }


def box(room: str, corner: tuple[int, int]) -> str:
    """A package's box with its name."""
    x, y = corner
    middle = x + WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{middle}" y="{y + 21}">{room}</text>'
    )


def arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """A line from under one box to the top of another."""
    x, y = start[0] + WIDTH // 2, start[1] + HEIGHT
    to_x, to_y = end[0] + WIDTH // 2, end[1] - 5
    bend = (to_y - y) // 2
    curve = f"M{x} {y} C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
    return f'<path d="{curve}" marker-end="url(#head)"/>'


def draw() -> str:
    """The picture."""
    graph = imports()
    rows = layers(graph)
    corners = places(rows)
    width = max(x for x, _ in corners.values()) + WIDTH + MARGIN
    height = max(y for _, y in corners.values()) + HEIGHT + MARGIN
    arrows = [
        arrow(corners[room], corners[name])
        for room, names in sorted(direct(graph).items())
        for name in sorted(names)
    ]
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    )
    boxes = [box(room, corners[room]) for room in sorted(corners)]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return "\n".join([opening, f"<style>{STYLE}</style>", head, *arrows, *boxes, "</svg>", ""])


def main() -> int:
    """Write the picture, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if stale")
    check = parser.parse_args().check
    made = draw()
    if check:
        return int(not PICTURE.exists() or PICTURE.read_text() != made)
    PICTURE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
