"""What people and programs read of a finished import at one size, from the API alone on a filled ledger.

Each read is timed, and its CPU measured (the API's and PostgreSQL's), which does not depend on other work beside it.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import make_url

from bench.ledger import fill_task
from bench.saying import say
from bench.serving import client_of, shim
from bench.watching import Backends
from face_import.catalogue import Catalogue
from face_import.catalogue.engine import migrate
from face_import.domain.identity import new_task_id
from face_import.domain.planning import plan_shards
from face_import.settings import Settings
from face_import.sources import Storage
from tests import servers
from tests.real import free_ports

PAGE_ROWS = 100
CALLS = 40
PROCESSES = 4
"""Shards at once for which the file is planned; a number without influence on large files."""


def measured(folder: Path, rows: int) -> dict[str, float]:
    """Fill a catalogue of its own with an import of so many rows, and read it; figures as `tables.READS` names them."""
    with servers.databases(1) as (url,):
        settings = Settings(home=folder / f"home-{rows}", port=free_ports(1)[0], database_url=url)
        task_id = _filled(settings, source_of(folder, rows))
        with shim(settings) as process, closing(client_of(settings)) as client:
            found: dict[str, float] = {}
            for name, path, body in _reads(task_id, rows):
                say(f"{rows:,} rows: {name}")
                read = lambda path=path, body=body: call(client, path, body)  # noqa: E731
                found |= cost(name, read, [process], str(make_url(url).database))
    return found


def source_of(folder: Path, rows: int) -> Path:
    """A CSV file of so many rows."""
    path = folder / f"{rows}.csv"
    with path.open("w") as file:
        file.writelines(
            f"https://images.example.org/people/{n}/portrait.jpg,tag{n},person number {n}\n" for n in range(rows)
        )
    return path


def _filled(settings: Settings, source: Path) -> str:
    migrate(settings.catalogue_url)
    catalogue, task_id = Catalogue.open(settings), new_task_id()
    with source.open("rb") as file:
        index = Storage.of(settings).store(task_id, file)
    source.unlink()
    fill_task(catalogue, task_id, plan_shards(index, PROCESSES))
    catalogue.engine.dispose()
    return task_id


def _reads(task_id: str, rows: int) -> Iterable[tuple[str, str, dict[str, object] | None]]:
    path, deep, page = f"/v1/tasks/{task_id}", rows * 3 // 10 - PAGE_ROWS, f"limit={PAGE_ROWS}"
    return (
        ("bare", "/healthz", None),
        ("detail", f"{path}/detail", None),
        ("list", "/v1/tasks/list", {"fields": "summary"}),
        ("log", f"{path}/log?skip=0&{page}", None),
        ("deep_log", f"{path}/log?skip={deep}&{page}", None),
        ("rows", f"{path}/rows?row={rows // 2}-&{page}", None),
        ("failed_rows", f"{path}/rows?rows=failed&code=201&{page}", None),
        ("page", f"/tasks/{task_id}", None),
        ("metrics", "/metrics", None),
    )


def call(client: http.client.HTTPConnection, path: str, body: dict[str, object] | None = None) -> bytes:
    """GET a path as a browser does, or POST a body to it; gives the answer, which is 200."""
    if body is None:
        client.request("GET", path, headers={"Accept": "text/html,*/*;q=0.8"})
    else:
        client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    read = answer.read()
    assert answer.status == 200, (path, read[:300])
    return read


def cost(
    name: str, action: Callable[[], object], processes: Iterable[psutil.Process], *databases: str
) -> dict[str, float]:
    """The median of an action's milliseconds, and the mean of its CPU in processes and databases, after a first one."""
    action()
    times, before = [], sum(map(_used_s, processes))
    with Backends(*databases) as backends:
        for _ in range(CALLS):
            began = time.perf_counter()
            action()
            times.append(time.perf_counter() - began)
    used = sum(map(_used_s, processes)) - before + backends.cpu_s
    return {f"{name}_ms": median(times) * 1e3, f"{name}_cpu_ms": used / CALLS * 1e3}


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
