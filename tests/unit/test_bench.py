"""The benchmarks are run by hand: here they are only loaded, so that a renamed part of the product is noticed."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from bench import history
from bench.figures import Figure
from bench.history import HEAD, page
from tests.real import CHECKOUT

ELSEWHERE = {"__main__", "faces_direct", "img2dataset_peer"}
"""They run in environments of their own, or at once."""


@pytest.mark.parametrize("name", sorted({path.stem for path in (CHECKOUT / "bench").glob("*.py")} - ELSEWHERE))
def test_a_benchmark_can_be_loaded(name: str) -> None:
    """All that it imports is there."""
    assert import_module(f"bench.{name}")


def test_the_page_of_history_has_the_latest_run_first() -> None:
    """By row, then by what was measured; a run that did not measure a figure has no part in its line."""
    runs = [
        {"date": "2026-11-01", "commit": "aaaa", "machine": "", "figures": {"10 rows/s": "5.1", "2 job": "0.95"}},
        {"date": "2026-11-02", "commit": "bbbb", "machine": "", "figures": {"10 rows/s": "5.4"}},
    ]
    lines = page(runs).removeprefix(HEAD).split()
    assert " ".join(lines) == (
        "**2** job 0.95 (aaaa, 2026-11-01) **10** rows/s 5.4 (bbbb, 2026-11-02); 5.1 (aaaa, 2026-11-01)"
    )


def test_a_run_without_figures_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be measured is no history; what could is appended."""
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(history, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(history, "commit", lambda: "abcd")
    history.record([Figure(1, "what", None, 1, at_least=True)], "2 cores")
    assert not list(tmp_path.iterdir())
    for value in (0.5, 0.25):
        history.record([Figure(1, "what", value, 1, at_least=True)], "2 cores")
    found = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [run["figures"] for run in found] == [{"1 what": "0.5"}, {"1 what": "0.25"}]
    assert "0.25" in (tmp_path / "page.md").read_text()
