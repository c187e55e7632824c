"""A line about a shard's progress in its log, twice a minute."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Catalogue, Progress, WaitingHost
from face_import.domain.models import Shard

log = logging.getLogger(__name__)
EVERY_S = 30.0
MOST_HOSTS = 3
"""Hosts that the line names."""


@asynccontextmanager
async def told_progress(catalogue: Catalogue, task_id: str, part: Shard) -> AsyncIterator[None]:
    """Log the progress of a shard while the body works on it."""
    telling = asyncio.create_task(_tell(catalogue, task_id, part))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(catalogue: Catalogue, task_id: str, part: Shard) -> None:
    before: tuple[int, float] | None = None
    while True:
        try:
            progress = await asyncio.to_thread(catalogue.ledger.progress, task_id, part.number)
            hosts = await asyncio.to_thread(catalogue.hosts.waiting, task_id)
        except OperationalError as error:
            log.warning("progress unknown task=%s shard=%s error=%s", task_id, part.number, error.orig)
        else:
            now = progress.handled, time.monotonic()
            if before:
                _say(task_id, part, progress, (now[0] - before[0]) / (now[1] - before[1]), hosts)
            before = now
        await asyncio.sleep(EVERY_S)


def _say(task_id: str, part: Shard, progress: Progress, rows_per_s: float, hosts: Sequence[WaitingHost]) -> None:
    names = [host.host for host in hosts[:MOST_HOSTS]]
    if len(hosts) > MOST_HOSTS:
        names.append(f"and {len(hosts) - MOST_HOSTS} more")
    log.info(
        "progress task=%s shard=%s handled=%s of=%s failed=%s rows_per_s=%.1f waiting_for=%s",
        task_id,
        part.number,
        progress.handled,
        part.rows,
        progress.handled - progress.succeeded,
        rows_per_s,
        ", ".join(names) or "none",
    )
