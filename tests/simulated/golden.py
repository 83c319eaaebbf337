"""The golden results: each preset in a small slice, with its own policies.

`scripts/golden` writes them anew.  A change is a change of behaviour: say in the changelog
what changed and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.file import load_scenario, presets
from pghot.simulated.scenario.scaling import scaled

FILE = Path(__file__).resolve().parents[1] / "golden" / "simulated.json"
SCALE = 1 / 64


def figures(name: str) -> dict[str, Any]:
    """What each policy of a preset came to."""
    scenario = scaled(load_scenario(name, POLICIES), SCALE)
    results = {}
    for policy in scenario.policies:
        outcome = simulate(scenario, policy)
        results[policy] = {
            "run_s": outcome.run_s,
            "fast_share": outcome.fast_share,
            "coverage": outcome.coverage,
            "promoted": outcome.promoted,
            "demoted": outcome.demoted,
            "ping_pong": outcome.ping_pong,
            "refused": outcome.refused,
            "vmstat": {name: count for name, count in outcome.counters.items() if count},
        }
    return results


def main() -> None:
    """Write the golden results of every preset."""
    found = {name: figures(name) for name in presets()}
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
