"""On PostgreSQL, Redis and Celery's workers an import is what it is on one machine, and workers come and go."""

import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from face_import.stack import supervision
from tests.faults.conftest import Faults
from tests.faults.test_control import test_start_right_after_stop_never_overlaps
from tests.faults.test_crashes import kill
from tests.main_job.test_main_job import test_an_import_from_create_to_log
from tests.real import COMMAND

__all__ = ["test_an_import_from_create_to_log", "test_start_right_after_stop_never_overlaps"]
"""The same tests as on the embedded stack, because it is the same code."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SLOW_S, QUICK_S = 0.5, 0.05


def with_shards(faults: Faults, worker: psutil.Process) -> list[psutil.Process]:
    """The worker with all its processes, if a shard is at work in one of them."""
    family = [worker, *worker.children(recursive=True)]
    return family if set(family) & set(faults.shard_processes()) else []


def test_a_killed_worker(faults: Faults) -> None:
    """Kill -9 of a worker and its processes: its shards are tried again without a hand, and it is started again."""
    task_id = faults.started(1500, thread_num=24)
    worker = psutil.Process(supervision.states(faults.stack.layout)["worker-1"].pid)  # type: ignore[index]
    kill(*faults.until(lambda: with_shards(faults, worker)))
    faults.completes(task_id, 1500)
    assert faults.services.record()["max_in_flight"] <= 24
    tries = faults.stack.rest(f"dags/face_import/dagRuns/{task_id}/taskInstances", task_id="shard")
    assert max(ti["try_number"] for ti in tries["task_instances"]) == 2
    assert faults.stack.run("status").returncode == 0


@pytest.fixture(scope="module")
def added(_stack: object) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Workers that were added by hand."""
    workers: list[subprocess.Popen[bytes]] = []
    yield workers
    for worker in workers:
        worker.kill()
        worker.wait()


def test_a_worker_added_in_mid_run(faults: Faults, added: list["subprocess.Popen[bytes]"]) -> None:
    """It takes a shard that nobody had a slot for within ten seconds, and does its part."""
    faults.services.control(reset=True, delay_s=SLOW_S)
    task_id = faults.started(3000, thread_num=48)
    began = time.monotonic()
    added.append(subprocess.Popen([COMMAND, "worker", "--slots", "2"], env=faults.stack.environment))
    faults.until(lambda: with_shards(faults, psutil.Process(added[0].pid)), 120)
    print("TOOK", time.monotonic() - began)
    faults.services.control(delay_s=QUICK_S)
    faults.completes(task_id, 3000)


def test_down_ends_them_all(faults: Faults, added: list["subprocess.Popen[bytes]"]) -> None:
    """A worker that was added by hand is of the stack, like any other."""
    assert added[0].poll() is None
    faults.stack.down()
    assert added[0].wait(10) in {0, -signal.SIGTERM, -signal.SIGKILL}
    assert faults.stack.processes() == []
