"""Every run of the bench, by commit: bench/history.jsonl, and its page docs/explanation/performance-history.md."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

from bench.figures import CHECKOUT, Figure

HISTORY = CHECKOUT / "bench" / "history.jsonl"
PAGE = CHECKOUT / "docs" / "explanation" / "performance-history.md"
SHOWN = 8
"""Runs of a figure that the page shows, the latest ones."""
HEAD = """# Performance by commit

What each run of `make bench` measured, the latest on the left, so that a figure that got worse has a date. The targets,
and what the rows mean: [performance](performance.md). Machines differ between runs; ratios differ less than times.
All runs are in `bench/history.jsonl`.
"""


def record(figures: Sequence[Figure], machine: str) -> None:
    """Append a run, and write the page."""
    values = {f"{figure.row} {figure.what}": figure.shown for figure in figures if figure.value is not None}
    if not values:
        return
    run = {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "machine": machine, "figures": values}
    with HISTORY.open("a") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")
    PAGE.write_text(page([json.loads(line) for line in HISTORY.read_text().splitlines()]))


def commit() -> str:
    """The checkout's commit, with a `+` if files differ from it; `unknown` without git."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    asked = [git, "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude=*"]
    done = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def page(runs: Sequence[dict[str, Any]]) -> str:
    """The page of these runs, the oldest first; a figure that its row does not have any more is left out."""
    latest_of_row: dict[int, set[str]] = {}
    for run in runs:
        for row, names in groupby(sorted(run["figures"], key=_row), key=_row):
            latest_of_row[row] = set(names)
    figures = sorted({name for names in latest_of_row.values() for name in names}, key=lambda name: (_row(name), name))
    lines = [HEAD]
    for name in figures:
        row, what = name.split(" ", 1)
        latest = islice((run for run in reversed(runs) if name in run["figures"]), SHOWN)
        values = [f"{run['figures'][name]} ({run['commit']}, {run['date']})" for run in latest]
        lines.append(f"**{row}** {what}  \n{'; '.join(values)}\n")
    return "\n".join(lines)


def _row(name: str) -> int:
    return int(name.split(maxsplit=1)[0])
