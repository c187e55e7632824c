"""One import at one size, from its file to its end: what a row of it costs, and what it leaves behind."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from sqlalchemy import make_url

from bench.reads import source_of
from bench.watching import Backends, cpu_s, database_bytes, memory_mb
from tests.real import RealStack
from tests.waiting import until

THREADS = 32
STOPPED_FROM = 100_000
"""Rows from which an import is stopped and started again on its way; a smaller one has ended by then."""
PIECE = 2**20
LONGEST_S = 4 * 3600


def measured(stack: RealStack, folder: Path, rows: int) -> dict[str, float]:
    """Create an import, run it, and stop and start it on the way; figures as `tables.LINES` names them."""
    catalogue, airflow = stack.settings.database_url, stack.settings.airflow_database_url
    names = [str(make_url(url).database) for url in (catalogue, airflow)]
    sizes = database_bytes(catalogue), database_bytes(airflow)
    used, found = cpu_s(stack), dict[str, float]()
    source = source_of(folder, rows)
    with Backends(*names) as backends:
        found["create_s"], task_id = _created(stack, source)
        source.unlink()
        began = time.time()
        stack.api.ok(f"{task_id}/start")
        away_s = 0.0
        if rows >= STOPPED_FROM:
            away_s = _stopped_and_started(stack, task_id, rows // 4, found)
        until(lambda: stack.api.detail(task_id)["state"] in {3, 4}, LONGEST_S, every_s=1.0)
        found |= {f"memory_mb {name}": size for name, size in memory_mb(stack).items()}
    detail = stack.api.detail(task_id)
    assert (detail["state"], detail["handled_num"]) == (4, rows), detail
    found["seconds"] = (stack.catalogue.tasks.get(task_id).finished_at or 0) - began - away_s
    found["stack_cpu_s"], found["database_cpu_s"] = cpu_s(stack) - used, backends.cpu_s
    found["catalogue_bytes"] = database_bytes(catalogue) - sizes[0]
    found["airflow_bytes"] = database_bytes(airflow) - sizes[1]
    return found


def _created(stack: RealStack, source: Path) -> tuple[float, str]:
    """Seconds that a create takes with its upload, which is not held in memory; and the task."""
    edge = uuid4().hex
    fields = {"group_name": "staff", "thread_num": str(THREADS)}
    parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n\r\n')
    head, tail = "".join(parts).encode(), f"\r\n--{edge}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        with source.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
        yield tail

    client = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=600)
    length = str(len(head) + source.stat().st_size + len(tail))
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}", "Content-Length": length}
    began = time.monotonic()
    client.request("POST", "/v1/tasks/create", body(), headers)
    answer = client.getresponse()
    told = json.loads(answer.read())
    assert answer.status == 200, told
    client.close()
    return time.monotonic() - began, str(told["id"])


def _stopped_and_started(stack: RealStack, task_id: str, after: int, found: dict[str, float]) -> float:
    """Stop an import once so many rows are handled, and start it again; returns the seconds without a row."""
    stack.api.handled(task_id, after, LONGEST_S)
    began = time.monotonic()
    stack.api.ok(f"{task_id}/stop")
    found["stop_s"] = time.monotonic() - began
    until(lambda: not stack.catalogue.leases.live(task_id))
    handled, again = stack.api.detail(task_id)["handled_num"], time.monotonic()
    stack.api.ok(f"{task_id}/start")
    found["start_s"] = time.monotonic() - again
    stack.api.handled(task_id, handled + 1, 600)
    found["resumed_s"] = time.monotonic() - again
    return time.monotonic() - began
