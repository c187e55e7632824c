"""A shard's try as a task instance makes it, with the real catalogue and storage, without Airflow."""

import asyncio
import gc
import io
import time
from functools import partial
from uuid import uuid4

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, OutcomeBatch, Shard
from face_import.pipeline.opening import opened
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings
from face_import.sources.storage import Storage


def _push(catalogue: Catalogue, batch: OutcomeBatch) -> None:
    catalogue.ledger.write(batch)


class Shards:
    """Imports lines of CSV as one shard.

    Args:
        settings: home, services.
    """

    def __init__(self, settings: Settings) -> None:
        migrate(settings.catalogue_url)
        self._settings = settings
        self._catalogue = Catalogue.open(settings)

    def timed(self, lines: list[str], thread_num: int) -> float:
        """Seconds from the shard's start to its last outcome in the ledger."""
        task = self._task(lines, thread_num)
        gc.freeze()
        began = time.perf_counter()
        asyncio.run(self._run(task))
        seconds = time.perf_counter() - began
        progress = self._catalogue.ledger.progress(task.id)
        assert progress.by_code == {0: len(lines)}, progress
        return seconds

    def _task(self, lines: list[str], thread_num: int) -> ImportTask:
        task_id = new_task_id()
        index = Storage.of(self._settings).store(task_id, io.BytesIO("\n".join(lines).encode()))
        config = TaskConfig("staff", "bench", Limits(), thread_num, Mode.SKIP)
        self._catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=index.rows)
        first, last = index.blocks[0], index.blocks[-1]
        whole = Shard(0, first.first_row, index.rows, first.start, last.end, first.line)
        self._catalogue.plans.commit(task_id, [whole], index.rows)
        self._catalogue.tasks.start(task_id)
        return self._catalogue.tasks.get(task_id)

    async def _run(self, task: ImportTask) -> None:
        settings, catalogue = self._settings, self._catalogue
        shard = catalogue.plans.shards(task.id)[0]
        rows = Storage.of(settings).open_shard(task.id, shard)
        work = ShardWork(task, shard, str(uuid4()), rows, partial(_push, catalogue))
        async with opened(work, catalogue, settings) as attempt:
            await attempt.run()
