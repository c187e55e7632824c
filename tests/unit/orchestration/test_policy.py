"""The cluster policy, loaded the way Airflow loads it."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest
from airflow import policies

from face_import.contract import SHARD_QUEUE
from face_import.domain.identity import pool_of_run

PATH = Path(__file__).resolve().parents[3] / "config" / "airflow_local_settings.py"


@pytest.fixture(scope="module")
def mutate() -> Any:
    """Airflow's hook with our policy behind it."""
    spec = importlib.util.spec_from_file_location("airflow_local_settings", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    manager = pluggy.PluginManager(policies.local_settings_hookspec.project_name)
    manager.add_hookspecs(policies)
    found = policies.make_plugin_from_local_settings(manager, module, {"task_instance_mutation_hook"})
    assert found == {"task_instance_mutation_hook"}
    return manager.hook.task_instance_mutation_hook


def instance(**changes: Any) -> SimpleNamespace:
    """A shard's task instance as Airflow makes it, but for the changes."""
    fields = {"dag_id": "face_import", "task_id": "shard", "run_id": "run", "pool": "default_pool", "pool_slots": 5}
    return SimpleNamespace(**fields | {"map_index": 1, "priority_weight": 1, "queue": SHARD_QUEUE} | changes)


@pytest.mark.parametrize("dag_run", [None, SimpleNamespace(run_id="another")], ids=["no run", "run"])
def test_a_shard_goes_to_the_pool_of_its_run(mutate: Any, dag_run: Any) -> None:
    """One slot each, by the run's id alone: the pool has as many slots as shards may run at once."""
    shard = instance()
    mutate(task_instance=shard, dag_run=dag_run)
    assert (shard.pool, shard.pool_slots) == (pool_of_run("run"), 1)


@pytest.mark.parametrize(
    ("number", "queue", "expected"),
    [
        (-1, "shards", (1, "shards")),
        (0, "shards", (10, "default")),
        (0, "own", (10, "own")),
        (1, "shards", (1, "shards")),
    ],
    ids=["not mapped", "first", "first in another queue", "second"],
)
def test_the_first_shard_comes_before_all_others(
    mutate: Any, number: int, queue: str, expected: tuple[int, str]
) -> None:
    """In Airflow's order, and in the queue of Celery's workers that has no later shards."""
    shard = instance(map_index=number, queue=queue)
    mutate(task_instance=shard, dag_run=None)
    assert (shard.priority_weight, shard.queue) == expected


@pytest.mark.parametrize(
    "other",
    [{"task_id": "plan"}, {"task_id": "finish"}, {"dag_id": "another_dag"}, {"run_id": None}],
    ids=["plan", "finish", "DAG", "no run"],
)
def test_all_other_task_instances_stay_where_they_are(mutate: Any, other: dict[str, Any]) -> None:
    """Also a task of another DAG that is called shard."""
    each = instance(**other)
    mutate(task_instance=each, dag_run=None)
    assert (each.pool, each.pool_slots) == ("default_pool", 5)
