"""Hot-page tracking and promotion for machines with two kinds of memory.

The names are the command's: `replay` replays an access log, `convert` makes one, `Engine`
takes one's own accesses.  They are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pghot.compiled  # noqa: F401 - which form of each loop is imported

if TYPE_CHECKING:
    from pghot.driving.observer import Observer as Observer
    from pghot.engine.array_memory import ArrayMemory as ArrayMemory
    from pghot.engine.engine import Engine as Engine
    from pghot.engine.errors import TunableError as TunableError
    from pghot.engine.fidelity import IMPROVED as IMPROVED
    from pghot.engine.fidelity import V7 as V7
    from pghot.engine.fidelity import V8 as V8
    from pghot.engine.fidelity import Fidelity as Fidelity
    from pghot.engine.layout import DEFAULT as DEFAULT
    from pghot.engine.layout import PRECISE as PRECISE
    from pghot.engine.layout import Layout as Layout
    from pghot.engine.memory import Folio as Folio
    from pghot.engine.memory import Memory as Memory
    from pghot.engine.memory import Node as Node
    from pghot.engine.migrated import Batch as Batch
    from pghot.errors import InputError as InputError
    from pghot.errors import PghotError as PghotError
    from pghot.exploring.advice import Advice as Advice
    from pghot.exploring.advise import advise as advise
    from pghot.exploring.curve import curve as curve
    from pghot.exploring.curve_result import Curve as Curve
    from pghot.exploring.curve_result import Scope as Scope
    from pghot.exploring.grid import Grid as Grid
    from pghot.exploring.price import Price as Price
    from pghot.exploring.sizes import FastSize as FastSize
    from pghot.exploring.sweep import sweep as sweep
    from pghot.exploring.sweep_result import Sweep as Sweep
    from pghot.exploring.tally import Line as Line
    from pghot.log.convert import convert as convert
    from pghot.log.machine import Machine as Machine
    from pghot.log.read import open_log as open_log
    from pghot.log.schema import Metadata as Metadata
    from pghot.log.write import create_log as create_log
    from pghot.replaying.replay import replay as replay
    from pghot.replaying.result import Result as Result
    from pghot.replaying.settings import Settings as Settings
    from pghot.simulated.policies.simulate import simulate as simulate
    from pghot.simulated.result import Outcome as Outcome
    from pghot.simulated.scenario.scenario import Scenario as Scenario

__version__ = "0.1.0"

_HOME = {
    "Advice": "pghot.exploring.advice",
    "ArrayMemory": "pghot.engine.array_memory",
    "Batch": "pghot.engine.migrated",
    "Curve": "pghot.exploring.curve_result",
    "DEFAULT": "pghot.engine.layout",
    "Engine": "pghot.engine.engine",
    "FastSize": "pghot.exploring.sizes",
    "Fidelity": "pghot.engine.fidelity",
    "Folio": "pghot.engine.memory",
    "Grid": "pghot.exploring.grid",
    "IMPROVED": "pghot.engine.fidelity",
    "InputError": "pghot.errors",
    "Layout": "pghot.engine.layout",
    "Line": "pghot.exploring.tally",
    "Machine": "pghot.log.machine",
    "Memory": "pghot.engine.memory",
    "Metadata": "pghot.log.schema",
    "Observer": "pghot.driving.observer",
    "Node": "pghot.engine.memory",
    "Outcome": "pghot.simulated.result",
    "PRECISE": "pghot.engine.layout",
    "PghotError": "pghot.errors",
    "Price": "pghot.exploring.price",
    "Result": "pghot.replaying.result",
    "Scenario": "pghot.simulated.scenario.scenario",
    "Scope": "pghot.exploring.curve_result",
    "Settings": "pghot.replaying.settings",
    "Sweep": "pghot.exploring.sweep_result",
    "TunableError": "pghot.engine.errors",
    "V7": "pghot.engine.fidelity",
    "V8": "pghot.engine.fidelity",
    "advise": "pghot.exploring.advise",
    "convert": "pghot.log.convert",
    "create_log": "pghot.log.write",
    "curve": "pghot.exploring.curve",
    "open_log": "pghot.log.read",
    "replay": "pghot.replaying.replay",
    "simulate": "pghot.simulated.policies.simulate",
    "sweep": "pghot.exploring.sweep",
}

__all__ = [*_HOME]  # noqa: PLE0604 - names, all of them


if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'pghot' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)

    def __dir__() -> list[str]:
        return sorted([*_HOME, "__version__"])
