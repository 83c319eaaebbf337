"""What can be said of a configuration's sources and tunables without the host."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pghot.errors import InputError

if TYPE_CHECKING:
    from pghot.engine.tunables import Tunables

DEFAULT_FIDELITY = "improved"
"""What a run has unless it is asked for another."""

OF_THE_HOST = ("enabled_sources", "target_nid")
"""Tunables whose defaults a run finds out: the sources that there are, the first fast node."""


def check_texts(values: Mapping[str, Any]) -> None:
    """Refuse a text that no path, name or word of a command can be; InputError."""
    for key, value in values.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise InputError(f"{key}: holds a NUL character")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{key}: wants a finite number")


def check_targets(named: Sequence[str]) -> None:
    """Refuse to watch by more than one of these keys; InputError."""
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)}: name what to watch by one of them")


def check_control(values: Mapping[str, Any]) -> None:
    """Refuse a place for the control socket beside the wish for none; InputError."""
    if values.get("no_control") and "control" in values:
        raise InputError("control: and no_control: either of them")


def check_metrics(address: str | None) -> None:
    """Refuse what is no address and port; InputError."""
    from pghot.serving.address import parse_address

    try:
        if address is not None:
            parse_address(address)
    except InputError as error:
        raise InputError(str(error).replace("--metrics", "metrics:", 1)) from error


def check_source(names: Sequence[str]) -> None:
    """Refuse a source that there is none of; InputError."""
    from pghot.engine.did_you_mean import perhaps
    from pghot.log.schema import SOURCES

    for name in names:
        if name not in SOURCES and not name.startswith("external:"):
            known = ", ".join([*SOURCES, "external:PATH"])
            raise InputError(f"source: no {name!r}; {perhaps(name, SOURCES)}there are {known}")


def as_texts(tunables: Mapping[str, Any]) -> dict[str, str]:
    """Tunables as they are written to the kernel's files; InputError for what is no text."""
    for name, value in tunables.items():
        if type(value) not in {int, str}:
            raise InputError(f"tunables.{name}: wants a number or a string")
    return {name: str(value) for name, value in tunables.items()}


def check_tunables(texts: Mapping[str, str], mode: str, fidelity: str | None) -> None:
    """Refuse what no host would take; InputError that names the key."""
    from pghot.engine.errors import TunableError
    from pghot.engine.fidelity import FIDELITIES
    from pghot.engine.tunables import tunables_of

    tunables = _anywhere(mode, fidelity)
    for name, text in texts.items():
        try:
            if name == "target_nid":  # which nodes there are, the host says
                tunables_of(FIDELITIES[fidelity or DEFAULT_FIDELITY])[name].parse(text)
            else:
                tunables.write(name, text)
        except (TunableError, ValueError) as error:
            why = str(error) if isinstance(error, TunableError) else f"{name}: {text!r} {error}"
            raise InputError(f"tunables.{why}") from error


def default_tunables(mode: str, fidelity: str | None) -> dict[str, int]:
    """The tunables that a run starts with, without those that depend on the host."""
    return {
        name: value
        for name, value in _anywhere(mode, fidelity).as_dict().items()
        if name not in OF_THE_HOST
    }


class _OneNode:
    """A machine of one node, top tier."""

    def nodes(self) -> Sequence[int]:
        return (0,)

    def node_online(self, nid: int) -> bool:
        return nid == 0

    def node_is_toptier(self, nid: int) -> bool:
        return nid == 0


def _anywhere(mode: str, fidelity: str | None) -> Tunables:
    """Tunables of a host of which nothing is known; its HZ the one that refuses least."""
    from pghot.engine.fidelity import FIDELITIES
    from pghot.engine.layout import LAYOUTS
    from pghot.engine.tunables import Tunables
    from pghot.engine.units import HZ_RANGE

    known = FIDELITIES[fidelity or DEFAULT_FIDELITY]
    return Tunables(_OneNode(), LAYOUTS[mode], HZ_RANGE.start, known)
