"""A machine that is overloaded or asleep: imports slow down, and cost no try."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.faults.conftest import Faults
from tests.faults.test_crashes import wait

ROWS = 1200
IMPORTS = 3
SLEEP_S = 20.0
BUSY_LOOPS = 8


@pytest.fixture
def busy() -> Iterator[None]:
    """Programs that want all of the processor."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_LOOPS)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def tries(faults: Faults, task_id: str) -> dict[int, int]:
    """Tries that Airflow counts, by shard."""
    found = faults.stack.rest(f"dags/face_import/dagRuns/{task_id}/taskInstances?limit=1000")["task_instances"]
    return {one["map_index"]: one["try_number"] for one in found if one["task_id"] == "shard"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("busy")
def test_an_overloaded_machine_is_no_error(faults: Faults) -> None:
    """Several imports at once beside programs that take the processor: all complete, by their first tries."""
    ids = [faults.create(ROWS, thread_num=16, group=f"group{n}") for n in range(IMPORTS)]
    for task_id in ids:
        faults.stack.api.ok(f"{task_id}/start")
    for n, task_id in enumerate(ids):
        faults.completes(task_id, ROWS, group=f"group{n}", deadline_s=700)
    counted = [tried for task_id in ids for tried in tries(faults, task_id).values()]
    assert sum(tried - 1 for tried in counted) <= 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sleep_costs_no_try(faults: Faults) -> None:
    """All processes stand still for longer than any lease lives, again and again."""
    task_id = faults.started(2 * ROWS, thread_num=10)
    for _ in range(2):
        asleep = faults.stack.processes()
        for process in asleep:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        wait(faults, SLEEP_S)
        for process in asleep:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        before = faults.stack.api.detail(task_id)["handled_num"]
        faults.until(lambda: faults.stack.api.detail(task_id)["handled_num"] > before)  # noqa: B023 - called in here
    faults.completes(task_id, 2 * ROWS)
    assert set(tries(faults, task_id).values()) == {1}
