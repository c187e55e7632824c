"""Kill -9 of every process of the stack, idle ones too: one of a kind, then all of that kind at once."""

from collections.abc import Callable

import psutil
import pytest

from face_import.stack import supervisor
from face_import.stack.processes import alive
from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = 700
WORKER, IDLE = "airflow worker -- ", "<idle>"


def _named(*words: str) -> Callable[[Faults], list[psutil.Process]]:
    return lambda faults: faults.processes(*words)


def _workers(faults: Faults, *, idle: bool) -> list[psutil.Process]:
    workers = faults.processes(f"{WORKER}LocalExecutor:")
    of_idle = set(faults.processes(f"{WORKER}LocalExecutor:", IDLE))
    return [worker for worker in workers if (worker in of_idle) == idle]


def _tasks(faults: Faults) -> list[psutil.Process]:
    executors = set(faults.processes(f"{WORKER}LocalExecutor"))
    return [process for process in faults.processes(WORKER) if process not in executors]


KINDS: dict[str, Callable[[Faults], list[psutil.Process]]] = {
    "guard": _named("face_import.cli", "guard"),
    "keeper": _named("face_import.cli", "keeper"),
    "api-server": _named("airflow api_server"),
    "scheduler": _named("airflow scheduler"),
    "dag-processor": _named("airflow dag-processor"),
    "triggerer": _named("airflow triggerer"),
    "shim": _named("gunicorn:", "face_console"),
    "idle-workers": lambda faults: _workers(faults, idle=True),
    "busy-workers": lambda faults: _workers(faults, idle=False),
    "tasks": _tasks,
}


def everything_runs(faults: Faults) -> bool:
    """Whether each program is there and healthy."""
    return faults.stack.run("status", check=False).returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_kind(faults: Faults, kind: str) -> None:
    """The import under way goes on by itself both times, and every program is back; nothing is lost or doubled."""
    for killed in (slice(1), slice(None)):
        task_id = faults.started(ROWS, thread_num=10)
        kill(*faults.until(lambda: KINDS[kind](faults))[killed])
        faults.until(lambda: everything_runs(faults), 120)
        faults.completes(task_id, ROWS)


def test_every_kind_is_named(faults: Faults) -> None:
    """What the stack consists of while it imports, except for the supervisor, whose end is the end of the stack."""
    task_id = faults.started(ROWS, thread_num=10)
    seen = faults.stack.processes()
    known = {
        *faults.processes(supervisor.SUPERVISORD),
        *(process for find in KINDS.values() for process in find(faults)),
    }
    assert [" ".join(process.cmdline()) for process in seen if process not in known and alive(process)] == []
    faults.completes(task_id, ROWS)
