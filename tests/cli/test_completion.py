"""What `pghot completion` prints, used by the shells themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from scripts.completions import SHARE, completion

from pghot.cli.parser import COMMANDS
from pghot.engine.tunables import TUNABLES
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import presets
from tests.log.made import Run

SHELLS = ("bash", "zsh", "fish")

BASH = """
source {script}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
compopt() {{ :; }}
_pghot_without_space pghot "${{COMP_WORDS[-1]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

# The line editor shows the prompt before it reads; `end` is said by a key, after the list.
ZSH = """
zmodload zsh/zpty
cat > rc <<'END'
fpath=({where} $fpath)
autoload -Uz compinit && compinit -u -d dump
PROMPT='rea''dy> '; setopt no_beep; bindkey '^I' list-choices
the-end() {{ zle -M 'the e''nd'; }}; zle -N the-end; bindkey '^O' the-end
LISTMAX=0; stty columns 100 rows 500
END
zpty shell zsh -f -i
zpty -w shell "source rc"
zpty -r shell out '*ready> *'
zpty -n -w shell "$*"$'\\t'
sleep 0.5
zpty -n -w shell $'\\x0f'
zpty -r shell out '*the end*'
print -rn -- $out
zpty -d shell
"""


def offered(shell: str, where: Path, *words: str) -> set[str]:
    """What a shell offers after words, the last of which is under way."""
    script = where / "_pghot"
    script.write_text(completion(shell))
    if shell == "bash":
        command = ["bash", "--norc", "-c", BASH.format(script=script), "bash", *words]
    elif shell == "fish":
        line = " ".join(words)
        command = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
    else:
        command = ["zsh", "-f", "-c", ZSH.format(where=where), "zsh", *words]
    done = subprocess.run(
        command, cwd=where, capture_output=True, text=True, check=False, timeout=60
    )
    if shell == "zsh":
        return set(re.split(r"\s|\x1b\[[0-9;]*[a-zA-Z]|\r", done.stdout))
    assert done.stderr == ""
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"no {name}")
    return name


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("",), set(COMMANDS)),
        (("re",), {"replay", "report", "record", "restore"}),
        (("replay", "--fid"), {"--fidelity"}),
        (("replay", "--fidelity", ""), {"v7", "v8", "improved"}),
        (("run", "--set", ""), {f"{name}=" for name in TUNABLES}),
        (("run", "--set", "freq"), {"freq_threshold="}),
        (("sim", ""), set(presets())),
        (("sim", "--policy", "precise"), {"precise-hintfault", "precise-hwhint"}),
        (("ctl", ""), {"get", "set", "watch"}),
        (("ctl", "set", "target"), {"target_nid="}),
        (("ctl", "get", "pgpromote_succ"), {"pgpromote_success"}),
        (("help", "exit"), {"exit-status"}),
        (("completion", ""), set(SHELLS)),
    ],
)
def test_a_shell_offers(
    shell: str, tmp_path: Path, words: tuple[str, ...], wanted: set[str]
) -> None:
    found = offered(shell, tmp_path, "pghot", *words)
    assert wanted <= found
    assert not {"demo", "freq_threshold=", "oracle"} & found - wanted


def test_policies_go_on_after_a_comma(tmp_path: Path) -> None:
    found = offered("bash", tmp_path, "pghot", "sim", "gups", "--policy", "none,or")
    assert found == {"none,oracle"}
    found = offered("bash", tmp_path, "pghot", "sim", "gups", "--policy", "none,")
    assert found == {f"none,{name}" for name in POLICIES}


def test_files_are_offered_where_one_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "my.parquet").touch()
    assert offered("bash", tmp_path, "pghot", "replay", "my") == {"my.parquet"}


@pytest.mark.parametrize("name", SHELLS)
def test_the_command_prints_what_the_parsers_give(name: str, run: Run) -> None:
    assert run("completion", name).out == completion(name), "scripts/completions.py"
    assert SHARE.is_dir()


def test_another_shell_is_one_line_and_status_2(run: Run) -> None:
    done = run("completion", "ksh")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "no 'ksh'; " in done.err
