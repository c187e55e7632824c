"""A machine in trouble costs no try: the same process waits and goes on (design decisions 20, 21)."""

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from face_import.catalogue.engine import is_full
from face_import.errors import Interrupted, LeaseLost
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.settings import Settings
from face_import.space import shortage

log = logging.getLogger(__name__)
LOOK_S = 1.0
HEARD_S = 0.2
"""How long it may take until this process, which waits, hears that Airflow has asked it to end."""
BUSY_S = 0.5
MOST_LOST = 20
"""Leases lost in succession without a row in between, after which Airflow may try its luck with another process."""
FULL_S = 5.0
"""Pause after a database said that it is full and its disk is not one that we see."""


def enduring(work: Callable[[], None], progress: Callable[[], int], settings: Settings) -> None:
    """Do a shard's work, and do it again as long as it fails for lack of room or of time.

    Args:
        work: takes the lease anew each time.
        progress: rows of the shard that have an outcome.
        settings: where the disk is, and how full it may get.

    Raises:
        Interrupted: Airflow asked this process to end while it was waiting.
        LeaseLost: the lease was lost several times in succession without progress.
    """
    lost, done = 0, 0
    while True:
        try:
            return work()
        except (OperationalError, LeaseLost) as error:  # a full catalogue renews no lease
            full = isinstance(error, OperationalError) and is_full(error)
            if full or shortage(settings):
                log.warning("no room to go on, waiting error=%s", getattr(error, "orig", error))
                _pause(FULL_S)
                wait_for_room(settings)
                continue
            if not isinstance(error, LeaseLost):
                raise
            before, done = done, progress()
            lost = 0 if done > before else lost + 1
            if lost > MOST_LOST:
                raise
            log.warning("this machine is too busy, taking the lease again: %s", error)
        _pause(BUSY_S)


def wait_for_room(settings: Settings) -> None:
    """Wait while the disk is almost full.

    Raises:
        Interrupted: Airflow asked this process to end.
    """
    if trouble := shortage(settings):
        log.warning("waiting: %s", trouble)
        while shortage(settings):
            _pause(LOOK_S)
        log.info("there is room again")


def _pause(seconds: float) -> None:
    until = time.monotonic() + seconds
    while not InterruptibleTask.asked_to_end:
        if (left := until - time.monotonic()) <= 0:
            return
        time.sleep(min(left, HEARD_S))
    raise Interrupted("Airflow asked this process to end")
