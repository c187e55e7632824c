"""What the rows share, started when the first of them needs it: a folder, the server, a stack."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select

from bench.doubles import CHECKOUT, Services, photograph, services
from bench.saying import say
from bench.shard import Shards
from bench.trivial import Trivial, add_dags
from bench.watching import cpu_s
from face_import.catalogue.schema import outcome
from face_import.settings import Settings
from tests.real import RealStack
from tests.waiting import until

LATENCY_S = 0.02


class Job(NamedTuple):
    """A job that completed: its task, when `start` was called, and when it reached state 4."""

    task_id: str
    began: float
    finished: float


def run_job(stack: RealStack, lines: Sequence[str], thread_num: int) -> Job:
    """A whole job through the API, which is asked how it goes twice a second, as `face-import import --watch` does."""
    task_id = stack.api.create(lines, thread_num=thread_num)
    began = time.time()
    stack.api.ok(f"{task_id}/start")
    until(lambda: stack.api.detail(task_id)["state"] in {3, 4}, 900, every_s=0.5)
    detail = stack.api.detail(task_id)
    assert detail["success_num"] == len(lines), detail
    finished = stack.catalogue.tasks.get(task_id).finished_at
    assert finished is not None
    return Job(task_id, began, finished)


class Workbench:
    """Holds everything until the bench ends.

    Args:
        folder: an empty one.
        held: ends what was started.
    """

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder = folder
        self._held = held

    @cached_property
    def services(self) -> Services:
        """The server with a picture of about 50 kB."""
        return self._held.enter_context(services(self.folder, photograph()))

    @cached_property
    def small(self) -> Services:
        """A second one with a picture of about 2 kB."""
        return self._held.enter_context(services(self.folder, photograph(side=96)))

    @cached_property
    def shards(self) -> Shards:
        """Shards without Airflow."""
        url = self.services.url
        return Shards(Settings(home=self.folder / "shard", fetch_allow=("127.0.0.0/8",), info_url=url, library_url=url))

    @cached_property
    def stack(self) -> RealStack:
        """A whole stack with its default settings, and the server as its face services; warm."""
        url = self.services.url
        say("a stack, and its first jobs")
        stack = RealStack(
            self.folder / "stack",
            FACE_IMPORT_INFO_URL=url,
            FACE_IMPORT_LIBRARY_URL=url,
            FACE_IMPORT_START_TIMEOUT_S="600",
        )
        add_dags(stack)
        self._held.enter_context(stack)
        self.services.delay(0)
        for _ in range(2):
            run_job(stack, self.services.rows(20), 10)
        return stack

    @cached_property
    def trivial(self) -> Trivial:
        """DAGs of that stack that do nothing; warm, too."""
        trivial = Trivial(self.stack)
        trivial.second_task_s()
        return trivial

    def job(self, lines: Sequence[str], thread_num: int) -> Job:
        """A whole job on the stack."""
        return run_job(self.stack, lines, thread_num)

    def script(self, lines: Sequence[str], thread_num: int) -> dict[str, float]:
        """The plain script over the same rows: its rows, seconds and CPU seconds."""
        source = self.folder / "script.csv"
        source.write_text("\n".join(lines))
        told = child("bench.plain_script", source, self.services.url, thread_num)
        assert (told["rows"], told["failed"]) == (len(lines), 0), told
        return told

    def first_handled(self, task_id: str) -> float:
        """When the first row of a task got into the ledger."""
        query = select(func.min(outcome.c.handled_at)).where(outcome.c.task_id == task_id)
        with self.stack.catalogue.engine.connect() as connection:
            return float(connection.scalar(query))

    def cpu_s(self) -> float:
        """CPU seconds of the stack so far."""
        return cpu_s(self.stack)


def child(module: str, *arguments: object, python: Path | str = sys.executable, **environment: str) -> dict[str, Any]:
    """Run a module of the bench as a process of its own and return the JSON it prints last."""
    command = [str(python), "-m", module, *map(str, arguments)]
    inherited = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=inherited | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
