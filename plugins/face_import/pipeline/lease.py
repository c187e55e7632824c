"""A try's hold on its shard: takes the lease, renews it, and passes on what it grants (design decision 3)."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Lease, Leases, Taken
from face_import.clock import elapsed
from face_import.errors import LeaseLost, TaskStopped
from face_import.pipeline.gate import Gate
from face_import.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)
LONGEST_TTL_S = 10.0
"""A lease lives longer on a busy machine, but a try that has died must not hold up its successor."""
DEAD_S = LONGEST_TTL_S + 2.0
"""A lease that was not renewed for so long is nobody's, whatever the database's clock says."""
LATE_S = 1.0
"""Lateness of a renewal that the log mentions, every `SAID_S` at most."""
SAID_S = 30.0


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
        self._late_s = LATE_S  # a process has most to do when it starts
        self._held_s = self._ttl_s = self._stretched_s()
        self._said_at = 0.0

    async def take(self) -> None:
        """Wait for the lease: an earlier try may still be finishing its rows.

        Raises:
            TaskStopped: the task is not running.
            OperationalError: the catalogue stays unavailable beyond the patience.
        """
        deadline = elapsed() + self._settings.outage_patience_s
        held, unchanged_since = None, 0.0
        while True:
            began = elapsed()
            dead = held is not None and self._is_dead(held, began - unchanged_since)
            try:
                lease = await self._in_thread(partial(self._take, held if dead else None))
                before, held = held, None if lease else await self._in_thread(self._held)
            except OperationalError:
                if elapsed() > deadline:
                    raise
                log.warning("catalogue unavailable task=%s shard=%s", self._task_id, self._number)
            else:
                if lease is not None:
                    self._attempt, self.in_doubt = lease.attempt, lease.in_doubt
                    self._granted(lease, began)
                    return
                if held != before:
                    unchanged_since = elapsed()
            await asyncio.sleep(self._settings.lease_renew_s / 2)

    def _is_dead(self, held: Taken, unchanged_s: float) -> bool:
        """Whether the holder of a lease must have died; by this machine's clock, since the database's may be set."""
        return unchanged_s >= (self._settings.lease_ttl_s if held.expired else DEAD_S)

    async def keep(self) -> None:
        """Renew until cancelled, also while the last rows finish: a successor must not begin before that.

        Raises:
            LeaseLost: another try has the shard, or the catalogue did not answer in time; rows in progress have to be
                cut off.
            SQLAlchemyError: the catalogue fails; likewise.
        """
        while True:  # the first time at once, so that shards that start together share soon
            began = elapsed()
            asked_s = self._ttl_s
            deadline = self._renewed_at + self._held_s - self._settings.lease_renew_s / 2
            try:
                lease = await self._renewed(within_s=deadline - began)
            except OperationalError:
                log.warning("lease not renewed task=%s shard=%s", self._task_id, self._number)
                if elapsed() > deadline - self._settings.lease_renew_s:
                    raise
            else:
                self._held_s = asked_s
                self._stretch()
                self._granted(lease, began)
            await asyncio.sleep(self._settings.lease_renew_s)

    def _stretch(self) -> None:
        """Let the lease live longer while renewals are late: a busy machine is not a dead one."""
        late = max(0.0, elapsed() - self._renewed_at - self._settings.lease_renew_s)
        self._late_s = max(late, 0.8 * self._late_s)
        self._ttl_s = self._stretched_s()
        if late >= LATE_S and elapsed() >= self._said_at + SAID_S:
            self._said_at = elapsed()
            log.warning(
                "this machine is too busy: the lease was renewed %.1f s late task=%s shard=%s",
                late,
                self._task_id,
                self._number,
            )

    def _stretched_s(self) -> float:
        base = self._settings.lease_ttl_s
        return max(base, min(LONGEST_TTL_S, base + 3 * self._late_s))

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
            renewal.add_done_callback(_ignored)
            raise LeaseLost(f"the lease was not renewed for {elapsed() - self._renewed_at:.1f} s")
        return renewal.result()

    def _take(self, instead_of: Taken | None) -> Lease | None:
        wants = self._gate.wants
        return self._leases.take(
            self._task_id, self._number, self._owner, wants, instead_of=instead_of, ttl_s=self._ttl_s
        )

    def _held(self) -> Taken | None:
        return self._leases.held(self._task_id, self._number)

    def _renew(self) -> Lease:
        return self._leases.renew(
            self._task_id,
            self._number,
            self._owner,
            self._attempt,
            wants=self._gate.wants,
            using=self._gate.slots_in_use,
            ttl_s=self._ttl_s,
        )

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _ignored(renewal: asyncio.Future[Lease]) -> None:
    """Look at how a renewal ended for which nobody waits any more, or asyncio would log its error with a traceback."""
    if not renewal.cancelled():
        renewal.exception()
