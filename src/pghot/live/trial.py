"""A trial: blocks with and without promotion in turn, and what was measured in each.

Every block begins with the pages where they were before anything was promoted (`moving_back`),
so that no block has the work of the one before; how far that has gone when the warm-up is over
decides whether the block counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pghot.engine.units import USEC_PER_SEC
from pghot.errors import Caution, InputError, PghotError
from pghot.linux.processes.metric_command import MetricCommand, Numbers
from pghot.live.clock import Clock
from pghot.live.demoted_again import DemotedAgain
from pghot.live.evidence import Mark, RunMarks
from pghot.live.moving_back import MovingBack
from pghot.live.trial_plan import TrialPlan
from pghot.live.trial_switch import Switch
from pghot.results.trial import (
    FAST_SHARE,
    METRIC,
    STALL_FULL,
    STALL_SOME,
    Block,
    TrialResult,
    late_promotions,
)

STEP_US = 50_000
"""Microseconds of moving pages back between two looks at the rings, and one call more."""

LATE_SHARE = 0.1
"""Of the promotions, the share after the warm-up that is worth a note, and that of demotions;
also, of a block, what it may begin late."""

NOT_BACK = "promoted pages were not all moved back when its warm-up was over"
BEGAN_LATE = "it began late"
MEASURED_LATE = "its measuring began late"
ENDED_LATE = "it ended late"
DISTURBED = "somebody else changed a setting in it"


def measures_nothing(plan: TrialPlan, evidence: RunMarks) -> Caution | None:
    """What a person should know of a trial that cannot tell whether it helps; else None.

    InputError where there is nothing at all to measure.
    """
    if plan.metric_command is not None or evidence.by_samples:
        return None
    if evidence.pressure_of is None:
        raise InputError(
            "--trial: nothing here can be measured: no hardware samples, no PSI "
            "(/proc/pressure/memory); give --metric-command"
        )
    return Caution(
        "trial: with hint faults alone only stalls are measured, which do not tell whether it "
        "helps; --metric-command does"
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a trial counts beside the marks: pages promoted, by the kernel too, and demoted."""

    promoted: Callable[[], int]
    kernel_promoted: Callable[[], int]
    demoted: Callable[[], int]


@dataclass(slots=True)
class _Now:
    """The block at hand."""

    at: int
    arm: int
    began_us: int
    promoted: int
    kernel_promoted: int
    demoted: int
    moved_back: int
    why: str = ""
    measured: Mark | None = None
    promoted_warm: int = 0


class Trial:
    """Attended several times a second by the loop of a run; `result` tells what came of it."""

    def __init__(
        self,
        plan: TrialPlan,
        clock: Clock,
        switch: Switch,
        evidence: RunMarks,
        moving: MovingBack,
        staying: DemotedAgain,
        counts: Counts,
        tell: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self._order = plan.order()
        self._clock, self.switch, self._evidence = clock, switch, evidence
        self._moving, self._staying, self._counts, self._tell = moving, staying, counts, tell
        self._blocks: list[Block] = []
        self._now: _Now | None = None
        self._next = 0
        self._settled = True
        self._metric: MetricCommand | None = None
        self._leaving: list[MetricCommand] = []
        self._told: set[str] = set()

    def attend(self) -> None:
        """Do what is due; PghotError where the metric command fails in the first block."""
        now_us = self._clock.now_us()
        if now_us >= self.plan.start_us(self._next):
            self._end_block(now_us)
            self._skip_blocks(now_us)
            self._begin_block(now_us)
        self._settle()
        now = self._now
        if now is not None and now.measured is None and now_us >= self._measured_from(now):
            self._measure(now, now_us)
        if self._metric is not None:
            self._metric.read()
        self._leaving = [metric for metric in self._leaving if not metric.gone]

    def close(self) -> None:
        """End what still runs of it; the block at hand does not count."""
        if self._metric is not None:
            self._metric.close()
            self._metric = None

    @property
    def progress(self) -> str:
        """Where it is, in a few words."""
        if self._now is None:
            return f"trial {len(self._blocks)}/{len(self._order)}"
        part = "warm-up" if self._now.measured is None else "measuring"
        name = self.plan.arms[self._now.arm]
        return f"trial {self._now.at + 1}/{len(self._order)}, {name}, {part}"

    def result(self) -> TrialResult:
        """What has come of it so far."""
        plan = self.plan
        return TrialResult(
            arms=plan.arms,
            pairs=plan.pairs,
            block_s=plan.block_s,
            warm_up_s=plan.warm_up_s,
            seed=plan.seed,
            order=self._order,
            metric_command=plan.metric_command,
            better=plan.better,
            blocks=tuple(self._blocks),
            notes=self._notes(),
        )

    def _measured_from(self, now: _Now) -> int:
        return self.plan.start_us(now.at) + round(self.plan.warm_up_s * USEC_PER_SEC)

    def _skip_blocks(self, now_us: int) -> None:
        """Leave out blocks that would be over by now: the run has stood still."""
        while self._next < len(self._order) and now_us >= self.plan.start_us(self._next + 1):
            now_s = now_us / USEC_PER_SEC
            arm = self._order[self._next]
            late = Block(self._next // 2, arm, now_s, now_s, now_s, why=BEGAN_LATE)
            self._blocks.append(late)
            self._next += 1

    def _begin_block(self, now_us: int) -> None:
        at = self._next
        self._next += 1
        if at >= len(self._order):
            self._now = None
            return
        arm = self._order[at]
        self.switch.hold(arm)
        self._settled = False
        counts = self._counts
        self._now = _Now(
            at,
            arm,
            now_us,
            counts.promoted(),
            counts.kernel_promoted(),
            counts.demoted(),
            self._moving.pages,
        )
        if self._late(now_us, self.plan.start_us(at)):
            self._now.why = BEGAN_LATE

    def _late(self, now_us: int, due_us: int) -> bool:
        """Whether much of a block's time has gone since something was due."""
        return now_us - due_us > LATE_SHARE * self.plan.block_s * USEC_PER_SEC

    def _settle(self) -> None:
        """Move pages back for a while; once all are back, let the block have its settings."""
        if self._settled or self._now is None:
            return
        until_us = self._clock.now_us() + STEP_US
        while self._moving.left and self._clock.now_us() < until_us:
            self._moving.step()
        if not self._moving.left:
            self._staying.forget()
            self.switch.go(self._now.arm)
            self._settled = True

    def _measure(self, now: _Now, now_us: int) -> None:
        if not self._settled:
            now.why = now.why or NOT_BACK
        if self._late(now_us, self._measured_from(now)):
            now.why = now.why or MEASURED_LATE
        now.measured = self._evidence.mark(now_us)
        now.promoted_warm = self._counts.promoted()
        if self.plan.metric_command is not None:
            self._metric = MetricCommand(self.plan.metric_command)
            self._metric.start()

    def _end_block(self, now_us: int) -> None:
        now = self._now
        if now is None or now.measured is None:  # the first, or none of it was measured
            if now is not None:
                self._blocks.append(self._block(now, now_us, {}, {}))
            return
        span = self._evidence.mark(now_us).since(now.measured)
        if self.switch.disturbed:
            now.why = now.why or DISTURBED
        if self._late(now_us, self.plan.start_us(self._next)):
            now.why = now.why or ENDED_LATE
        values, lacking = self._values(span)
        numbers = self._numbers(now, values, lacking)
        self._blocks.append(
            self._block(now, now_us, values, lacking, numbers=numbers, samples=span.samples)
        )

    def _values(self, span: Mark) -> tuple[dict[str, float], dict[str, str]]:
        values: dict[str, float] = {}
        lacking: dict[str, str] = {}
        if self._evidence.by_samples:
            if span.fast_share is None:
                lacking[FAST_SHARE] = "no sample"
            else:
                values[FAST_SHARE] = span.fast_share
        if self._evidence.pressure_of is not None:
            values[STALL_SOME] = span.share_of_time(span.some_us)
            values[STALL_FULL] = span.share_of_time(span.full_us)
        return values, lacking

    def _numbers(self, now: _Now, values: dict[str, float], lacking: dict[str, str]) -> int:
        """Take the metric's numbers; how many there were."""
        if self._metric is None:
            return 0
        numbers = self._metric.end()
        self._leaving.append(self._metric)
        self._metric = None
        if not numbers.why:
            values[METRIC] = numbers.mean
            return numbers.how_many
        lacking[METRIC] = numbers.why
        self._metric_failed(now, numbers)
        return numbers.how_many

    def _metric_failed(self, now: _Now, numbers: Numbers) -> None:
        """End the trial in its first block, where nothing is lost; later tell it, once."""
        line = f"--metric-command: {numbers.why}"
        if now.at == 0:
            raise PghotError(f"{line}, in the first block of the trial: nothing was measured")
        if numbers.why not in self._told:
            self._told.add(numbers.why)
            self._tell(Caution(f"{line}, in block {now.at + 1}: its pair has no metric"))

    def _block(
        self,
        now: _Now,
        end_us: int,
        values: dict[str, float],
        lacking: dict[str, str],
        **more: int,
    ) -> Block:
        promoted = self._counts.promoted()
        began_us = end_us if now.measured is None else now.measured.us
        return Block(
            pair=now.at // 2,
            arm=now.arm,
            start_s=now.began_us / USEC_PER_SEC,
            measured_s=began_us / USEC_PER_SEC,
            end_s=end_us / USEC_PER_SEC,
            values=values,
            lacking=lacking,
            why=now.why if now.measured is not None else now.why or ENDED_LATE,
            promoted_pages=promoted - now.promoted,
            promoted_late=promoted - now.promoted_warm if now.measured is not None else 0,
            moved_back_pages=self._moving.pages - now.moved_back,
            kernel_promoted_pages=self._counts.kernel_promoted() - now.kernel_promoted,
            demoted_pages=self._counts.demoted() - now.demoted,
            **more,
        )

    def _notes(self) -> list[str]:
        """What a reader of the figures should know."""
        notes = []
        late = late_promotions(self._blocks)
        if late > LATE_SHARE:
            notes.append(
                f"{late:.0%} of what was promoted came after the warm-up: the difference is that "
                "of promotion under way; longer blocks (--trial-block) show more of it"
            )
        by_kernel = [
            sum(block.kernel_promoted_pages for block in self._blocks if block.arm == arm)
            for arm in (0, 1)
        ]
        if any(by_kernel):
            notes.append(
                f"the kernel itself promoted {by_kernel[0]:,} pages in blocks of "
                f"{self.plan.arms[0]!r} and {by_kernel[1]:,} in those of {self.plan.arms[1]!r}; "
                "they were not moved back, so the difference is smaller by what they bring"
            )
        if self.switch.kernel_promotes_when_off:
            notes.append(
                f"numa_balancing was {self.switch.balancing_off} before the run: in blocks of "
                f"{self.plan.arms[1]!r} the kernel promotes, so this is pghot against it"
            )
        demoted = sum(block.demoted_pages for block in self._blocks)
        if demoted > LATE_SHARE * sum(block.promoted_pages for block in self._blocks):
            notes.append(
                f"reclaim demoted {demoted:,} pages in the trial, which were not moved back: "
                f"those of them that are accessed again count against {self.plan.arms[1]!r}"
            )
        if self._moving.stayed:
            notes.append(
                f"{self._moving.stayed:,} pages could not be moved back and stayed fast in blocks "
                "that should have been without them"
            )
        if self._moving.overflowed:
            notes.append("more was promoted in a block than can be moved back")
        return notes
