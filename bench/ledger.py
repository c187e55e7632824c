"""Row 7: a ledger of a million outcomes, read over HTTP as an application reads it, on both databases."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Double, Select, String, case, cast, func, insert, literal, select

from bench.figures import PAIRS, Figure, at_least, at_most, pairs, ratios
from bench.serving import bare, client_of, download_s, getter, p95_pairs, shim
from bench.workbench import Workbench
from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import MEASURED, outcome, shard, tally
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Shard
from face_import.settings import Settings
from tests import servers
from tests.memory import peak_bytes
from tests.real import free_ports

ROWS, SHARD_ROWS = 1_000_000, 5_000
PAGE_ROWS = 100
CALLS = 200
"""In each part of a measurement."""
_CODES = (101, 102, 201)
"""Of three in ten rows."""
LIMITS = Limits(width=80)
ANGLES = {"pitch": 83, "yaw": 127, "roll": 61}
FAILURES = ROWS * len(_CODES) // 10


def ledger(bench: Workbench) -> Iterator[Figure]:
    """Both databases, one after the other."""
    yield from _measured("SQLite", Settings(home=bench.folder / "sqlite", port=free_ports(1)[0]))
    try:
        with servers.databases(1) as (url,):
            settings = Settings(home=bench.folder / "postgresql", port=free_ports(1)[0], database_url=url)
            yield from _measured("PostgreSQL", settings)
    except servers.Unavailable as reason:
        yield Figure(7, "PostgreSQL", None, 4, at_least=False, note=str(reason))


def _measured(database: str, settings: Settings) -> Iterator[Figure]:
    task_id = fill(settings)
    with shim(settings) as process, closing(client_of(settings)) as client:
        path = f"/v1/tasks/{task_id}"
        get = getter(client)
        picks = random.Random(1)  # noqa: S311 - the same pages each time
        skips = [0, FAILURES - PAGE_ROWS, *(picks.randrange(FAILURES) for _ in range(PAIRS * CALLS - 2))]
        pages = [f"{path}/log?skip={skip}&limit={PAGE_ROWS}" for skip in skips]
        of_one = [f"{path}/log?skip={skip // len(_CODES)}&limit={PAGE_ROWS}&code=102" for skip in skips]
        with bare(settings) as peer:
            for read, most, paths in (
                ("`detail`", 4, [f"{path}/detail"] * PAIRS * CALLS),
                ("a page of `log` at any skip", 12, pages),
                ("the same of one code", 12, of_one),
            ):
                get(paths[0])
                measured = p95_pairs(get, getter(peer), paths)
                ours, bares = (median(side) for side in zip(*measured, strict=True))
                what, note = f"{read}, p95 / that of a bare SELECT 1", f"{ours:.1f} ms; bare {bares:.1f} ms"
                yield at_most(7, f"{database}: {what}", most, ratios(measured), note=note)
            before = process.memory_info().rss
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # its peak is what it has now
            measured = pairs(
                lambda: download_s(peer, f"/log?task={task_id}", FAILURES),
                lambda: download_s(client, f"{path}/download_log", FAILURES),
            )
        alone, ours = (median(side) for side in zip(*measured, strict=True))
        note = f"{FAILURES / ours:,.0f} lines/s; the driver {FAILURES / alone:,.0f}"
        what = f"{database}: lines/s of `download_log` / the driver's alone, by the same server"
        yield at_least(7, what, 0.5, ratios(measured), note=note)
        grown = (peak_bytes(process.pid) - before) / 2**20
        yield at_most(7, f"{database}: what these downloads add to the API's peak memory", 20, [grown], unit="MB")


def fill(settings: Settings) -> str:
    """A completed task of `ROWS` rows in the catalogue of these settings."""
    migrate(settings.catalogue_url)
    catalogue = Catalogue.open(settings)
    task_id = new_task_id()
    fill_task(
        catalogue, task_id, [Shard(n, n * SHARD_ROWS + 1, SHARD_ROWS, n, n + 1, n) for n in range(ROWS // SHARD_ROWS)]
    )
    catalogue.engine.dispose()
    return task_id


def fill_task(
    catalogue: Catalogue, task_id: str, shards: Sequence[Shard], *, state: TaskState = TaskState.COMPLETED
) -> None:
    """Add a task whose outcomes the database makes itself: through the ledger a million would take a minute."""
    rows = shards[-1].last_row
    config = TaskConfig("staff", "bench", LIMITS, 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=state, total_num=rows)
    catalogue.plans.commit(task_id, shards, rows)
    with catalogue.engine.begin() as connection:
        made = outcomes(task_id, rows)
        connection.execute(insert(outcome).from_select(made.selected_columns.keys(), made))
        its = shard.c.task_id == task_id, outcome.c.row.between(shard.c.first_row, shard.c.first_row + shard.c.rows - 1)
        counted = select(literal(task_id), shard.c.number, outcome.c.code, func.count()).where(
            outcome.c.task_id == task_id, *its
        )
        connection.execute(insert(tally).from_select(list(tally.c), counted.group_by(shard.c.number, outcome.c.code)))


def outcomes(task_id: str, rows: int = ROWS) -> Select[Any]:
    """Outcomes of so many rows, a column for each of the table's."""
    first = select(literal(1).label("row")).cte("numbers", recursive=True)
    row = first.union_all(select(first.c.row + 1).where(first.c.row < rows)).c.row
    name = cast(row, String)
    failed = row % 10 < len(_CODES)
    measured = _measured_of(row)
    return select(
        literal(task_id).label("task_id"),
        row.label("row"),
        case({n: literal(code) for n, code in enumerate(_CODES)}, value=row % 10, else_=0).label("code"),
        ("https://images.example.org/people/" + name + "/portrait.jpg").label("uri"),
        case((failed, "404 Not Found"), else_="").label("message"),
        case((failed, "not_found"), else_="").label("reason"),
        case((failed, ""), else_=literal(f"{task_id}-") + name).label("face_id"),
        *(case((~failed, measured[column]), else_=None).label(column) for column in MEASURED),
        literal(1.8e9).label("handled_at"),
    )


def _measured_of(row: ColumnElement[int]) -> dict[str, ColumnElement[Any]]:
    """Measurements that differ from row to row, with no width below the limit."""
    spread = row % 1009 * 7919
    angles = {name: cast(spread % prime, Double) - prime / 2 for name, prime in ANGLES.items()}
    whole = {"faces": spread % 3 + 1, "width": spread % 307 + 80, "height": spread % 311 + 80, "blur": spread % 101}
    return {**whole, **angles, "score": cast(spread % 997, Double) / 997}
