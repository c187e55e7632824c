"""Row 7: a ledger of a million outcomes, read over HTTP as an application reads it, on both databases."""

import http.client
import json
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
from sqlalchemy import ColumnElement, Double, Select, String, case, cast, func, insert, literal, select

from bench.figures import PAIRS, Figure, at_least, at_most
from bench.workbench import Workbench
from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import MEASURED, outcome, tally
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Shard
from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import stack_environment
from face_import.stack.layout import Layout
from face_import.stack.supervisor import programs
from tests import servers
from tests.memory import peak_bytes
from tests.real import free_ports
from tests.waiting import until

ROWS, SHARD_ROWS = 1_000_000, 5_000
PAGE_ROWS = 100
CALLS = 200
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
        yield Figure(7, "PostgreSQL", None, 30, at_least=False, unit="ms", note=str(reason))


def _measured(database: str, settings: Settings) -> Iterator[Figure]:
    task_id = fill(settings)
    with shim(settings) as process:
        path = f"/v1/tasks/{task_id}"
        client = http.client.HTTPConnection("127.0.0.1", settings.port)
        get = _getter(client)
        get(f"{path}/detail")
        picks = random.Random(1)  # noqa: S311 - the same pages each time
        skips = [0, FAILURES - PAGE_ROWS, *(picks.randrange(FAILURES) for _ in range(CALLS - 2))]
        yield at_most(7, f"{database}: `detail`, p95", 30, [_p95(get, [f"{path}/detail"] * CALLS)], unit="ms")
        pages = [f"{path}/log?skip={skip}&limit={PAGE_ROWS}" for skip in skips]
        yield at_most(7, f"{database}: a page of `log` at any skip, p95", 50, [_p95(get, pages)], unit="ms")
        pages = [f"{page}&code=102" for page in pages if int(page.split("skip=")[1].split("&")[0]) < FAILURES // 3]
        yield at_most(7, f"{database}: the same of one code, p95", 50, [_p95(get, pages)], unit="ms")
        before = process.memory_info().rss
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # its peak is what it has now
        rates = [_download_rate(client, f"{path}/download_log", FAILURES) for _ in range(PAIRS)]
        yield at_least(7, f"{database}: lines/s of `download_log`", 200_000, rates, unit="lines/s")
        grown = (peak_bytes(process.pid) - before) / 2**20
        yield at_most(7, f"{database}: what these downloads add to the API's peak memory", 20, [grown], unit="MB")
        client.close()


def fill(settings: Settings) -> str:
    """A completed task, whose outcomes the database makes itself: through the ledger it would take a minute."""
    migrate(settings.catalogue_url)
    catalogue = Catalogue.open(settings)
    task_id = new_task_id()
    config = TaskConfig("staff", "bench", LIMITS, 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.COMPLETED, total_num=ROWS)
    plan = [Shard(n, n * SHARD_ROWS + 1, SHARD_ROWS, n, n + 1, n) for n in range(ROWS // SHARD_ROWS)]
    catalogue.plans.commit(task_id, plan, ROWS)
    shards = (outcome.c.row - 1) // SHARD_ROWS
    tallies = select(literal(task_id), shards, outcome.c.code, func.count()).group_by(shards, outcome.c.code)
    with catalogue.engine.begin() as connection:
        made = outcomes(task_id)
        connection.execute(insert(outcome).from_select(made.selected_columns.keys(), made))
        connection.execute(insert(tally).from_select(list(tally.c), tallies))
    catalogue.engine.dispose()
    return task_id


def outcomes(task_id: str) -> Select[Any]:
    """Outcomes of `ROWS` rows, a column for each of the table's."""
    first = select(literal(1).label("row")).cte("numbers", recursive=True)
    row = first.union_all(select(first.c.row + 1).where(first.c.row < ROWS)).c.row
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


@contextmanager
def shim(settings: Settings) -> Iterator[psutil.Process]:
    """The API as the stack starts it; gives its worker's process."""
    layout = Layout.of(settings.home)
    program = next(p for p in programs(settings) if p.name == "shim")
    environment = stack_environment(settings, layout) | {
        "FACE_IMPORT_PORT": str(settings.port),
        "FACE_IMPORT_DATABASE_URL": settings.catalogue_url,
    }
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / "shim.log"
    with log.open("w") as out, subprocess.Popen(program.command, env=environment, cwd=CHECKOUT, stderr=out) as process:
        try:
            until(lambda: _listens(settings.port))
            yield psutil.Process(process.pid).children()[0]
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _getter(client: http.client.HTTPConnection) -> Callable[[str], bytes]:
    def get(path: str) -> bytes:
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        assert answer.status == 200, body[:300]
        return body

    return get


def _p95(get: Callable[[str], bytes], paths: list[str]) -> float:
    """95th percentile of the milliseconds a call takes."""
    times = []
    for path in paths:
        began = time.perf_counter()
        json.loads(get(path))
        times.append((time.perf_counter() - began) * 1e3)
    return quantiles(times, n=20)[-1]


def _download_rate(client: http.client.HTTPConnection, path: str, lines: int) -> float:
    began = time.perf_counter()
    client.request("GET", path)
    answer = client.getresponse()
    seen = 0
    while piece := answer.read(2**18):
        seen += piece.count(b"\n")
    assert seen == lines, seen
    return lines / (time.perf_counter() - began)
