"""A try's hold on its shard: takes the lease, renews it, and passes on what it grants (design decision 3)."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Lease, Leases
from face_import.errors import LeaseLost, TaskStopped
from face_import.pipeline.gate import Gate
from face_import.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)


class LeaseHolder:
    """Holds the lease of one shard for one try.

    Args:
        leases: the catalogue's leases.
        shard: task id and number of the shard.
        owner: uuid of the try's task instance.
        gate: told what is granted, and when the task was stopped.
        settings: durations of the lease.

    Attributes:
        in_doubt: whether an earlier try may have sent rows that have no outcome.
    """

    def __init__(self, leases: Leases, shard: tuple[str, int], owner: str, gate: Gate, settings: Settings) -> None:
        self.in_doubt = False
        self._leases = leases
        self._task_id, self._number = shard
        self._owner = owner
        self._gate = gate
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "lease")
        self._attempt = 0
        self._renewed_at = 0.0

    async def take(self) -> None:
        """Wait for the lease: an earlier try may still be finishing its rows.

        Raises:
            TaskStopped: the task is not running.
            OperationalError: the catalogue stays unavailable beyond the patience.
        """
        deadline = time.monotonic() + self._settings.outage_patience_s
        while True:
            began = time.monotonic()
            try:
                lease = await self._in_thread(self._take)
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                log.warning("catalogue unavailable task=%s shard=%s", self._task_id, self._number)
                lease = None
            if lease is not None:
                self._attempt, self.in_doubt = lease.attempt, lease.in_doubt
                self._granted(lease, began)
                return
            await asyncio.sleep(self._settings.lease_renew_s / 2)

    async def keep(self) -> None:
        """Renew until cancelled, also while the last rows finish: a successor must not begin before that.

        Raises:
            LeaseLost: another try has the shard, or the catalogue did not answer in time; rows in progress have to be
                cut off.
            SQLAlchemyError: the catalogue fails; likewise.
        """
        while True:  # the first time at once, so that shards that start together share soon
            began = time.monotonic()
            deadline = self._renewed_at + self._settings.lease_ttl_s - self._settings.lease_renew_s / 2
            try:
                lease = await self._renewed(within_s=deadline - began)
            except OperationalError:
                log.warning("lease not renewed task=%s shard=%s", self._task_id, self._number)
                if time.monotonic() > deadline - self._settings.lease_renew_s:
                    raise
            else:
                self._granted(lease, began)
            await asyncio.sleep(self._settings.lease_renew_s)

    async def give_back(self, *, in_doubt: bool) -> None:
        """End the lease; `in_doubt` says that rows without an outcome may have been sent."""
        give = partial(self._leases.give_back, self._task_id, self._number, self._owner, in_doubt=in_doubt)
        try:
            await self._in_thread(give)
        except OperationalError:
            log.warning("lease left to expire task=%s shard=%s", self._task_id, self._number)
        self._thread.shutdown(wait=False)

    def _granted(self, lease: Lease, began: float) -> None:
        self._renewed_at = began
        if lease.running:
            self._gate.grant(lease.grant, began + self._settings.lease_start_window_s)
        else:
            self._gate.close(TaskStopped("the task was stopped"))

    async def _renewed(self, *, within_s: float) -> Lease:
        """Renew, but give up on a catalogue that hangs while there is still time to cut off the rows in progress."""
        renewal = asyncio.ensure_future(self._in_thread(self._renew))
        await asyncio.wait({renewal}, timeout=max(0.0, within_s))
        if not renewal.done():
            raise LeaseLost(f"the catalogue did not renew the lease of shard {self._number} in time")
        return renewal.result()

    def _take(self) -> Lease | None:
        return self._leases.take(self._task_id, self._number, self._owner, self._gate.left)

    def _renew(self) -> Lease:
        return self._leases.renew(
            self._task_id,
            self._number,
            self._owner,
            self._attempt,
            wants=self._gate.left,
            using=self._gate.slots_in_use,
        )

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
