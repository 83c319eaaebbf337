"""What `pghot.advise` gives: three answers with their numbers, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pghot.exploring.candidates import posting_of
from pghot.exploring.placement import RegionShare
from pghot.exploring.policy_runs import CandidateTrial


@dataclass(frozen=True, slots=True)
class SizeAnswer:
    """How much fast memory, in pages, serves `target` of the accesses.

    By `needed` name: `bound`, `lru`, `first_touch` and `promotion` (simulated), each the
    least, the best and the most that the error allows; None where not even all does.
    `steps`: the shares of each at a step less, there, and a step more.
    """

    target: float
    footprint: int
    chosen: int
    needed: Mapping[str, tuple[int | None, int | None, int | None]]
    steps: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class SettingsAnswer:
    """Which settings: the best found on the first half against the defaults, on the second.

    `gain` is what it serves more, `error` half of its interval of 95 %.  Both are of one
    posting of the series, v7 or v8; `other` is the answer of the other one, and `lead` what
    that which is recommended here serves more than what is recommended there, with its error.
    """

    best: CandidateTrial
    default: CandidateTrial
    tried: int
    gain: float
    error: float
    other: SettingsAnswer | None = None
    lead: tuple[float, float] | None = None

    @property
    def posting(self) -> str:
        """The posting of the series that these are settings of."""
        return posting_of(self.best.candidate.policy)

    @property
    def told(self) -> bool:
        """Whether the best is better by more than chance."""
        return self.gain > self.error

    @property
    def recommended(self) -> CandidateTrial:
        """The best where it is better by more than chance, else the defaults."""
        return self.best if self.told else self.default


@dataclass(frozen=True, slots=True)
class PromoteAnswer:
    """Whether to promote: trials by name, and the verdict in time against first touch.

    `verdict`: `pays`, `does not pay` or `cannot be told`; `saved_s` from the least to the
    most, None where there is no bound.  `interleave`: the same three against interleaving.
    """

    trials: Mapping[str, CandidateTrial]
    verdict: str
    saved_s: tuple[float | None, float | None]
    interleave: tuple[str, float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """The answers; one that is None cannot be told, and `untold` says why, by its name.

    `changes` are what would change them, in words; `assumed` what was taken for granted;
    `regions` what there is to place, where the log names it, hottest first.
    """

    source: str
    kind: str
    size: SizeAnswer | None
    settings: SettingsAnswer | None
    promote: PromoteAnswer | None
    changes: Sequence[str]
    assumed: Sequence[str]
    untold: Mapping[str, str]
    notes: Sequence[str] = ()
    regions: Sequence[RegionShare] = ()

    def to_dict(self) -> dict[str, Any]:
        """What `pghot advise --json` prints."""
        return {
            "source": self.source,
            "kind": self.kind,
            "size": None if self.size is None else asdict(self.size),
            "settings": None if self.settings is None else self._settings(self.settings),
            "promote": None if self.promote is None else self._promote(self.promote),
            "changes": list(self.changes),
            "assumed": list(self.assumed),
            "untold": dict(self.untold),
            "notes": list(self.notes),
            "regions": [region._asdict() for region in self.regions],
        }

    def to_arrow(self) -> pa.Table:
        """A row for each policy that was held against others, as an Arrow table."""
        trials = self.promote.trials if self.promote else {}
        rows = [{"name": name, **_trial(trial)} for name, trial in trials.items()]
        return pa.Table.from_pylist(rows)

    def __repr__(self) -> str:
        answers = [
            name for name in ("size", "settings", "promote") if getattr(self, name) is not None
        ]
        return f"<advice on {self.source}: {', '.join(answers) or 'nothing can be told'}>"

    @staticmethod
    def _settings(answer: SettingsAnswer) -> dict[str, Any]:
        data = {
            "fidelity": answer.posting,
            "best": _trial(answer.best),
            "default": _trial(answer.default),
            "tried": answer.tried,
            "gain": answer.gain,
            "error": answer.error,
            "better": answer.told,
        }
        if answer.other is not None and answer.lead is not None:
            data |= {"other": Advice._settings(answer.other), "lead": list(answer.lead)}
        return data

    @staticmethod
    def _promote(answer: PromoteAnswer) -> dict[str, Any]:
        return {
            "verdict": answer.verdict,
            "against": "first touch",
            "saved_s": list(answer.saved_s),
            "interleave": answer.interleave and list(answer.interleave),
            "trials": {name: _trial(trial) for name, trial in answer.trials.items()},
        }


def _trial(trial: CandidateTrial) -> dict[str, Any]:
    return {
        "policy": trial.candidate.policy,
        "tunables": dict(trial.candidate.settings),
        "fast_share": trial.share,
        "steady_fast_share": trial.late,
        "run_s": trial.run_s,
        "moves": trial.moves,
        "overhead_s": trial.overhead_s,
        "error": trial.error,
    }
