"""The configuration of a run: a TOML file whose keys are the options of `pghot run`.

The command line wins over the file, the file over the defaults (docs/service.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pghot.errors import InputError

DEFAULT, COMMAND_LINE = "default", "command line"

_KEYS = (
    "pids",
    "all",
    "cgroup",
    "command",
    "allow_new_privileges",
    "duration",
    "tiers",
    "source",
    "scan_delay_ms",
    "scan_period_min_ms",
    "scan_period_max_ms",
    "scan_size_mb",
    "fault_budget",
    "sample_budget",
    "mode",
    "fidelity",
    "promote_to",
    "move_shared",
    "dry_run",
    "latency_budget",
    "move_budget",
    "record",
    "events",
    "events_limit",
    "output",
    "force",
    "json",
    "control",
    "no_control",
    "metrics",
    "mount",
    "log_format",
)
"""Keys of `run_file.RunFile` but its tunables; it is read only where there is a file."""

_ARGUMENTS = {"all": "everything", "command": "words"}
"""Keys whose argument has another name in the command line's parser."""

ARGUMENTS = {name: _ARGUMENTS.get(name, name) for name in _KEYS}
"""Every key but the tunables, and its argument's name."""

UNSET: Final = object()
"""What stands for an option that is not on the command line."""

_PATHS = ("record", "events", "output", "control", "mount")
_TARGETS = ("pids", "all", "cgroup", "command")
_EITHER = (_TARGETS, ("control", "no_control"))
"""Keys of which one on the command line replaces all in the file."""


def hold_defaults(parser: argparse.ArgumentParser) -> None:
    """Have the parser leave what is not on its command line unset, and hand on the defaults.

    An option that is given with its default's value still wins over a file.
    """
    defaults = {argument: parser.get_default(argument) for argument in ARGUMENTS.values()}
    parser.set_defaults(**dict.fromkeys(defaults, UNSET), defaults=defaults)


def load_config(path: Path) -> dict[str, Any]:
    """What a file sets, by key; InputError, one line with file and key, where it is wrong.

    As root also where somebody else could have written it (`files.directory`).
    """
    from pghot.cli.config_check import (
        as_texts,
        check_control,
        check_metrics,
        check_source,
        check_targets,
        check_texts,
        check_tunables,
    )
    from pghot.cli.run_file import RunFile, set_in
    from pghot.files.directory import read_private
    from pghot.tables import convert_tables, read_toml

    values = set_in(convert_tables(read_toml(path, read_private), RunFile, str(path)))
    if not values.get("all", True):
        del values["all"]
    try:
        check_texts(values)
        check_targets([name for name in _TARGETS if name in values])
        check_control(values)
        check_metrics(values.get("metrics"))
        check_source(values.get("source", ()))
        values["tunables"] = as_texts(values.get("tunables", {}))
        check_tunables(values["tunables"], values.get("mode", "default"), values.get("fidelity"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return values


@dataclass(frozen=True, slots=True)
class MergedOptions:
    """A run's arguments with nothing left unset, and where each comes from.

    `values` are as the file would have them, by key; `origins` and `tunable_origins` say
    `default`, `command line` or the file's name.
    """

    args: argparse.Namespace
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    tunables: Mapping[str, str] = field(default_factory=dict)
    tunable_origins: Mapping[str, str] = field(default_factory=dict)


def merge_options(
    args: argparse.Namespace, config: Mapping[str, Any] | None, name: str
) -> MergedOptions:
    """Put command line, file and defaults together; `config` is of `load_config`, or None."""
    given = {key for key, dest in ARGUMENTS.items() if getattr(args, dest) is not UNSET}
    config = dict(config or {})
    for keys in filter(given.intersection, _EITHER):
        config = {key: value for key, value in config.items() if key not in keys}
    merged = argparse.Namespace(**vars(args))
    values, origins = {}, {}
    for key, argument in ARGUMENTS.items():
        if key in given:
            origins[key] = COMMAND_LINE
        elif key in config:
            origins[key] = name
            setattr(merged, argument, _as_argument(key, config[key]))
        else:
            origins[key] = DEFAULT
            setattr(merged, argument, args.defaults[argument])
        values[key] = config[key] if origins[key] == name else getattr(merged, argument)
    filed = config.get("tunables", {})
    said = dict(text.partition("=")[::2] for text in args.tunables)
    merged.tunables = [*(f"{n}={v}" for n, v in filed.items() if n not in said), *args.tunables]
    where = dict.fromkeys(filed, name) | dict.fromkeys(said, COMMAND_LINE)
    return MergedOptions(merged, values, origins, {**filed, **said}, where)


def _as_argument(key: str, value: Any) -> Any:
    """A file's value as the command line's parser would."""
    if key in {"pids", "source"}:
        return ",".join(map(str, value))
    return Path(value) if key in _PATHS else value
