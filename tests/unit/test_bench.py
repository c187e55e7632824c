"""The benchmarks are run by hand: here they are only loaded, so that a renamed part of the product is noticed."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from bench import history, serving
from bench.figures import Figure
from bench.history import HEAD, page
from bench.tables import costs_table, faults, rows_table
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


def test_the_page_of_history_has_no_figures_that_are_measured_no_more() -> None:
    """A row that got another peer begins anew; one that the latest run left out stays."""
    runs = [
        {"date": "2026-11-01", "commit": "aaaa", "machine": "", "figures": {"8 first row": "1 s", "10 rows/s": "5.1"}},
        {"date": "2026-11-02", "commit": "bbbb", "machine": "", "figures": {"8 first row / Airflow's": "1.2"}},
    ]
    lines = page(runs).removeprefix(HEAD).split("\n")
    assert [line for line in lines if line.startswith("**")] == ["**8** first row / Airflow's  ", "**10** rows/s  "]


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


def test_calls_take_turns_with_those_to_the_peer() -> None:
    """A slow second slows both, and each part has a pair of its own."""
    asked: list[str] = []

    def get(path: str) -> bytes:
        asked.append(path)
        return b"{}"

    def peer(path: str) -> bytes:
        asked.append(f"peer {path}")
        return b"{}"

    paths = [f"/{number}" for number in range(10)]
    assert len(serving.p95_pairs(get, peer, paths)) == serving.PAIRS
    assert asked[::2] == [f"/{number}" for part in range(5) for number in (part, part + 5)]
    assert asked[1::2] == ["peer /"] * 10


COSTS = {"create_s": 1.0, "seconds": 10.0, "stack_cpu_s": 5.0, "database_cpu_s": 2.0, "catalogue_bytes": 3e7}
"""Of an import of 100,000 rows."""


@pytest.mark.parametrize(("times", "found"), [(10, False), (15, False), (25, True), (100, True)])
def test_a_cost_that_grows_with_the_square_is_a_fault(times: int, found: bool) -> None:
    """Ten times the rows may cost ten times as much, and somewhat more on a busy machine."""
    after = {name: value * 10 for name, value in COSTS.items()} | {"database_cpu_s": 2.0 * times}
    told = faults({1_000: COSTS, 100_000: COSTS, 1_000_000: after})
    assert bool(told) == found
    assert not found or "PostgreSQL" in told[0]


def test_the_tables_of_growth_have_a_column_for_each_size() -> None:
    """Costs of a row by the row; what a size has not is left empty."""
    sizes = {1_000: COSTS, 10_000: COSTS | {"stop_s": 1.25, "memory_mb keeper": 77.0}}
    lines = rows_table(sizes).splitlines()
    assert lines[0] == "| rows | 1,000 | 10,000 |"
    assert "| `start` to the end, µs a row | 10,000 | 1,000 |" in lines
    assert "| `stop` of it while it runs, s |  | 1.25 |" in lines
    assert "| memory of keeper, MB |  | 77 |" in lines


def test_costs_have_cpu_and_elapsed_time() -> None:
    """What was not measured is left empty; shares of the processor come last."""
    crowd = {"0+0": {"metrics_ms": 5.0, "metrics_cpu_ms": 4.0}, "1000+50": {"cpu_percent keeper": 3.0}}
    lines = costs_table("finished + running", crowd, {"metrics": "`/metrics`"}).splitlines()
    assert lines[0] == "| finished + running | 0+0 | 1000+50 |"
    assert lines[2:] == ["| `/metrics` | 4 (5) |  |", "| keeper, % of a processor |  | 3 |"]
