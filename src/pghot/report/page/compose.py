"""Which sections a report has, in order."""

from __future__ import annotations

from collections.abc import Sequence

from pghot.report.page.batches import batch_section
from pghot.report.page.chart import Section
from pghot.report.page.compared import compared_section, refused_section
from pghot.report.page.figures import figures_section
from pghot.report.page.heat_map import map_section
from pghot.report.page.made import made_section
from pghot.report.page.many import LINES, many_section
from pghot.report.page.model import Run
from pghot.report.page.over_time import fast_section, moves_section
from pghot.report.page.records_chart import heat_section
from pghot.report.page.regions import region_section
from pghot.report.page.trial import trial_section


def sections(runs: Sequence[Run]) -> list[Section]:
    """The sections; of more runs than a chart can tell apart, a table and small charts."""
    trial = trial_section(runs)
    tried = [] if trial is None else [trial]
    if len(runs) > LINES:
        return [many_section(runs), *tried, made_section(runs), compared_section(runs)]
    return [
        *tried,
        made_section(runs),
        fast_section(runs),
        moves_section(runs),
        refused_section(runs),
        map_section(runs),
        *region_section(runs),
        heat_section(runs),
        batch_section(runs),
        compared_section(runs),
        figures_section(runs),
    ]
