"""The figures of `bench.growth`: bench/growth.json, tables in docs/explanation/performance.md, and what is a fault."""

import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

from bench.figures import CHECKOUT, PAGE

RESULTS = CHECKOUT / "bench" / "growth.json"
ROWS, READS, CROWD = "rows", "reads", "crowd"
LARGE = 100_000
"""Rows from which the cost of a row is compared: below, it is mostly that of starting an import."""
FAULT = 2.0
"""Per-row costs that rise by more from one size to the next, ten times as large, are taken to grow with the square."""

Figures = Mapping[str, float]


class Line(NamedTuple):
    """A line of the table of sizes: what it is, how it follows from the figures, and whether it is a row's cost."""

    what: str
    value: Callable[[Figures, int], float | None]
    is_of_a_row: bool = False


def _plain(name: str, factor: float = 1) -> Callable[[Figures, int], float | None]:
    return lambda figures, _rows: figures[name] * factor if name in figures else None


def _of_a_row(name: str, factor: float) -> Callable[[Figures, int], float | None]:
    return lambda figures, rows: figures[name] * factor / rows


LINES = (
    Line("`create` with its upload, µs a row", _of_a_row("create_s", 1e6), is_of_a_row=True),
    Line("`start` to the end, µs a row", _of_a_row("seconds", 1e6), is_of_a_row=True),
    Line("CPU of the stack, µs a row", _of_a_row("stack_cpu_s", 1e6), is_of_a_row=True),
    Line("CPU of PostgreSQL's connections, µs a row", _of_a_row("database_cpu_s", 1e6), is_of_a_row=True),
    Line("the catalogue, bytes a row", _of_a_row("catalogue_bytes", 1), is_of_a_row=True),
    Line("Airflow's database grows by, MB", _plain("airflow_bytes", 1e-6)),
    Line("`stop` of it while it runs, s", _plain("stop_s")),
    Line("`start` of it again, s", _plain("start_s")),
    Line("from there to its next row, s", _plain("resumed_s")),
)
READ_LINES = {
    "bare": "`/healthz`, which reads nothing",
    "detail": "`detail`",
    "list": "`list` with a summary",
    "log": "first page of `log`",
    "deep_log": "last page of `log`",
    "rows": "a page of `rows` in the middle",
    "failed_rows": "a page of failed `rows` of one code",
    "page": "its page in the console",
    "metrics": "`/metrics`",
}
CROWD_LINES = {
    "keeper_round": "a round of the keeper",
    "keeper_sweep": "its sweep, once a minute",
    "metrics": "`/metrics`",
    "console": "the console's list",
    "list": "`list` with summaries",
    "ids": "`list` of all ids",
}


def save(part: str, key: int | tuple[int, int], figures: Figures) -> None:
    """Keep the figures of a size, or of a number of finished and running imports, in place of earlier ones."""
    document = load()
    word = str(key) if isinstance(key, int) else "+".join(map(str, key))
    document[part][word] = {name: float(f"{value:.4g}") for name, value in figures.items()}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    text = PAGE.read_text()
    tables = {
        ROWS: rows_table(by_size(document[ROWS])),
        READS: costs_table("rows", {f"{rows:,}": its for rows, its in by_size(document[READS]).items()}, READ_LINES),
        CROWD: costs_table("finished + running", document[CROWD], CROWD_LINES),
    }
    for name, table in tables.items():
        mark = re.compile(rf"(<!-- growth {name} -->\n).*?(<!-- /growth -->)", re.DOTALL)
        text = mark.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    PAGE.write_text(text)


def load() -> dict[str, dict[str, Figures]]:
    """What was measured so far."""
    kept: dict[str, dict[str, Figures]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {ROWS: {}, READS: {}, CROWD: {}} | kept


def by_size(part: Mapping[str, Figures]) -> dict[int, Figures]:
    """Figures by the number of rows, in ascending order."""
    return dict(sorted((int(rows), figures) for rows, figures in part.items()))


def rows_table(found: Mapping[int, Figures]) -> str:
    """What an import costs at each size, and the memory of each program at its end."""
    programs = sorted({name for figures in found.values() for name in figures if name.startswith("memory_mb ")})
    memory = [Line(f"memory of {name.split()[1]}, MB", _plain(name)) for name in programs]
    lines = ["| rows | " + " | ".join(f"{rows:,}" for rows in found) + " |", "| --- |" + " --- |" * len(found)]
    for line in (*LINES, *memory):
        values = [line.value(figures, rows) for rows, figures in found.items()]
        lines.append(f"| {line.what} | " + " | ".join(map(_shown, values)) + " |")
    return "\n".join(lines)


def costs_table(head: str, found: Mapping[str, Figures], titles: Mapping[str, str]) -> str:
    """CPU and elapsed milliseconds of each action, and shares of a processor if there are any."""
    lines = [f"| {head} | " + " | ".join(found) + " |", "| --- |" + " --- |" * len(found)]
    for name, title in titles.items():
        values = [
            f"{_shown(its[f'{name}_cpu_ms'])} ({_shown(its[f'{name}_ms'])})" if f"{name}_ms" in its else ""
            for its in found.values()
        ]
        lines.append(f"| {title} | " + " | ".join(values) + " |")
    for name in sorted({name for its in found.values() for name in its if name.startswith("cpu_percent ")}):
        values = [_shown(its.get(name)) for its in found.values()]
        lines.append(f"| {name.split()[1]}, % of a processor | " + " | ".join(values) + " |")
    return "\n".join(lines)


def faults(found: Mapping[int, Figures]) -> list[str]:
    """Costs of a row that rise with the number of rows, so that an import's grow about with its square."""
    large = [(rows, figures) for rows, figures in found.items() if rows >= LARGE]
    told = []
    for (fewer, before), (more, after) in pairwise(large):
        for line in filter(lambda line: line.is_of_a_row, LINES):
            ratio = (line.value(after, more) or 0) / (line.value(before, fewer) or 1)
            if ratio > FAULT:
                told.append(f"{line.what}: {ratio:.1f} times as much at {more:,} rows as at {fewer:,}")
    return told


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
