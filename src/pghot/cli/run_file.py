"""The keys of a configuration file of `pghot run`, and what each may hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Pid = Annotated[int, msgspec.Meta(gt=0)]


class RunFile(msgspec.Struct, forbid_unknown_fields=True):
    """What the file may hold, each key by the name of its long option.

    Those that have no long one: `pids` is -p, `all` -a, `cgroup` -G, `command` what follows
    --, `output` -o, `tunables` a table of what --set takes.
    """

    pids: Annotated[list[_Pid], msgspec.Meta(min_length=1)] | UnsetType = UNSET
    all: bool | UnsetType = UNSET
    cgroup: _Text | UnsetType = UNSET
    command: Annotated[list[str], msgspec.Meta(min_length=1)] | UnsetType = UNSET
    allow_new_privileges: bool | UnsetType = UNSET
    duration: _Positive | UnsetType = UNSET
    tiers: _Text | UnsetType = UNSET
    source: Annotated[list[str], msgspec.Meta(min_length=1)] | UnsetType = UNSET
    scan_delay_ms: _Count | UnsetType = UNSET
    scan_period_min_ms: _Count | UnsetType = UNSET
    scan_period_max_ms: _Count | UnsetType = UNSET
    scan_size_mb: _Count | UnsetType = UNSET
    fault_budget: _Positive | UnsetType = UNSET
    sample_budget: _Positive | UnsetType = UNSET
    mode: Literal["default", "precise"] | UnsetType = UNSET
    fidelity: Literal["v7", "v8", "improved"] | UnsetType = UNSET
    promote_to: Literal["top", "next"] | UnsetType = UNSET
    move_shared: bool | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET
    latency_budget: _Positive | UnsetType = UNSET
    move_budget: _Positive | UnsetType = UNSET
    record: _Text | UnsetType = UNSET
    events: _Text | UnsetType = UNSET
    events_limit: _Text | UnsetType = UNSET
    output: _Text | UnsetType = UNSET
    force: bool | UnsetType = UNSET
    json: bool | UnsetType = UNSET
    control: _Text | UnsetType = UNSET
    no_control: bool | UnsetType = UNSET
    metrics: _Text | UnsetType = UNSET
    mount: _Text | UnsetType = UNSET
    log_format: Literal["text", "json"] | UnsetType = UNSET
    tunables: dict[str, Any] | UnsetType = UNSET


def set_in(file: RunFile) -> dict[str, Any]:
    """The keys that a file sets, with their values."""
    every = {name: getattr(file, name) for name in file.__struct_fields__}
    return {name: value for name, value in every.items() if value is not UNSET}
