"""Cluster policies, which Airflow looks for in this file: shards go to the pool of their run."""

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance

from face_import.contract import DAG_ID, SHARD_TASK
from face_import.domain.identity import pool_of_run


def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None = None) -> None:  # noqa: ARG001
    """Put a shard into the pool of its run, by the run's id alone: Airflow may pass no `dag_run`."""
    if task_instance.dag_id == DAG_ID and task_instance.task_id == SHARD_TASK and task_instance.run_id:
        task_instance.pool = pool_of_run(task_instance.run_id)
        task_instance.pool_slots = 1
