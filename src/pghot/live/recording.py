"""`pghot record` without its command line, and the log of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pghot.driving.answer_log import AnswerLog
from pghot.linux.host import Host
from pghot.live import loop
from pghot.live.attending import pacer
from pghot.live.beside import FAILURES, Beside
from pghot.live.cautions import cautions
from pghot.live.clock import Clock
from pghot.live.machine import HostMachine
from pghot.live.mappings import Mappings
from pghot.live.options import LiveOptions
from pghot.live.reorder_buffer import ReorderBuffer, logged
from pghot.live.session import Session, open_session
from pghot.live.sinks import LogSink
from pghot.log.schema import Metadata

Tell = Callable[[str], None]
Opened = Callable[[Host, LiveOptions], AbstractContextManager[Session]]


def record_accesses(
    host: Host,
    options: LiveOptions,
    path: Path,
    *,
    tell: Tell,
    force: bool = False,
    opened: Opened = open_session,
    clock: Clock | None = None,
) -> tuple[int, str, int]:
    """Record the accesses of a host to a log: give rows, what ended it, the exit status."""
    clock = clock or Clock()
    with opened(host, options) as session:
        tell_recovered(session, tell)
        answers = AnswerLog()
        machine = HostMachine(host, session.topology, _Nobody())
        metadata = Metadata(
            taken=f"pghot record: {session.choice.reason}",
            hz=machine.form.content["hz"],
            machine=machine.form.content,
            extra={"topology": session.topology.to_dict()},
        )
        with (
            recording(
                path, machine, metadata, force=force, optional=logged(session.sources)
            ) as writer,
            ExitStack() as guarded,
        ):
            log = LogSink(writer, machine, answers, Mappings(host))
            introduce(session, tell)
            guarded.callback(session.guard.restore)
            for line in session.take_settings():
                tell(line)
            clock.start()
            buffer = ReorderBuffer(
                session.sources, session.targets, machine, clock.start_ns, session.scans
            )
            paced = pacer(session, buffer, tell)
            attend = partial(paced.attend, clock) if paced is not None else lambda: None
            why = loop.run(session, buffer, clock, log, tell, lambda _us: None, attend)
            session.guard.restore()
            buffer.drain()
            now_us = clock.now_us()
            log.last(now_us, buffer.until(now_us))
            rows: int = writer.rows
    launched = session.launched
    return rows, why, 0 if launched is None else launched.wait()


class _Nobody:
    def move(self, pfns: Any, nid: int) -> Any:
        """Move nothing: a recording has no engine."""
        raise NotImplementedError


def end_beside(recording: ExitStack, beside: Beside) -> None:
    """End a recording: merge its parts, or tell where they are."""
    try:
        recording.close()
    except FAILURES as error:
        beside.fail(error)


def tell_recovered(session: Session, tell: Tell) -> None:
    """Say what was put back for a killed run."""
    if session.guard.recovered and session.guard.recovered.line():
        tell(f"put back what a killed pghot left: {session.guard.recovered.line()}")


def introduce(session: Session, tell: Tell) -> None:
    """Say which sources are used and why, once nothing is left to refuse."""
    tell(session.choice.reason)
    for line in cautions(session.host, session.topology, session.choice, session.targets):
        tell(line)


@contextmanager
def recording(
    path: Path,
    machine: HostMachine,
    metadata: Metadata,
    *,
    force: bool,
    optional: tuple[str, ...],
) -> Iterator[Any]:
    """Open a log in parts, and let it know at the end how the machine looks by then."""
    from pghot.log.parts import create_parts  # noqa: PLC0415 - only where a log is written

    with create_parts(path, metadata, optional=optional, force=force) as writer:
        yield writer
        m = writer.metadata
        writer.metadata = Metadata(m.taken, m.hz, machine.form.content, extra=m.extra)
