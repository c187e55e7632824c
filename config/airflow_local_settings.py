"""What Airflow looks for in this file: the cluster policy that shards go to the pool of their run.

All of Airflow's processes import it: here log files are made to endure a full disk, and workers to show that they work.
"""

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance

from face_import.contract import DAG_ID, SHARD_TASK
from face_import.domain.identity import pool_of_run
from face_import.orchestration.heartbeat import show_heartbeat
from face_import.orchestration.logfiles import endure_full_disks

endure_full_disks()
show_heartbeat()


def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None = None) -> None:  # noqa: ARG001
    """Put a shard into the pool of its run, by the run's id alone: Airflow may pass no `dag_run`."""
    if task_instance.dag_id == DAG_ID and task_instance.task_id == SHARD_TASK and task_instance.run_id:
        task_instance.pool = pool_of_run(task_instance.run_id)
        task_instance.pool_slots = 1
