"""`pghot report`: results as one file of HTML that opens offline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "results",
        metavar="RESULT",
        nargs="+",
        type=Path,
        help="directory that replay, run, sim, curve, sweep or advise wrote with -o",
    )
    parser.add_argument(
        "-o", dest="output", metavar="FILE", type=Path, required=True, help="write the report here"
    )
    parser.add_argument("--title", help="the report's title (default: the results' names)")
    parser.add_argument("--force", action="store_true", help="write over FILE")


def run(args: argparse.Namespace) -> int:
    """Read the results, write the report."""
    from pghot.files.whole import SHARED, whole_file
    from pghot.report.page.explored import read_explored
    from pghot.report.page.library import script
    from pghot.report.page.page import render, render_content
    from pghot.report.page.read import read_results

    explored = read_explored(args.results)
    runs = [] if explored else read_results(args.results)
    title = args.title or f"pghot: {', '.join(path.resolve().name for path in args.results)}"
    with whole_file(args.output, force=args.force, mode=SHARED) as stream:
        if explored:
            text = render_content(explored, title, script())
        else:
            text = render(runs, title, script())
        stream.write(text.encode(errors="replace"))
    print(f"{args.output}: {_next(args.results)}", file=sys.stderr)
    return 0


def _next(results: list[Path]) -> str:
    """Say where to look beyond the report."""
    more = " another result beside it compares;" if len(results) == 1 else ""
    return f"open it in a browser;{more} pghot why tells of pages"
