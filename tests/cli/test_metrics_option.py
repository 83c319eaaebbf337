"""`pghot run --metrics`, as a command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.live_host import LiveHost
from tests.cli.test_live_commands import ELSEWHERE, is_under_way, scraped, wait_for
from tests.log.made import Run, pghot, pghot_command


def test_it_says_where_and_a_scrape_there_has_the_run(tmp_path: Path) -> None:
    before = ELSEWHERE.format(root=str(tmp_path / "other"), state=str(tmp_path / "state"))
    words = pghot_command("run", "-p", "40", "--metrics", ":0", before=before)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        assert said.startswith("pghot: metrics at http://127.0.0.1:")
        url = said.split()[-1]
        wait_for(lambda: is_under_way(scraped(url)))
        text = scraped(url)
        assert "pghot_freq_threshold 2.0" in text
        assert 'pghot_node_memory_bytes{node="1",tier="lower"}' in text
        process.terminate()
        process.communicate(timeout=90)
    assert process.returncode == 0


@pytest.mark.parametrize("address", ["host", "1:2:3", ":99999"])
def test_what_is_no_address_is_one_line_and_changes_nothing(
    run: Run, live: LiveHost, address: str
) -> None:
    why = run("run", "-p", "40", "--metrics", address).refusal(2)
    assert why.startswith(f"--metrics {address}: wants")
    assert live.writes == []
    assert not list((live.root.parent / "state").glob("ctl/*"))


def test_without_prometheus_client_it_says_how_to_get_it(tmp_path: Path) -> None:
    before = ELSEWHERE.format(root=str(tmp_path / "other"), state=str(tmp_path / "state"))
    missing = f"{before}\nsys.modules['prometheus_client'] = None"
    why = pghot("run", "-p", "40", "--metrics", ":0", before=missing).refusal(1)
    assert why == "--metrics needs prometheus-client: pip install 'pghot[metrics]'"
