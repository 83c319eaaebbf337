"""What would change the answers: in words, with the figure at which it does."""

from __future__ import annotations

import numpy as np

from pghot.engine.sizes import format_size
from pghot.engine.units import PAGE_SHIFT
from pghot.exploring.advice import PromoteAnswer, SizeAnswer
from pghot.exploring.case import Case
from pghot.exploring.price import Price
from pghot.exploring.tally import BOUND, FIRST_TOUCH


def changes_of(
    case: Case, size: SizeAnswer, promote: PromoteAnswer | None, price: Price | None
) -> list[str]:
    """The lines: size, skew, latency, moves, price."""
    lines = [*_size(size), *_skew(case)]
    if promote is not None and case.kind == "log":
        lines += _moves(case, promote)
    if price is not None:
        lines += _price(case, size, price)
    return lines


def _size(size: SizeAnswer) -> list[str]:
    least = size.needed[FIRST_TOUCH][1]
    if least is None:
        return []
    return [f"from {shown(least)} of fast memory on, first touch alone reaches the target"]


def _skew(case: Case) -> list[str]:
    if case.curve is None:
        return []
    share = case.curve.whole.share(BOUND, max(case.footprint // 10, 1))
    line = f"skew: the hottest tenth of the pages has {share:.0%} of the accesses; "
    return [f"{line}the nearer that comes to 10%, the less promotion can win"]


def _moves(case: Case, promote: PromoteAnswer) -> list[str]:
    best, base = promote.trials["best settings"], promote.trials["first touch"]
    rows = (best.share - base.share) * case.rows
    if rows <= 0:
        return ["promotion served fewer accesses fast than first touch: no latency makes it pay"]
    moves_s = case.prices.moves_s(best.moves, 0)
    gap_ns = case.prices.slow_ns - case.prices.fast_ns
    if case.accesses_a_row is None:
        return [_by_rows(moves_s / (rows * gap_ns * 1e-9))]
    slow = case.prices.fast_ns + moves_s / (rows * case.accesses_a_row) * 1e9
    line = f"latency: promotion would stop paying where slow memory took less than {slow:,.0f} ns "
    now = f"(it takes {case.prices.slow_ns:,.0f} ns, fast memory {case.prices.fast_ns:,.0f} ns)"
    return [line + now]


def _by_rows(least: float) -> str:
    """Say how many accesses a row must stand for, so that moving takes less than it saves."""
    if least <= 1:
        return "promotion saves more than its moves take even where a row is one access"
    return (
        f"promotion pays where a row of the log stands for {least:,.1f} accesses or more: "
        "below that, moving takes longer than it saves"
    )


def _price(case: Case, size: SizeAnswer, price: Price) -> list[str]:
    sizes = sorted(size.steps)
    cost = price.cost(np.array([*sizes, case.footprint]), case.footprint)
    whole = f"all of it fast costs {cost[-1]:,.4g}, {shown(size.chosen)} of it "
    whole += f"{cost[sizes.index(size.chosen)]:,.4g}"
    lines = [f"price: {whole}"]
    if sizes[-1] > size.chosen:
        more = cost[len(sizes) - 1] - cost[sizes.index(size.chosen)]
        points = 100 * (size.steps[sizes[-1]][BOUND] - size.steps[size.chosen][BOUND])
        lines.append(
            f"price: a step more, to {shown(sizes[-1])}, costs {more:,.4g} and serves "
            f"{points:.1f} points more at best"
        )
    return lines


def shown(pages: int) -> str:
    """Pages as a size, in MiB or GiB to a tenth where it is no whole number of them."""
    size = pages << PAGE_SHIFT
    for unit, shift in (("GiB", 30), ("MiB", 20)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):,.1f} {unit}"
    return format_size(size)
