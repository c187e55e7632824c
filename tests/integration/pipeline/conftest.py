"""A shard's try against the doubles, with the real catalogue and storage, without Airflow."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.clients.services import LibraryService
from face_import.contract import Mode, TaskState
from face_import.domain.guard import NO_GUARD, Guard
from face_import.domain.identity import new_task_id
from face_import.domain.models import NO_POLICY, WHOLE, FailurePolicy, Limits, OutcomeBatch, Row, Scope
from face_import.domain.planning import plan_shards
from face_import.errors import WrongState
from face_import.pipeline.meter import Observe, unobserved
from face_import.pipeline.opening import opened
from face_import.pipeline.shard import ShardImport
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings
from face_import.sources.storage import Storage
from face_import.undo import store_added
from tests.conftest import NO_LIMITS
from tests.doubles.process import FaceServices, ImageHost


@dataclass
class Bench:
    """Imports lines of CSV through the doubles."""

    settings: Settings
    catalogue: Catalogue
    services: FaceServices
    images: ImageHost

    def task(
        self,
        lines: Sequence[str],
        *,
        limits: Limits = NO_LIMITS,
        thread_num: int = 10,
        mode: Mode = Mode.SKIP,
        entry: str = "",
        host_threads: int = 0,
        policy: FailurePolicy = NO_POLICY,
        guard: Guard = NO_GUARD,
        scope: Scope = WHOLE,
    ) -> ImportTask:
        """Register, plan and start a task over these lines."""
        task_id = new_task_id()
        index = Storage.of(self.settings).store(task_id, io.BytesIO("\n".join(lines).encode()))
        more: dict[str, Any] = {"host_threads": host_threads, "policy": policy, "guard": guard, "scope": scope}
        config = TaskConfig("staff", "test", limits, thread_num, mode, entry, **more)
        self.catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=index.rows)
        self.catalogue.plans.commit(task_id, plan_shards(index, 1), index.rows)
        self.catalogue.tasks.start(task_id)
        return self.catalogue.tasks.get(task_id)

    def undo(self, task: ImportTask) -> ImportTask:
        """Plan and start what undoes an import that has ended, as the API and `plan` do; or go on with it."""
        undo = self.catalogue.undoing.begin(task.id, new_task_id())
        if not self.catalogue.plans.shards(undo.id):
            index = store_added(undo, self.catalogue, Storage.of(self.settings), "faces")
            self.catalogue.plans.commit(undo.id, plan_shards(index, 1), index.rows, "faces", index.reading)
        with suppress(WrongState):
            self.catalogue.tasks.start(undo.id)
        return self.catalogue.tasks.get(undo.id)

    async def run(
        self,
        task: ImportTask,
        *,
        use: Callable[[ShardImport], Awaitable[None] | None] | None = None,
        push: Callable[[OutcomeBatch], object] | None = None,
        observe: Observe = unobserved,
    ) -> None:
        """Work on the task's first shard as a task instance would; `use` gets hold of the try meanwhile."""
        if not task.config.undoes:
            async with LibraryService(self.settings) as library:
                await library.ensure_group(task.config.group_name, 1000)
        work = self.work(task, push or self.catalogue.ledger.write, observe)
        async with opened(work, self.catalogue, self.settings) as attempt:
            helper = asyncio.ensure_future(use(attempt)) if use else None  # type: ignore[arg-type]
            try:
                await attempt.run()
            finally:
                if helper is not None:
                    await helper

    def work(
        self, task: ImportTask, push: Callable[[OutcomeBatch], object], observe: Observe = unobserved
    ) -> ShardWork:
        """A try at the task's first shard."""
        shard, storage = self.catalogue.plans.shards(task.id)[0], Storage.of(self.settings)
        opening = storage.open_added if task.config.undoes else storage.open_shard
        rows: Iterator[Row] = opening(task.id, shard, task.source_name)
        return ShardWork(task, shard, str(uuid4()), rows, push, observe=observe)

    def failures(self, task: ImportTask) -> dict[int, tuple[int, str]]:
        """Code and message of the failed rows, by row number."""
        return {e.row: (e.code, e.message) for e in self.catalogue.ledger.log(task.id)}

    def succeeded(self, task: ImportTask) -> int:
        """Number of rows with code 0."""
        return self.catalogue.ledger.progress(task.id).succeeded


@pytest.fixture
def bench(settings: Settings, catalogue: Catalogue, services: FaceServices, images: ImageHost) -> Bench:
    """The pipeline over the doubles, with a short patience."""
    settings = settings.model_copy(
        update={"info_url": services.url, "library_url": services.url, "outage_patience_s": 1.5}
    )
    return Bench(settings, catalogue, services, images)
