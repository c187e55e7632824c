"""Whether Airflow can be reached, and whether its scheduler works, for `/readyz` and `/metrics`."""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock

from face_import.clients.airflow import Airflow
from face_import.errors import AirflowError

log = logging.getLogger(__name__)
LOOK_EVERY_S = 5.0
"""Load balancers and Prometheus ask all the time."""
WAIT_S = 0.5
"""An Airflow that hangs must not fail their checks: Kubernetes waits a second for an answer."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What was found.

    Attributes:
        airflow: whether the api-server answers.
        scheduler: whether it says that its scheduler has a recent heartbeat.
    """

    airflow: bool = False
    scheduler: bool = False


class AirflowReach:
    """Looks at Airflow every few seconds at most, in a thread of its own.

    Args:
        airflow: access to Airflow's API.
    """

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow
        self._thread = ThreadPoolExecutor(1, "airflow-reach")
        self._lock = Lock()
        self._looking: Future[None] | None = None
        self._looked_at = 0.0
        self._found: Reach | None = None

    def look(self) -> Reach:
        """What this look finds, or the last one if this takes too long."""
        with self._lock:
            is_over = self._looking is None or self._looking.done()
            if self._looking is None or (is_over and time.monotonic() - self._looked_at >= LOOK_EVERY_S):
                self._looking = self._thread.submit(self._ask)
                self._looked_at = time.monotonic()
        wait([self._looking], WAIT_S)
        return self._found or Reach()

    def _ask(self) -> None:
        reason = "its scheduler has no recent heartbeat"
        try:
            found = Reach(airflow=True, scheduler=self._airflow.has_scheduler())
        except AirflowError as error:
            found, reason = Reach(), str(error)
        if found != self._found:  # said once, not at each look
            if found.scheduler:
                log.info("airflow is ready")
            else:
                log.warning("airflow is not ready reason=%s", reason)
        self._found = found
