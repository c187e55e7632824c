"""Notices that Airflow's executor starts nothing although it could.

An idle process of the LocalExecutor waits with the queue's lock in hand. If it is killed (the OOM killer prefers such
processes), none of the others gets anything out of the queue ever again; Airflow itself sees healthy processes and
task instances that are queued. A new scheduler makes a new queue, and queues what was in the old one again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from face_import.clients.airflow import Airflow
from face_import.settings import Settings
from face_import.space import shortage

log = logging.getLogger(__name__)
AGAIN_AFTER_S = 120.0
"""How long what was started anew may take to start up before that is done again."""


@dataclass(frozen=True, slots=True)
class Revival:
    """What is a stall, and what to do about it.

    Attributes:
        revive: starts what is stuck anew; is given how many task instances are queued or running, and returns whether
            it was stuck.
        slots: with fewer task instances running than this, one is certainly free.
        after_s: how long a task instance may be queued beside a free slot.
    """

    revive: Callable[[int], bool]
    slots: int
    after_s: float


def _say(_instances: int) -> bool:
    log.error("task instances are queued and nothing runs: restart Airflow's scheduler or its workers")
    return True


OUT_OF_REACH = Revival(_say, slots=1, after_s=120.0)
"""For an Airflow that is not ours to start; how many slots it has is not known."""


class StallWatch:
    """Compares what is queued with what was queued at earlier looks.

    Args:
        settings: name the disks that need room.
        airflow: access to Airflow's API.
        revival: what is a stall, and what to do about it.
    """

    def __init__(self, settings: Settings, airflow: Airflow, revival: Revival) -> None:
        self._settings = settings
        self._airflow = airflow
        self._revival = revival
        self._since: dict[str, float] = {}
        self._quiet_until = 0.0

    def look(self) -> None:
        """Look once; acts when the same task instance has been queued too long, with a slot free all the time.

        And if nothing has left the queue meanwhile: where many imports share the slots, some wait long, and slots
        are free for moments.

        Raises:
            AirflowError: Airflow is unavailable; time without an answer counts as if nothing was queued.
        """
        before, self._since = self._since, {}
        queued = self._airflow.queued()
        if not queued or shortage(self._settings):
            return
        running = self._airflow.running()
        if running >= self._revival.slots:
            return
        now = time.monotonic()
        if not before.keys() <= set(queued):
            before = {}
        self._since = {instance: before.get(instance, now) for instance in queued}
        waited = now - min(self._since.values())
        is_late = waited > self._revival.after_s and now > self._quiet_until
        if is_late and self._revival.revive(running + len(queued)):
            log.warning("Airflow's executor was stuck for %.0f s queued=%s running=%s", waited, len(queued), running)
            self._quiet_until = now + AGAIN_AFTER_S
