"""Kill -9 of each process, and of all at once: the import ends with every row once, and no orphan is left."""

import time
from contextlib import suppress

import psutil
import pytest
import requests

from face_import.domain.identity import task_id_of_run
from face_import.stack import supervisor
from tests.faults.conftest import Faults

ROWS = 1500


def kill(*processes: psutil.Process) -> None:
    """End processes as a crash does."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def wait(faults: Faults, seconds: float) -> None:
    """Let an outage last."""
    end = time.monotonic() + seconds
    faults.until(lambda: time.monotonic() > end, seconds + 5)


def held_down(faults: Faults, program: str, seconds: float) -> None:
    """Kill a program of the stack and start it again after some time."""
    kill(psutil.Process(supervisor.states(faults.stack.layout)[program].pid))  # type: ignore[index]
    supervisor._call(faults.stack.layout, lambda rpc: rpc.stopProcess(program))
    wait(faults, seconds)
    supervisor.start(faults.stack.layout, program)


def test_one_shards_process(faults: Faults) -> None:
    """The killed try is retried by Airflow, takes over after the lease, and doubles nothing."""
    task_id = faults.started(ROWS, thread_num=10)
    kill(faults.until(faults.shard_processes)[0])
    faults.completes(task_id, ROWS)
    assert faults.services.record()["max_in_flight"] <= 10


@pytest.mark.slow
def test_a_shard_that_is_told_to_end(faults: Faults) -> None:
    """It is tried again, as after a crash; its log has a line about it, and no traceback."""
    task_id = faults.started(ROWS, thread_num=10)
    faults.until(faults.shard_processes)[0].terminate()
    faults.completes(task_id, ROWS)
    logs = faults.stack.layout.airflow_home / "logs" / "dag_id=face_import" / f"run_id={task_id}" / "task_id=shard"
    (log,) = [text for path in logs.rglob("*.log") if "the next try resumes the shard" in (text := path.read_text())]
    assert "Task exited" in log
    assert "error_detail" not in log


def test_the_shim(faults: Faults) -> None:
    """The API is back by itself within seconds; the import does not notice."""
    task_id = faults.started(ROWS, thread_num=10)
    kill(*faults.processes("gunicorn", "api_shim"))

    def answers() -> bool:
        with suppress(requests.ConnectionError):
            return faults.stack.api.get(f"{task_id}/detail").status_code == 200
        return False

    faults.until(answers)
    faults.completes(task_id, ROWS)


@pytest.mark.slow
def test_the_worker_process(faults: Faults) -> None:
    """The executor's worker dies with its task under it: Airflow misses the heartbeat and tries again."""
    task_id = faults.started(ROWS, thread_num=10)
    parent = faults.until(faults.shard_processes)[0].parent()
    assert parent is not None
    kill(parent)
    faults.completes(task_id, ROWS)


@pytest.mark.slow
def test_the_scheduler(faults: Faults) -> None:
    """Its workers end what they have; the next scheduler goes on."""
    task_id = faults.started(ROWS, thread_num=10)
    scheduler = supervisor.states(faults.stack.layout)["scheduler"].pid  # type: ignore[index]
    kill(psutil.Process(scheduler))
    faults.completes(task_id, ROWS)
    old = scheduler
    faults.until(lambda: not [p for p in faults.stack.processes() if p.ppid() == old])


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [5, 60])
def test_the_api_server(faults: Faults, seconds: float) -> None:
    """Tasks outlive an api-server that is away for a while; nothing needs a hand."""
    task_id = faults.started(ROWS, thread_num=10)
    held_down(faults, "api-server", seconds)
    faults.completes(task_id, ROWS)


@pytest.mark.slow
def test_the_keeper(faults: Faults) -> None:
    """Without the keeper an import goes on; a stop in mode 1 is brought to Airflow once it is back."""
    task_id = faults.started(ROWS, thread_num=10)
    held_down(faults, "keeper", 5)
    faults.completes(task_id, ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2, 60])
def test_everything_at_once(faults: Faults, seconds: float) -> None:
    """After a crash of all and a restart the task is stopped until it is started again, and then whole."""
    task_id = faults.started(ROWS, thread_num=10)
    crashed = faults.stack.processes()
    kill(*crashed)
    wait(faults, seconds)
    faults.stack.up()
    detail = faults.stack.api.detail(task_id)
    assert detail["state"] == 3
    assert "restarted after an unexpected end" in detail["last_error"]
    assert not [process for process in crashed if process.is_running() and process.status() != "zombie"]
    wait(faults, 5)
    assert faults.stack.api.detail(task_id)["state"] == 3
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, ROWS)
    assert faults.services.record()["max_in_flight"] <= 10


@pytest.mark.slow
def test_a_run_that_had_not_begun_ends_with_everything(faults: Faults) -> None:
    """A run from Airflow's form that no task exists for yet begins only when it is cleared."""
    supervisor._call(faults.stack.layout, lambda rpc: rpc.stopProcess("scheduler"))
    run_id = f"manual__{time.time()}"
    faults.stack.airflow.trigger(run_id, {"source": f"{faults.images.url}/csv?rows=20", "group_name": "form"}, "")
    kill(*faults.stack.processes())
    faults.stack.up()
    assert faults.stack.run_state(run_id) == "failed"
    faults.stack.airflow.clear(run_id, ["plan", "shard", "finish"])
    task_id = task_id_of_run(run_id)
    faults.until(lambda: faults.stack.catalogue.tasks.peek(task_id))
    faults.completes(task_id, 20, group="form")
