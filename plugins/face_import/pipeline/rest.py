"""When a shard whose rows all wait for image hosts ends its process, and for how long."""

import time
from collections.abc import Awaitable, Callable, Collection

from face_import.errors import ShardWaits
from face_import.pipeline.gate import Gate
from face_import.pipeline.host import Host

REST_S = 15.0
"""A shard whose rows all wait longer than this ends its process; sooner, if another one needs its slot."""
LONGEST_REST_S = 120.0
START_S = 2.0
"""CPU seconds that a shard's process takes to start: with many shards waiting, they must not take those of others."""


class Rest:
    """Decides about one shard.

    Args:
        gate: of the shard.
        in_line: how many shards of the task need a slot.
        waiting: how many wait as this one does, without a process.
    """

    def __init__(
        self, gate: Gate, in_line: Callable[[], Awaitable[int]], waiting: Callable[[], Awaitable[int]]
    ) -> None:
        self._gate = gate
        self._count_in_line, self._count_waiting = in_line, waiting
        self._nothing_since: float | None = None
        self._in_line = 0

    async def is_due(self, hosts: Collection[Host], next_row_at: float) -> bool:
        """Whether it is time: all rows wait for hosts that are down, and have for a while.

        With many such hosts one of them is always due. They are asked for some seconds, longer if no other shard needs
        the slot, and then again at the next try.

        Args:
            hosts: those that rows have to do with.
            next_row_at: when a row starts that waits for itself, by the monotonic clock.
        """
        now = time.monotonic()
        asking = sum(host.probe is not None for host in hosts)
        waits = self._gate.drained and self._gate.set_aside and self._gate.in_progress <= asking
        if not waits or not all(host.down and not host.given_up for host in hosts):
            self._nothing_since = None
            return False
        if self._nothing_since is None:
            self._nothing_since = now
        if next_row_at <= now + REST_S:
            return False
        idle, rest = now - self._nothing_since, min((host.retry_at for host in hosts), default=now) - now
        if max(idle, rest) <= START_S:
            return False
        self._in_line = await self._count_in_line()
        return bool(self._in_line) or max(idle / 2, rest) > REST_S

    async def begin(self, hosts: Collection[Host], next_row_at: float) -> None:
        """Close the gate, once no row is in progress any more."""
        if self._gate.in_progress or not self._gate.set_aside:
            return
        others = await self._count_waiting()
        now = time.monotonic()
        down = max(now - (host.down_since or now) for host in hosts)
        rest = min(next_row_at, *(host.retry_at for host in hosts)) - now
        rest = max(rest, min(LONGEST_REST_S, max(down / 2, self._in_line * REST_S)), others * START_S)
        first = max(hosts, key=lambda host: len(host.waiting))
        which = f"{first.name} ({first.reason})" + (f" and {len(hosts) - 1} more hosts" if len(hosts) > 1 else "")
        self._gate.close(ShardWaits(f"{self._gate.set_aside} rows wait for {which}", rest))
