"""What Airflow looks for in this file: the cluster policy for the pool of shards, and for the first one of an import.

All of Airflow's processes import it: here log files are made to endure a full disk, and workers to show that they work.
"""

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance

from face_import.contract import DAG_ID, DEFAULT_QUEUE, SHARD_QUEUE, SHARD_TASK
from face_import.domain.identity import pool_of_run
from face_import.orchestration.heartbeat import show_heartbeat
from face_import.orchestration.logfiles import endure_full_disks

FIRST_SHARD_WEIGHT = 10
"""Priority of an import's first shard; the others have 1."""

endure_full_disks()
show_heartbeat()


def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None = None) -> None:  # noqa: ARG001
    """Put a shard into the pool of its run, by the run's id alone: Airflow may pass no `dag_run`.

    The first one comes before the others of any import, and Celery's workers find it in the queue of `plan` (ADR 36).
    """
    if task_instance.dag_id == DAG_ID and task_instance.task_id == SHARD_TASK and task_instance.run_id:
        task_instance.pool = pool_of_run(task_instance.run_id)
        task_instance.pool_slots = 1
        if task_instance.map_index == 0:
            task_instance.priority_weight = FIRST_SHARD_WEIGHT
            task_instance.queue = DEFAULT_QUEUE if task_instance.queue == SHARD_QUEUE else task_instance.queue
