"""Row 15: a million rows judged by other limits, and the distribution of a measurement, on both databases."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from statistics import median

from sqlalchemy import Engine, func, select

from bench.figures import Figure, at_most, pairs, ratios
from bench.ledger import ROWS, fill
from bench.serving import shim
from bench.workbench import Workbench
from face_import.catalogue.engine import connect, reading
from face_import.catalogue.schema import outcome
from face_import.settings import Settings
from tests import servers
from tests.real import free_ports

LIMITS = {"pos_pitch": 30, "pos_yaw": 45, "pos_rol": 20, "width": 100, "height": 100, "blur_degree": 60}


def judge(bench: Workbench) -> Iterator[Figure]:
    """Both databases, one after the other."""
    yield from _measured("SQLite", Settings(home=bench.folder / "sqlite-judge", port=free_ports(1)[0]))
    try:
        with servers.databases(1) as (url,):
            settings = Settings(home=bench.folder / "postgresql-judge", port=free_ports(1)[0], database_url=url)
            yield from _measured("PostgreSQL", settings)
    except servers.Unavailable as reason:
        yield Figure(15, "PostgreSQL", None, 2, at_least=False, note=str(reason))


def _measured(database: str, settings: Settings) -> Iterator[Figure]:
    task_id = fill(settings)
    engine = connect(settings.catalogue_url)
    with shim(settings):
        client = http.client.HTTPConnection("127.0.0.1", settings.port)
        plain = lambda: _plain_s(engine, task_id)  # noqa: E731 - the peer of both
        for what, most, ours in (
            ("judge of 1,000,000 rows by all six limits", 2, lambda: _judge_s(client, task_id)),
            ("distribution of a measurement of these rows", 3.4, lambda: _histogram_s(client, task_id)),
        ):
            ours(), plain()
            measured = pairs(ours, plain)
            own, peer = (median(side) * 1e3 for side in zip(*measured, strict=True))
            note = f"{own:.0f} ms; the count {peer:.0f} ms"
            yield at_most(15, f"{database}: {what} / a plain count by code", most, ratios(measured), note=note)
        client.close()
    engine.dispose()


def _judge_s(client: http.client.HTTPConnection, task_id: str) -> float:
    headers = {"Content-Type": "application/json"}
    seconds, answer = _timed(
        lambda: client.request("POST", f"/v1/tasks/{task_id}/judge", json.dumps(LIMITS), headers), client
    )
    assert answer["handled_num"] == ROWS, answer
    return seconds


def _histogram_s(client: http.client.HTTPConnection, task_id: str) -> float:
    seconds, answer = _timed(lambda: client.request("GET", f"/v1/tasks/{task_id}/measurements?of=yaw"), client)
    assert sum(answer["counts"]) + answer["unmeasured_num"] == ROWS, answer
    return seconds


def _timed(send: Callable[[], None], client: http.client.HTTPConnection) -> tuple[float, dict[str, int]]:
    began = time.perf_counter()
    send()
    response = client.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    return time.perf_counter() - began, answer


def _plain_s(engine: Engine, task_id: str) -> float:
    query = select(outcome.c.code, func.count()).where(outcome.c.task_id == task_id).group_by(outcome.c.code)
    began = time.perf_counter()
    with reading(engine).begin() as connection:
        assert sum(rows for _, rows in connection.execute(query)) == ROWS
    return time.perf_counter() - began
