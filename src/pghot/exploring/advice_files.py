"""The files of `pghot advise -o DIR`: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pghot.exploring.advice import Advice
from pghot.exploring.candidates import config_text, kernel_text
from pghot.files.whole import whole_directory

ADVICE, CONFIG, KERNEL = "advice.json", "pghot.toml", "kernel.sh"


@contextmanager
def advice_directory(path: Path | None, *, force: bool) -> Iterator[Callable[[Advice], None]]:
    """A function that writes advice; its files appear in `path` at a clean end.

    The settings are those that were found best, or the defaults where they are no better.
    Without a `path` it writes nothing.  Errors are those of `whole_directory`.
    """
    if path is None:
        yield lambda _advice: None
        return
    names = (ADVICE, CONFIG, KERNEL)
    with whole_directory(path, names, force=force) as staging:

        def write(advice: Advice) -> None:
            text = {ADVICE: json.dumps(advice.to_dict(), indent=2) + "\n"}
            if advice.settings is not None:
                chosen = advice.settings.recommended.candidate
                text |= {CONFIG: config_text(chosen), KERNEL: kernel_text(chosen)}
            else:
                why = advice.untold["settings"]
                text |= dict.fromkeys((CONFIG, KERNEL), f"# no settings: {why}\n")
            for name, content in text.items():
                staging.create(name).write(content.encode())

        yield write
