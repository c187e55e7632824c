"""What the fault cases share: tasks, ways to disturb them, and the proof that nothing was lost or doubled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from face_import.catalogue.schema import outcome, shard
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.waiting import until


@dataclass
class Faults:
    """A running stack, its doubles, and what to do to them."""

    stack: RealStack
    services: FaceServices
    images: ImageHost

    def create(self, rows: int, *, label: str = "", group: str = "staff", **fields: Any) -> str:
        """Create a task of `rows` good rows; the double counts its rows in flight under `label`."""
        image = self.images.image
        lines = [f"{image(n=n, task=label)},t{n},d" for n in range(1, rows + 1)]
        return self.stack.api.create(lines, group, **fields)

    def started(self, rows: int, *, handled: int = 30, **fields: Any) -> str:
        """Create and start a task, and wait until it has handled some rows."""
        task_id = self.create(rows, **fields)
        self.stack.api.ok(f"{task_id}/start")
        self.stack.api.handled(task_id, handled)
        return task_id

    def completes(self, task_id: str, rows: int, *, group: str = "staff", deadline_s: float = 240.0) -> None:
        """Wait for the end, and prove: each row in the ledger once, exactly its faces in the library, no id twice."""
        done = self.stack.api.state(task_id, 3, 4, deadline_s=deadline_s)
        log = self.stack.api.get(f"{task_id}/log", limit=3).json()["logs"]
        assert (done["state"], done["last_error"], log) == (4, "", [])
        assert done["success_num"] == done["total_num"] == rows
        self.until(lambda: self.stack.run_state(done["dag_run_id"]) == "success", 60)
        self.accounts(task_id, group=group)

    def accounts(self, task_id: str, *, group: str = "staff") -> None:
        """The library holds exactly the faces of the code-0 rows, and added none twice."""
        query = select(outcome.c.row, outcome.c.face_id).where(outcome.c.task_id == task_id, outcome.c.code == 0)
        with self.stack.catalogue.engine.connect() as connection:
            ledger = dict(connection.execute(query).all())
        assert len(ledger) == self.stack.api.detail(task_id)["success_num"]
        seen = self.services.record(all=1)
        ours = {face for face in seen["faces"].get(group, {}) if face.startswith(f"{task_id}-")}
        assert set(ledger.values()) == ours
        assert seen["most_adds_of_an_id"] <= 1
        assert seen["violations"] == []

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes of the stack whose command line has all these words."""
        found = []
        for process in self.stack.processes():
            try:
                line = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def shard_processes(self) -> list[psutil.Process]:
        """The processes that work on shards right now: their titles name the task instance that holds a lease."""
        query = select(shard.c.lease_owner).where(shard.c.lease_owner.is_not(None))
        with self.stack.catalogue.engine.connect() as connection:
            owners = connection.execute(query).scalars().all()
        return [process for owner in owners for process in self.processes(f"airflow worker -- {owner}")]

    def until(self, condition: Callable[[], Any], deadline_s: float = 60.0) -> Any:
        """Wait for a condition."""
        return until(condition, deadline_s)


@pytest.fixture
def faults(stack: RealStack, services: FaceServices, images: ImageHost) -> Faults:
    """The running stack with slow services, so that there is time to disturb it."""
    services.control(reset=True, delay_s=0.08)
    return Faults(stack, services, images)
