"""The LocalExecutor, with slots that are counted and shared out among the runs (ADR 36)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.executors.workloads import ExecuteTask, ExecutorWorkload
from airflow.models.taskinstancekey import TaskInstanceKey

KEPT = 1
"""Processes beyond `core.parallelism`, for runs of which nothing is running: a new import waits for nobody."""


class FairLocalExecutor(LocalExecutor):
    """Starts the task instances of those runs first that have the fewest running.

    Airflow 3.3's own takes whatever the pools allow into one queue, first come, first served, because it does not note
    what is running: nothing that comes later can overtake, whatever its priority.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.parallelism += KEPT

    @property
    def slots_available(self) -> int:
        """As many as there are: the scheduler hands over all that the pools allow, and it is here that it waits."""
        return self.parallelism

    @property
    def slots_occupied(self) -> int:
        """None, for the same reason."""
        return 0

    def order_queued_tasks_by_priority(self) -> list[tuple[TaskInstanceKey, ExecuteTask]]:
        """What may start in the slots that are free now; the kept one is for runs that have none.

        Of runs with as many slots, the task instance of the highest priority comes first, then the one that has waited
        longest.
        """
        chosen: list[tuple[TaskInstanceKey, ExecuteTask]] = []
        # One that was rescheduled or deferred has the key of before: it waits until the end of its process is known.
        waiting = [queued for queued in super().order_queued_tasks_by_priority() if queued[0] not in self.running]
        slots = Counter((key.dag_id, key.run_id) for key in self.running if isinstance(key, TaskInstanceKey))
        for free in range(self.parallelism - len(self.running), 0, -1):
            fair = min(waiting, key=lambda queued: slots[queued[0].dag_id, queued[0].run_id], default=None)
            if fair is None or (free <= KEPT and slots[fair[0].dag_id, fair[0].run_id]):
                break
            chosen.append(fair)
            waiting.remove(fair)
            slots[fair[0].dag_id, fair[0].run_id] += 1
        return chosen

    def _process_workloads(self, workload_list: Sequence[ExecutorWorkload]) -> None:
        """Start them, and note which slots they take; `change_state` frees these when a result comes."""
        self.running.update(workload.key for workload in workload_list if isinstance(workload, ExecuteTask))
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]
