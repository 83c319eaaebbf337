"""By hand: a shell or a command in a two-tier guest, and the kernels there are."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.vm import kernels, machine
from tests.vm.layout import POWERS, Layout


def main() -> int:
    """Run one of the three and give its exit status."""
    args = _parser().parse_args()
    try:
        if args.action == "kernels":
            return _list(fresh=args.fresh)
        if absent := machine.missing():
            print(f"missing packages: {', '.join(absent)}", file=sys.stderr)
            return 1
        kernel = kernels.find(args.kernel)
    except kernels.NoKernelError as error:
        print(error, file=sys.stderr)
        return 1
    if args.action == "shell":
        return machine.shell(kernel)
    return _run(kernel, args.words, args.timeout, Layout(instruction_ns=args.instruction_ns))


def _list(*, fresh: bool) -> int:
    for which in kernels.WHICH:
        kernel = kernels.find(which, fresh=fresh)
        print(f"{which:8} {kernel.version}  {kernel.directory}")
    return 0


def _run(kernel: kernels.Kernel, words: list[str], timeout: float, layout: Layout) -> int:
    def heard(text: str) -> None:
        print(text, end="", flush=True)

    with tempfile.TemporaryDirectory(prefix="pghot-run-") as scratch:
        finished = machine.run(
            kernel, words, Path(scratch), timeout=timeout, layout=layout, heard=heard
        )
        if finished.status is None:
            print(f"no exit status after {timeout:.0f} s; {finished.explain()}", file=sys.stderr)
            return 1
    return finished.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    have = actions.add_parser("kernels", help="list them, fetching what is not there")
    have.add_argument("--fresh", action="store_true", help="look for newer ones")
    for name in ("shell", "run"):
        action = actions.add_parser(name)
        action.add_argument("--kernel", default="release", help="release, next, or 6.12, 7.x")
    action.add_argument("--timeout", type=float, default=600, help="seconds (600)")
    action.add_argument(
        "--instruction-ns",
        type=int,
        choices=POWERS,
        help="time is what the guest executes: a power of two (the host's clock)",
    )
    action.add_argument("words", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
