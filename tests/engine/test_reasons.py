"""Every outcome has one code, one name and one set of words, in `reasons` and nowhere else."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import pghot
from pghot.engine import page_flags, reasons
from pghot.engine.candidates import CANDIDATE as CANDIDATE_ROW
from pghot.engine.reasons import ACCESS, CANDIDATE, FAULT, Reason
from pghot.log.event_schema import NAMED
from tests.rig import SECTION, SLOW_PFN

TABLES = {"access": ACCESS, "candidate": CANDIDATE, "fault": FAULT}
SOURCE = Path(pghot.__file__).parent
LINE = 20
"""Characters that a line of `pghot top` has for a reason."""


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_code_is_a_index_in_the_table_and_a_name_stands_there_once(
    table: tuple[Reason, ...],
) -> None:
    assert [reason.code for reason in table] == list(range(len(table)))
    assert max(Counter(reason.name for reason in table).values()) == 1


def test_no_name_means_two_things() -> None:
    names = Counter([*reasons.ENGINE, *reasons.NOT_ASKED, *reasons.MOVE_PAGES])
    names.update(reason.name for reason in (*ACCESS, *FAULT))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("reason", [*ACCESS, *CANDIDATE, *FAULT], ids=lambda reason: reason.name)
def test_every_outcome_has_words_and_those_of_the_series_a_rule(reason: Reason) -> None:
    assert reasons.words(reason.name) == reason.words
    assert len(reason.short) <= LINE
    assert bool(reason.rule) == (reason not in FAULT)


def test_a_line_of_top_has_short_words_for_every_refusal_of_the_engine() -> None:
    assert all(reason.short for reason in CANDIDATE if reason.name in reasons.ENGINE)


def test_the_names_of_an_event_log_are_these() -> None:
    assert NAMED["fate"] == tuple(reason.name for reason in ACCESS)
    assert NAMED["outcome"] == tuple(reason.name for reason in CANDIDATE)


def test_two_names_of_one_refusal_are_one_in_words() -> None:
    counts = {"threshold": 2, "over the threshold": 3, "EBUSY": 1, "a name that is none": 4}
    assert reasons.by_words(counts) == {
        "touched too long ago (threshold)": 5,
        reasons.MOVE_PAGES["EBUSY"]: 1,
        "a name that is none": 4,
    }


def test_the_words_stand_in_no_other_module() -> None:
    written = {reason.words for reason in (*ACCESS[1:], *CANDIDATE[1:], *FAULT[2:])}
    written |= {*reasons.NOT_ASKED.values(), *reasons.MOVE_PAGES.values()}
    elsewhere = {
        (path.relative_to(SOURCE).as_posix(), text.value)
        for path in SOURCE.rglob("*.py")
        if path.name != "reasons.py"
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.Constant) and text.value in written
    }
    assert elsewhere == set()


class Judgements:
    """An observer that keeps the candidates it is given."""

    def __init__(self) -> None:
        self.candidates = []

    def chosen(self, rows) -> None: ...
    def recorded(self, recorded) -> None: ...

    def moved(self, batch, now) -> None: ...

    def judged(self, judged) -> None:
        self.candidates += judged.candidates.copy().tolist()


@pytest.mark.parametrize(
    ("free", "flag", "words"),
    [(0, 0, reasons.NO_ROOM), (SECTION, page_flags.UNMOVABLE, reasons.UNMOVABLE)],
    ids=["full", "unmovable"],
)
def test_an_unmovable_folio_is_not_called_one_that_lacks_room(rig, free, flag, words):
    rig = rig(free=free)
    rig.memory.mem_map.set_flags(SLOW_PFN, flag)
    rig.engine.observer = seen = Judgements()
    rig.touch(SLOW_PFN, now=100, times=2)
    assert rig.look(200) == []
    (candidate,) = (dict(zip(CANDIDATE_ROW.names, row, strict=True)) for row in seen.candidates)
    outcome = CANDIDATE[candidate["outcome"]].name
    assert outcome == "isolation"
    assert reasons.refusal(outcome, movable=bool(candidate["movable"])) == words
