"""Starting anew what Airflow's executor runs in, if it is stuck (`face_import.stalls`)."""

from functools import partial

from face_import.settings import Settings
from face_import.stack import supervisor
from face_import.stack.layout import Layout
from face_import.stack.processes import busy_workers
from face_import.stalls import OUT_OF_REACH, Revival

SCHEDULER_AFTER_S = 20.0
"""An idle process of the LocalExecutor takes a task instance within milliseconds."""


def revival_of(settings: Settings, layout: Layout) -> Revival:
    """How this home's stack is revived, if its programs are running here."""
    names = sorted(supervisor.states(layout) or {})
    if not names:
        return OUT_OF_REACH
    if settings.broker_url:
        workers = [name for name in names if name.startswith("worker-")]
        return Revival(partial(_restart_workers, layout, workers), OUT_OF_REACH.slots, OUT_OF_REACH.after_s)
    return Revival(partial(_kill_scheduler, layout), settings.executor_slots, SCHEDULER_AFTER_S)


def _kill_scheduler(layout: Layout, instances: int) -> bool:
    """Kill the scheduler, which supervisord starts again, unless each task instance has a process that starts it.

    TERM would make it wait for its workers, of which none will ever end; so would theirs, which work on shards. Killed,
    it leaves the busy ones to end what they have, and the guard ends the idle ones.
    """
    if busy_workers(layout.stack_id) >= instances:
        return False
    supervisor.kill(layout, "scheduler")
    return True


def _restart_workers(layout: Layout, workers: list[str], _instances: int) -> bool:
    """Restart Celery's workers, in which nothing runs; told to end, they give back the messages that they have."""
    for name in workers:
        supervisor.restart(layout, name)
    return True
