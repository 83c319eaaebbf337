"""What would have let a page move, in one line that names the tunable."""

from __future__ import annotations

from collections import Counter

from pghot.engine.fidelity import FIDELITIES
from pghot.engine.placing import NOWHERE
from pghot.engine.reasons import MOVED, words
from pghot.log.event_schema import Said
from pghot.why.life import IGNORED, RECORDED, REFUSED, Life, LifeStep

_WINDOW = "pghot_promote_freq_window_ms"
_LIMIT = "pghot_promote_rate_limit_MBps"


def opening(life: Life) -> str:
    """What `advice` is: what came of the page, what it lacked, or why nothing helps."""
    if life.of(MOVED):
        return "What came of it"
    ready = any(step.ready for step in life.of(RECORDED))
    lacked = life.of(REFUSED) or (life.of(RECORDED) and not ready)
    return "What would have let it move" if lacked else "Why it did not move"


def advice(life: Life) -> str:
    """What came of the page, and what would have let it move where it did not."""
    judged = life.of(REFUSED, MOVED)
    if not judged:
        return _never_judged(life)
    last = judged[-1]
    if last.what == MOVED:
        return f"it moved to node {last.to_nid} at {last.times[-1]:,.3f} s{_sooner(life)}"
    line = _by_reason(last, life.said)
    if not FIDELITIES[life.said.fidelity].keep_refused:
        line += (
            f"; {life.said.fidelity} forgets the heat of what it refuses, "
            "--fidelity improved keeps it"
        )
    return line


def _sooner(life: Life) -> str:
    """What would have let it move at the first refusal, where there was one."""
    refused = life.of(REFUSED)
    if not refused:
        return ""
    count = sum(len(step.times) for step in refused)
    most = max(refused, key=lambda step: len(step.times))
    times = "a refusal" if count == 1 else f"{count:,} refusals"
    since = refused[0].times[0]
    return f", after {times} since {since:,.3f} s; sooner with {_by_reason(most, life.said)}"


def _never_judged(life: Life) -> str:
    recorded, tunables = life.of(RECORDED), life.said.tunables
    if not recorded:
        outcomes = Counter({step.why: len(step.times) for step in life.of(IGNORED)})
        return f"no access was recorded: {words(outcomes.most_common(1)[0][0])}"
    if any(step.ready for step in recorded):
        at = next(step.times[0] for step in recorded if step.became_ready or step.ready)
        if FIDELITIES[life.said.fidelity].ready_anew and not recorded[-1].ready:
            return (
                f"it was ready at {at:,.3f} s, and an access that opened a new window took that "
                f"away before kmigrated's next look, as in v8: a longer {_WINDOW}, or a shorter "
                "kmigrated_sleep_ms"
            )
        return (
            f"it was ready at {at:,.3f} s and kmigrated never took it: the log ends before its "
            "next look, or it was off the LRU, moved, or too old by then"
        )
    most, threshold = max(step.heat for step in recorded), tunables["freq_threshold"]
    return (
        f"{threshold} accesses within {tunables[_WINDOW]} ms, where it had {most} at most; or a "
        f"lower freq_threshold, a longer {_WINDOW}, a source that sees more"
    )


def _by_reason(step: LifeStep, said: Said) -> str:
    node, limit = f"node {step.to_nid}", said.tunables[_LIMIT]
    no_target = f"another target_nid: {node} is no online top-tier node"
    if step.to_nid == NOWHERE:
        no_target = "a fast node in the cpuset and in the memory policy of its process"
    no_room = f"room on {node} for its {_pages(step.pages)} above the watermark"
    unmovable = "no tunable: the page cannot be moved (it is pinned, say)"
    full = f"room on {node}, which was full when its batch moved"
    kernel = f"another answer of the kernel ({said.statuses.get(step.status, step.status)})"
    return {
        "threshold": _threshold(step, said),
        "rate_limit": f"a {_LIMIT} above {limit}, or enough free room on {node}",
        "already_there": f"another target_nid: its target was {node}, where it is",
        "no_target": no_target,
        "isolation": no_room if step.movable else unmovable,
        "migration": kernel if step.status else full,
    }[step.why]


def _threshold(step: LifeStep, said: Said) -> str:
    window = said.tunables[_WINDOW]
    if step.threshold_ms < window:
        what = f"a {_LIMIT} above {said.tunables[_LIMIT]}, which raises the threshold in time"
    else:
        what = f"a {_WINDOW} above {window}, or a shorter kmigrated_sleep_ms"
    return f"{what} (last touched {step.latency_ms} ms before, threshold {step.threshold_ms} ms)"


def _pages(count: int) -> str:
    return "page" if count == 1 else f"{count:,} pages"
