"""The report of advice: the answers in words, and the tables that they rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pghot.errors import InputError
from pghot.exploring.advice import Advice, PromoteAnswer, SettingsAnswer, SizeAnswer
from pghot.exploring.changes import shown
from pghot.exploring.placement import RegionShare
from pghot.exploring.policy_runs import Candidate, CandidateTrial
from pghot.files.bounded import read_bounded
from pghot.report.advice import NAMES, promote_lines, settings_lines, size_lines
from pghot.report.page.chart import ReportTable, Section
from pghot.report.page.page import Content
from pghot.report.page.words import percent
from pghot.report.plain import plain


class TrialForm(msgspec.Struct):
    """A trial in `advice.json`."""

    policy: str
    tunables: dict[str, str]
    fast_share: float
    steady_fast_share: float
    run_s: float
    moves: int
    overhead_s: float
    error: str | None = None

    def trial(self) -> CandidateTrial:
        """The value as it was."""
        candidate = Candidate(self.policy, tuple(self.tunables.items()))
        return CandidateTrial(candidate, self.fast_share, 0.0, self.steady_fast_share, self.run_s,
                     self.moves, self.overhead_s, self.error)  # fmt: skip


class SettingsForm(msgspec.Struct):
    """Which settings, in `advice.json`."""

    best: TrialForm
    default: TrialForm
    tried: int
    gain: float
    error: float
    other: SettingsForm | None = None
    lead: tuple[float, float] | None = None

    def answer(self) -> SettingsAnswer:
        """The value as it was."""
        return SettingsAnswer(
            self.best.trial(), self.default.trial(), self.tried, self.gain, self.error,
            None if self.other is None else self.other.answer(), self.lead,
        )  # fmt: skip


class PromoteForm(msgspec.Struct):
    """Whether to promote, in `advice.json`."""

    verdict: str
    saved_s: tuple[float | None, float | None]
    trials: dict[str, TrialForm]
    interleave: tuple[str, float | None, float | None] | None = None


class AdviceForm(msgspec.Struct):
    """What is read of `advice.json`."""

    source: str
    kind: str
    size: SizeAnswer | None
    settings: SettingsForm | None
    promote: PromoteForm | None
    changes: list[str]
    assumed: list[str]
    untold: dict[str, str]
    notes: list[str]
    regions: list[RegionShare] = []

    def advice(self) -> Advice:
        """The value as it was."""
        settings = promote = None
        if self.settings is not None:
            settings = self.settings.answer()
        if self.promote is not None:
            trials = {name: trial.trial() for name, trial in self.promote.trials.items()}
            promote = PromoteAnswer(
                trials, self.promote.verdict, self.promote.saved_s, self.promote.interleave
            )
        return Advice(self.source, self.kind, self.size, settings, promote, self.changes,
                      self.assumed, self.untold, self.notes, self.regions)  # fmt: skip


def advice_content(path: Path) -> Content:
    """Read `advice.json`; InputError where it is none."""
    try:
        advice = msgspec.json.decode(read_bounded(path), type=AdviceForm).advice()
        lines = [size_lines(advice), settings_lines(advice), promote_lines(advice)]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not what pghot writes: {error}") from error
    sections = [
        Section("size", "How much fast memory", tables=_size(advice), lines=lines[0]),
        *_regions(advice),
        Section("settings", "Which settings", lines=lines[1]),
        Section("promote", "Whether to promote", tables=_trials(advice), lines=lines[2]),
        Section("changes", "What would change the answer", lines=list(advice.changes)),
        Section("assumed", "Taken for granted", lines=[*advice.assumed, *advice.notes]),
    ]
    return Content(f"advice on {plain(advice.source)}", [*lines[2], *lines[1]], sections)


def _regions(advice: Advice) -> list[Section]:
    rows: list[list[Any]] = [
        [plain(region.name), percent(region.share), shown(region.pages)]
        for region in advice.regions
    ]
    if not rows:
        return []
    words = "regions, those with most accesses a page first"
    table = ReportTable(words, ["region", "of all accesses", "size"], rows)
    return [Section("regions", "What to place", tables=[table])]


def _size(advice: Advice) -> list[ReportTable]:
    if advice.size is None:
        return []
    names = list(next(iter(advice.size.steps.values()), {}))
    rows: list[list[Any]] = [
        [shown(pages), *(percent(shares[name]) for name in names)]
        for pages, shares in advice.size.steps.items()
    ]
    heads = ["fast memory", *(NAMES.get(name, name) for name in names)]
    return [
        ReportTable("accesses served fast, a step less, at the size, and a step more", heads, rows)
    ]


def _trials(advice: Advice) -> list[ReportTable]:
    if advice.promote is None:
        return []
    heads = ["", "policy", "served fast", "second half", "run time, s", "pages moved", "CPU, s"]
    rows: list[list[Any]] = [
        [name, trial.candidate.words(), percent(trial.share), percent(trial.late), trial.run_s,
         trial.moves, trial.overhead_s]
        for name, trial in advice.promote.trials.items()
    ]  # fmt: skip
    return [ReportTable("policies held against each other", heads, rows)]
