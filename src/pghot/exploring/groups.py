"""Points in groups of one input each, on an executor, whose workers may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from contextlib import contextmanager
from typing import Any

from pghot.errors import InputError
from pghot.exploring.grid import Point
from pghot.exploring.inputs import Input
from pghot.exploring.run_point import be_worker, key_of, run_points

Row = dict[str, Any]
Group = list[Point]

POINTS = 8
"""Points of a group at the most: what is lost where a worker dies, and run again."""

GROUPS_A_CPU = 4
"""So many groups there are for each CPU at the least, so that none waits long for the last."""

FEW = 3
"""So few points run in this process."""

AHEAD = 2
"""Groups for each CPU that are with the pool at a time; all of them fail where one worker dies."""

DIED = "the process that ran it died: it was killed, or there was not enough memory"


def run_groups(
    points: Sequence[Point], inputs: Mapping[str, Input], executor: Executor | None
) -> Iterator[Row]:
    """Run points, and give the row of each as it ends.

    On `executor`, or else on all CPUs of this machine.  A point whose worker dies twice is a
    row with that error.  InputError where workers have another version of pghot.
    """
    cpus = len(os.sched_getaffinity(0))
    if executor is not None:
        yield from _on_executor(_groups(points, POINTS), inputs, executor)
    elif len(points) <= FEW or cpus == 1:
        for point in points:
            yield from run_points(inputs[point.input], [point])
    else:
        most = -(-len(points) // (GROUPS_A_CPU * cpus))
        yield from _on_this_machine(_groups(points, min(most, POINTS)), inputs, cpus)


def _groups(points: Sequence[Point], most: int) -> list[Group]:
    """Cut points into groups of one input each; those of simulations have one point."""
    groups: list[Group] = []
    for point in points:
        last = groups[-1] if groups else []
        if last and last[0].input == point.input and len(last) < most:
            last.append(point)
        else:
            groups.append([point])
    return groups


def _on_executor(
    groups: Sequence[Group], inputs: Mapping[str, Input], executor: Executor
) -> Iterator[Row]:
    again = yield from _submitted(groups, inputs, executor)
    dead = yield from _submitted([[point] for group in again for point in group], inputs, executor)
    for (point,) in dead:
        yield _died(inputs[point.input], point)


def _submitted(
    groups: Sequence[Group], inputs: Mapping[str, Input], executor: Executor
) -> Generator[Row, None, list[Group]]:
    """Run groups; those whose workers died are what the generator returns."""
    futures = {executor.submit(run_points, inputs[g[0].input], g): g for g in groups}
    lost: list[Group] = []
    for future in as_completed(futures):
        try:
            rows = future.result()
        except Exception:  # noqa: BLE001 - an executor has its own ways to say so
            lost.append(futures[future])
        else:
            yield from _checked(rows, futures[future], inputs)
    return lost


def _on_this_machine(
    groups: Sequence[Group], inputs: Mapping[str, Input], cpus: int
) -> Iterator[Row]:
    waiting = deque(groups)
    while waiting:
        with worker_pool(cpus) as pool:
            suspects = yield from _until_one_dies(waiting, inputs, pool, AHEAD * cpus)
        for point in suspects:
            with worker_pool(1) as pool:
                try:
                    rows = pool.submit(run_points, inputs[point.input], [point]).result()
                except BrokenExecutor:
                    rows = [_died(inputs[point.input], point)]
            yield from rows


def _until_one_dies(
    waiting: deque[Group], inputs: Mapping[str, Input], pool: Executor, ahead: int
) -> Generator[Row, None, list[Point]]:
    """Run groups until a worker dies; the points that were under way then are returned."""
    futures: dict[Future[list[Row]], Group] = {}
    suspects: list[Point] = []
    while (waiting and not suspects) or futures:
        while waiting and not suspects and len(futures) < ahead:
            group = waiting.popleft()
            try:
                futures[pool.submit(run_points, inputs[group[0].input], group)] = group
            except BrokenExecutor:
                suspects += group
        done, _others = wait(futures, return_when=FIRST_COMPLETED)
        for future in done:
            group = futures.pop(future)
            try:
                yield from future.result()
            except BrokenExecutor:
                suspects += group
    return suspects


def _checked(
    rows: Sequence[Row], group: Sequence[Point], inputs: Mapping[str, Input]
) -> Iterator[Row]:
    for row, point in zip(rows, group, strict=True):
        if row["key"] != key_of(inputs[point.input], point):
            raise InputError("a worker has another version of pghot; install this one there")
        yield row


def _died(given: Input, point: Point) -> Row:
    return {"key": key_of(given, point), "duration_s": 0.0, "error": DIED, "figures": {}}


@contextmanager
def this_machine() -> Iterator[ProcessPoolExecutor]:
    """Processes on all CPUs that this one may use."""
    with worker_pool(len(os.sched_getaffinity(0))) as pool:
        yield pool


@contextmanager
def worker_pool(cpus: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, at an interrupt at once."""
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(cpus, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    pool.shutdown()


def _begin() -> None:
    """Leave Ctrl-C, which all processes of a terminal get, to the one that waits for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    be_worker()
