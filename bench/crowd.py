"""Many imports at once: finished ones, which only fill the tables, and running ones, on one stack."""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial

import psutil
from sqlalchemy import Engine, MetaData, String, Table, cast, create_engine, func, insert, literal, make_url, select

from bench.ledger import fill_task
from bench.reads import call, cost
from bench.saying import say
from bench.serving import client_of
from bench.simulated import SLOW_HOST
from face_import.contract import DAG_ID, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Shard
from face_import.errors import AirflowError
from face_import.keeper import Keeper
from face_import.stack import supervisor
from tests.real import RealStack
from tests.waiting import until

STEPS = ((0, 0), (1_000, 0), (1_000, 10), (1_000, 50))
"""Finished and running imports, one after the other on the same stack."""
FINISHED_ROWS, RUNNING_ROWS, THREADS = 1_000, 5_000, 2
SHARE_S = 20


def crowd(stack: RealStack, finished: int, running: int) -> dict[str, float]:
    """Bring a stack to so many imports, and measure what looks at all of them."""
    _finish(stack, finished)
    _run(stack, running)
    keeper = Keeper(stack.settings, stack.catalogue, stack.airflow)
    name = str(make_url(stack.settings.database_url).database)
    states = supervisor.states(stack.layout) or {}
    shim = psutil.Process(states["shim"].pid).children()
    found: dict[str, float] = {}
    with closing(client_of(stack.settings)) as client:
        for what, action, processes in (
            ("keeper_round", keeper.round, [psutil.Process()]),
            ("keeper_sweep", keeper.sweep, [psutil.Process()]),
            ("metrics", lambda: call(client, "/metrics"), shim),
            ("console", lambda: call(client, "/"), shim),
            ("list", lambda: call(client, "/v1/tasks/list", {"fields": "summary"}), shim),
            ("ids", lambda: call(client, "/v1/tasks/list", {}), shim),
        ):
            say(f"{finished} finished imports, {running} running ones: {what}")
            found |= cost(what, partial(_patiently, action), processes, name)
    return found | _shares(stack)


def _patiently(action: Callable[[], object]) -> None:
    """Do it again where a busy machine lets Airflow's api-server answer too late."""
    with suppress(AirflowError):
        return action()
    return action()


def _finish(stack: RealStack, wanted: int) -> None:
    """Fill both databases with imports that have ended, as copies of one that did."""
    there = len(stack.catalogue.tasks.in_state(TaskState.COMPLETED))
    if wanted <= there:
        return
    template = stack.api.create(["https://images.example.org/1.jpg,,"])
    stack.api.ok(f"{template}/start")
    stack.api.state(template, TaskState.COMPLETED)
    until(lambda: stack.run_state(template) == "success", 60)
    made = [new_task_id() for _ in range(wanted - there - 1)]
    for task_id in made:
        fill_task(stack.catalogue, task_id, [Shard(0, 1, FINISHED_ROWS, 0, 1, 1)])
    engine = create_engine(stack.settings.airflow_database_url)
    for name in ("dag_run", "task_instance"):
        _copy(engine, name, template, made)
    engine.dispose()


def _copy(engine: Engine, name: str, template: str, run_ids: list[str]) -> None:
    """Copy one run's rows of a table of Airflow's for other runs."""
    table = Table(name, MetaData(), autoload_with=engine)
    columns = [c for c in table.columns if c.name != "logical_date" and not (name == "dag_run" and c.name == "id")]
    new = {"id": cast(func.gen_random_uuid(), String).cast(table.c.id.type)}
    with engine.begin() as connection:
        for run_id in run_ids:
            values = [new.get(c.name, c) if c.name != "run_id" else literal(run_id) for c in columns]
            its = select(*values).where(table.c.run_id == template, table.c.dag_id == DAG_ID)
            connection.execute(insert(table).from_select([c.name for c in columns], its))


def _run(stack: RealStack, wanted: int) -> None:
    """Start imports of slow rows, and wait until all of their runs are under way in Airflow."""
    there = len(stack.catalogue.tasks.in_state(TaskState.RUNNING))
    for _ in range(wanted - there):
        lines = [f"https://{SLOW_HOST}/{n}.jpg,," for n in range(RUNNING_ROWS)]
        stack.api.ok(f"{stack.api.create(lines, thread_num=THREADS)}/start")
    until(
        lambda: [run.state for run in stack.airflow.active_runs().values()] == ["running"] * wanted, 1200, every_s=1.0
    )


def _shares(stack: RealStack) -> dict[str, float]:
    """Processor shares of the long-lived programs over some seconds, in percent of one, their children included."""
    states = supervisor.states(stack.layout) or {}
    before, began = {name: _used(state.pid) for name, state in states.items()}, time.monotonic()
    time.sleep(SHARE_S)
    seconds = time.monotonic() - began
    return {f"cpu_percent {name}": 100 * (_used(states[name].pid) - used) / seconds for name, used in before.items()}


def _used(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
