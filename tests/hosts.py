"""Image hosts in trouble, as the shards of a task note them in the catalogue."""

import time
from typing import Any

from sqlalchemy import insert

from face_import.catalogue import Catalogue
from face_import.catalogue.schema import host, place


def unavailable(
    catalogue: Catalogue,
    task_id: str,
    origin: str = "http://img.example.com",
    *,
    reason: str = "429 Too Many Requests",
    rows: tuple[int, ...] = (812,),
    retry_in_s: float = 24.0,
    **columns: Any,
) -> None:
    """Note that a host is unavailable, with so many rows waiting for it in each of the task's shards."""
    now = time.time()
    values = {"version": 1, "reason": reason, "since": now - 60, "retry_at": now + retry_in_s, **columns}
    with catalogue.engine.begin() as connection:
        connection.execute(insert(host).values(task_id=task_id, origin=origin, **values))
        for number, waiting in enumerate(rows):
            its = {"shard": number, "waiting": waiting, "wants": 0, "granted": 0}
            connection.execute(insert(place).values(task_id=task_id, origin=origin, **its))
