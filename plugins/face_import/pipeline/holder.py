"""A try's hold on its shard: takes the lease, renews it, and knows what it allows right now (design decision 3)."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Lease, Leases
from face_import.errors import LeaseLost, TaskStopped
from face_import.pipeline.places import Places
from face_import.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Situation:
    """How a try stands; kept by the try, read at each renewal.

    Attributes:
        left: rows of the shard without an outcome, those under way included.
        places: which of these make calls.
    """

    left: int
    places: Places


class LeaseHolder:
    """Holds the lease of one shard for one try.

    Args:
        leases: where leases are.
        shard: task id and number of the shard.
        owner: uuid of the try's task instance.
        situation: how the try stands.
        settings: times of the lease.
        changed: called after each renewal.
        ended: called with the reason when no further row may start; `TaskStopped` lets rows in flight end,
            anything else means that the lease is gone and they have to be broken off.
    """

    def __init__(  # noqa: PLR0913 - a small class between two larger ones
        self,
        leases: Leases,
        shard: tuple[str, int],
        owner: str,
        situation: Situation,
        settings: Settings,
        *,
        changed: Callable[[], None],
        ended: Callable[[BaseException], None],
    ) -> None:
        self._leases = leases
        self._task_id, self._number = shard
        self._owner = owner
        self._situation = situation
        self._settings = settings
        self._changed = changed
        self._ended = ended
        self._thread = ThreadPoolExecutor(1, "lease")
        self._limit = 0
        self._attempt = 0
        self.in_doubt = False
        self._began = 0.0
        self.limit = 0
        """Rows that may make calls. Those of a stopped task end with what they had, though no row may start."""

    def allows_another(self) -> bool:
        """Whether a row may start now: within the grant, and by a lease renewed just now."""
        fresh = time.monotonic() - self._began < self._settings.lease_start_window_s
        return fresh and len(self._situation.places) < self._limit

    async def take(self) -> None:
        """Wait for the lease: a try that was broken off may still be ending its rows.

        Raises:
            TaskStopped: the task is not running.
            OperationalError: the catalogue stays away beyond the patience.
        """
        deadline = time.monotonic() + self._settings.outage_patience_s
        while True:
            try:
                lease = await self._in_thread(self._take)
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                log.warning("catalogue away task=%s shard=%s", self._task_id, self._number)
                lease = None
            if lease is not None:
                self._attempt, self.in_doubt = lease.attempt, lease.in_doubt
                self.limit = self._limit = lease.grant
                return
            await asyncio.sleep(self._settings.lease_renew_s / 2)

    async def keep(self) -> None:
        """Renew until cancelled, also while the last rows end: a successor must not begin before."""
        renewed_at = time.monotonic()
        while True:
            began = time.monotonic()
            deadline = renewed_at + self._settings.lease_ttl_s - self._settings.lease_renew_s / 2
            try:
                lease = await self._renewed(within_s=deadline - began)
            except OperationalError as error:
                log.warning("lease not renewed task=%s shard=%s", self._task_id, self._number)
                if time.monotonic() > deadline - self._settings.lease_renew_s:
                    self._ended(error)
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is ends the try, and not this loop in silence
                self._ended(error)
                return
            else:
                renewed_at = self._began = began
                self._limit = lease.grant
                self.limit = lease.grant if lease.running else max(1, self.limit)
                if not lease.running:
                    self._ended(TaskStopped("the task was stopped"))
                self._changed()
            await asyncio.sleep(self._settings.lease_renew_s)

    async def _renewed(self, *, within_s: float) -> Lease:
        """Renew, and give up on a catalogue that hangs while there is time to break off what is in flight."""
        renewal = asyncio.ensure_future(self._in_thread(self._renew))
        await asyncio.wait({renewal}, timeout=max(0.0, within_s))
        if not renewal.done():
            raise LeaseLost(f"the catalogue did not renew the lease of shard {self._number} in time")
        return renewal.result()

    async def give_back(self, *, in_doubt: bool) -> None:
        """End the lease; `in_doubt` says that rows without an outcome may have been sent."""
        give = partial(self._leases.give_back, self._task_id, self._number, self._owner, in_doubt=in_doubt)
        try:
            await self._in_thread(give)
        except OperationalError:
            log.warning("lease left to run out task=%s shard=%s", self._task_id, self._number)
        self._thread.shutdown(wait=False)

    def _take(self) -> Lease | None:
        return self._leases.take(self._task_id, self._number, self._owner, self._situation.left)

    def _renew(self) -> Lease:
        return self._leases.renew(
            self._task_id,
            self._number,
            self._owner,
            self._attempt,
            wants=self._situation.left,
            using=max(self._limit, len(self._situation.places)),
        )

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
