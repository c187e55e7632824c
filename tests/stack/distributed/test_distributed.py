"""On PostgreSQL, Redis and Celery's workers an import is what it is on one machine, and workers come and go."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from celery import Celery

from face_import.contract import SHARD_QUEUE
from face_import.stack import supervisor
from face_import.stack.workers import answering, key_prefix
from tests.doubles.process import FaceServices, ImageHost
from tests.faults import test_control
from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill
from tests.real import COMMAND, RealStack
from tests.stack.main_job import test_main_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SLOW_S, QUICK_S = 2.0, 0.05


def test_the_main_job(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The same test as on the embedded stack, because it is the same code."""
    test_main_job.test_an_import_from_create_to_log(stack, services, images)


def test_stop_and_resume(faults: Faults) -> None:
    """The same here: three stops and starts, and no row is lost or done twice."""
    test_control.test_start_right_after_stop_never_overlaps(faults)


def with_shards(faults: Faults, worker: psutil.Process) -> list[psutil.Process]:
    """The worker with all its processes, if a shard is at work in one of them."""
    family = [worker, *worker.children(recursive=True)]
    return family if set(family) & set(faults.shard_processes()) else []


def test_a_killed_worker(faults: Faults) -> None:
    """Kill -9 of a worker and its processes: its shards are tried again without a hand, and it is started again."""
    task_id = faults.started(1500, thread_num=24)
    worker = psutil.Process(supervisor.states(faults.stack.layout)["worker-1"].pid)  # type: ignore[index]
    kill(*faults.until(lambda: with_shards(faults, worker)))
    faults.completes(task_id, 1500)
    assert faults.services.record()["max_in_flight"] <= 24
    tries = faults.stack.rest(f"dags/face_import/dagRuns/{task_id}/taskInstances", task_id="shard")
    assert max(ti["try_number"] for ti in tries["task_instances"]) >= 2
    assert faults.stack.run("status").returncode == 0


def idle_pool(faults: Faults) -> list[psutil.Process]:
    """Processes of the workers' pools that have no task instance."""
    states = supervisor.states(faults.stack.layout) or {}
    workers = [psutil.Process(state.pid) for name, state in states.items() if name.startswith("worker-")]
    idle = []
    for process in (process for worker in workers for process in worker.children()):
        with suppress(psutil.NoSuchProcess):  # it was killed a moment ago
            idle += [process] if not process.children() else []
    return idle


def test_killed_idle_processes(faults: Faults) -> None:
    """Kill -9 of one idle process of a pool, then of all, before an import and in the middle of it: nothing stalls."""
    kill(faults.until(lambda: idle_pool(faults))[0])
    kill(*faults.until(lambda: idle_pool(faults)))
    task_id = faults.create(1500, thread_num=24)
    faults.stack.api.ok(f"{task_id}/start")
    faults.stack.api.handled(task_id, 30, 240)
    kill(*faults.until(lambda: idle_pool(faults)))
    faults.completes(task_id, 1500)
    assert faults.stack.run("status").returncode == 0


def test_workers_that_take_nothing(faults: Faults) -> None:
    """They answer pings, and yet nothing starts: the keeper sees it, and has them started anew."""
    settings = faults.stack.settings
    app = Celery(broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": key_prefix(faults.stack.layout)}
    with app:
        for queue in ("default", SHARD_QUEUE):
            assert len(app.control.cancel_consumer(queue, reply=True, timeout=30, limit=2)) == 2
    task_id = faults.create(600, thread_num=10)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 600, deadline_s=480)


@pytest.fixture(scope="module")
def added(_stack: RealStack) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that is added by hand."""
    with (_stack.layout.logs / "added.log").open("wb") as log:
        command = [COMMAND, "worker", "--slots", "2"]
        worker = subprocess.Popen(command, env=_stack.environment, stdout=log, stderr=subprocess.STDOUT)
    yield worker
    worker.kill()
    worker.wait()


def test_a_worker_added_in_mid_run(faults: Faults, request: pytest.FixtureRequest) -> None:
    """Within ten seconds of being ready it has taken a shard that nobody had a slot for, and does its part."""
    faults.services.control(reset=True, delay_s=SLOW_S)
    task_id = faults.started(3000, handled=1, thread_num=48)
    added = request.getfixturevalue("added")
    faults.until(lambda: answering(faults.stack.settings, [f"worker-{added.pid}"]), 120)
    pool = psutil.Process(added.pid).children()
    faults.until(lambda: any(process.children() for process in pool), 10)
    faults.until(lambda: with_shards(faults, psutil.Process(added.pid)))
    faults.services.control(delay_s=QUICK_S)
    faults.completes(task_id, 3000)


def test_down_ends_them_all(faults: Faults, added: "subprocess.Popen[bytes]") -> None:
    """A worker that was added by hand is of the stack, like any other."""
    assert added.poll() is None
    faults.stack.down()
    assert added.wait(10) is not None
    assert faults.stack.processes() == []
