"""DAGs that do nothing, for a stack of the bench: what Airflow itself takes from a trigger to a task's first line."""

import time

from airflow.sdk import DAG, task

with DAG("trivial", schedule=None):

    @task
    def first() -> None:
        """Nothing, as `plan` comes before a shard."""

    @task
    def second() -> float:
        """The time at its first line."""
        return time.time()

    first() >> second()

with DAG("trivial_elsewhere", schedule=None):

    @task(task_id="second", queue="trivial")
    def alone() -> float:
        """The time at its first line; no worker of the stack takes it."""
        return time.time()

    alone()
