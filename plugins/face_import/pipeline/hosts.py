"""Trouble of image hosts is theirs, not their rows' (design decision 20, ADR 27).

A row whose host is down, or makes as many requests as it may, is set aside: it has no outcome, and starts again when
the host lets it. While a host is down, one row of the whole task asks it. Rows set aside are bounded by the shard's
part of the file. If nothing else is left to do for a while, the shard ends its process and comes back later.
"""

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from face_import import logs
from face_import.catalogue import Catalogue, Demand, HostState, Trouble
from face_import.clients.retrying import retried
from face_import.domain.models import Row
from face_import.errors import RowWaits
from face_import.pipeline.gate import Gate
from face_import.pipeline.host import Host
from face_import.pipeline.journal import wait_for_catalogue
from face_import.pipeline.rest import Rest
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
NEWS_S = 0.5
LONGEST_LOCAL_PAUSE_S = 2.0
"""A longer one that a host asks for is told to the other shards."""
MOST_ORIGIN = 300
"""Characters of an origin; a name has at most 253."""
MOST_REPORTED = 200
"""Hosts that a shard shares with others at a time, or reports, those with most waiting rows."""
MOST_CLAIMS = 10
"""Probes that a shard tries to claim one after the other; the catalogue has other work, too."""


class Hosts:
    """The image hosts of one shard's rows.

    Args:
        work: the shard.
        gate: starts the rows.
        catalogue: what all shards know about hosts.
        settings: how long a request may take.
    """

    def __init__(self, work: ShardWork, gate: Gate, catalogue: Catalogue, settings: Settings) -> None:
        self._task_id, self._number = work.task.id, work.shard.number
        self._owner = work.owner
        self._gate = gate
        self._catalogue, self._places = catalogue.hosts, catalogue.places
        self._tasks = catalogue.tasks
        self._probe_s = settings.fetch_timeout_s + settings.lease_ttl_s
        self._longest_pause_s = settings.fetch_patience_s
        self._all_bounded = work.task.config.host_threads > 0
        self._hosts: dict[str, Host] = {}
        self._active: dict[str, Host] = {}
        self._expected: dict[int, Host] = {}
        self._later: list[tuple[float, int, Row, Host]] = []
        self._pauses: dict[str, Trouble] = {}
        self._advice: set[str] = set()
        self._answered: set[str] = set()
        self._unused: set[str] = set()
        self._paces: dict[str, float] = {}
        self._new_paces: set[str] = set()
        self._reported: dict[str, Demand] = {}
        self._demanded_at = 0.0
        self._version = 0
        self._news_at = 0.0
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "hosts")
        self._rest = Rest(
            gate,
            in_line=partial(self._in_thread, partial(self._catalogue.shards_in_line, self._task_id)),
            waiting=partial(self._in_thread, partial(self._catalogue.shards_waiting, self._task_id)),
        )

    # For the rows

    def of(self, origin: str) -> Host:
        """The host of an origin."""
        origin = origin[:MOST_ORIGIN]
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = Host(origin, self._all_bounded)
        return host

    def wait_for(self, host: Host, row: Row) -> RowWaits:
        """Set a row aside until its host lets it start; returns what ends the row's attempt."""
        host.waiting.append(row)
        self._active[host.origin] = host
        self._gate.wait()
        if host.shared and not host.asked:
            self._changed.set()
        return RowWaits(host.name)

    def wait_until(self, moment: float, host: Host, row: Row) -> RowWaits:
        """Set a row aside until a moment by the monotonic clock; returns what ends the row's attempt."""
        heapq.heappush(self._later, (moment, row.number, row, host))
        self._gate.wait()
        self._changed.set()
        return RowWaits(host.name)

    def begins(self, host: Host) -> None:
        """Say that a row makes a request."""
        if host.shared:
            self._active[host.origin] = host

    def left(self, host: Host, row: int) -> None:
        """Say that a row has nothing more to do with a host."""
        host.fetching.discard(row)
        if host.waiting:
            self._release(host)

    def row_ended(self, row: int) -> None:
        """Forget what a row was about to do."""
        host = self._expected.pop(row, None)
        if host is None:
            return
        host.coming.discard(row)
        if host.probe == row:  # it did not come to ask
            host.probe = None
            self._not_asked(host)
        self._release(host)

    def up(self, host: Host) -> None:
        """Say that the host has answered its probe."""
        log.info("host available again host=%s %s", host.name, logs.ids())
        host.down_since, host.probe, host.asked = None, None, False
        host.failed.clear()
        self._answered.add(host.origin)
        self._release(host)
        self._changed.set()

    def pace(self, host: Host, pace: float) -> None:
        """Say how many requests a second the host allows."""
        if self._paces.get(host.origin) != pace:
            self._paces[host.origin] = pace
            host.pace = host.pace or pace
            self._new_paces.add(host.origin)
            self._changed.set()

    def pause(self, host: Host, seconds: float) -> None:
        """Say for how long the host allows no request; it gets no more than for a `Retry-After`."""
        seconds = min(seconds, self._longest_pause_s)
        if seconds <= LONGEST_LOCAL_PAUSE_S:
            host.next_at = max(host.next_at, time.monotonic() + seconds)
        elif not host.down:
            reason = "it allows no more requests for now"
            host.down_since, host.reason = time.monotonic(), reason
            host.retry_at = host.down_since + seconds
            self._pauses[host.origin] = Trouble(host.origin, reason, seconds)
            self._changed.set()

    def learn(self, host: Host, state: HostState) -> None:
        """Take over what the catalogue knows; rows that were to ask again on their own wait with the others."""
        host.learn(state)
        if host.down and any(one is host for *_, one in self._later):
            self._active[host.origin] = host
            host.waiting.extend(row for _, _, row, one in sorted(self._later) if one is host)
            self._later = [entry for entry in self._later if entry[3] is not host]
            heapq.heapify(self._later)

    async def recorded(self, record: Callable[[str, Trouble], T], trouble: Trouble) -> T:
        """Tell the catalogue about trouble, and wait as long as it is locked or down."""
        send = partial(self._in_thread, partial(record, self._task_id, trouble))
        return await retried(send, OperationalError, wait_for_catalogue)

    def advise(self, text: str) -> None:
        """Say something to whoever started the import."""
        self._advice.add(text)
        self._changed.set()

    # For the shard

    async def refresh(self) -> None:
        """Learn what other shards know."""
        version, news = await self._in_thread(partial(self._catalogue.news, self._task_id, self._version))
        for state in news:
            self.learn(self.of(state.origin), state)
        self._version, self._news_at = version, time.monotonic()

    async def keep(self) -> None:
        """Bring rows back when their hosts let them, until cancelled.

        Closes the gate with `ShardWaits` if there is nothing to do for a while.
        """
        while True:
            try:
                await self._keep()
            except OperationalError as error:
                log.warning("hosts wait for the catalogue %s error=%s", logs.ids(), error.orig)
                await asyncio.sleep(NEWS_S)
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s()):
                    await self._changed.wait()

    async def _tell(self) -> None:
        """Tell the catalogue what the rows have found out."""
        for origin in list(self._new_paces):
            self._new_paces.discard(origin)
            await self._in_thread(partial(self._catalogue.paces, self._task_id, origin, self._paces[origin]))
        for origin in list(self._unused):
            await self._in_thread(partial(self._catalogue.give_back, self._task_id, origin, self._owner))
            self._unused.discard(origin)
        for origin in list(self._answered):
            await self._in_thread(partial(self._catalogue.answers, self._task_id, origin))
            self._answered.discard(origin)
        for origin, trouble in list(self._pauses.items()):
            self.learn(self.of(origin), await self._in_thread(partial(self._catalogue.trouble, self._task_id, trouble)))
            self._pauses.pop(origin, None)
        for text in list(self._advice):
            await self._in_thread(partial(self._tasks.advise, self._task_id, text))
            self._advice.discard(text)

    async def _keep(self) -> None:
        await self._tell()
        if time.monotonic() >= self._news_at + NEWS_S:
            await self.refresh()
        await self._demand()
        hosts = [host for host in self._active.values() if not host.idle]
        next_row_at = self._later[0][0] if self._later else math.inf
        if await self._rest.is_due(hosts, next_row_at):
            await self._rest.begin(hosts, next_row_at)
        else:
            await self._probe()
        self._release_due()

    def _idle_s(self) -> float:
        now = time.monotonic()
        moments = [self._news_at + NEWS_S, *(due for due, *_ in self._later[:1])]
        for host in self._active.values():
            if host.waiting:
                moments += [due for due in (host.next_at, host.retry_at if host.down else 0.0) if due > now]
        return max(0.01, min(moments) - now)

    async def _demand(self) -> None:
        """Report which hosts rows wait for, and get places at those that need them."""
        unknown = any(host.shared and not host.asked and not host.idle for host in self._active.values())
        if not unknown and time.monotonic() < self._demanded_at + NEWS_S:
            return
        hosts = sorted(self._active.values(), key=_need)
        wanted = {host for host in hosts[:MOST_REPORTED] if not host.idle}
        for host in hosts:
            if host not in wanted:
                host.places, host.asked = 0, False
        demands = {host.origin: host.demand() for host in wanted}
        self._demanded_at = time.monotonic()
        if demands == self._reported and not any(host.shared for host in wanted):
            return
        shares = await self._in_thread(partial(self._places.share, self._task_id, self._number, self._owner, demands))
        self._reported = demands
        for origin, share in shares.items():
            host = self._hosts[origin]
            host.bounded, host.places, host.pace = share.places is not None, share.places or 0, share.pace

    async def _probe(self) -> None:
        """Ask hosts that are down, with few rows as long as there are others."""
        asking = sum(host.probe is not None for host in self._active.values())
        most = self._gate.slots if self._gate.drained else max(1, self._gate.slots // 8)
        due = [host for host in self._active.values() if host.waiting and host.may_probe]
        for host in due[:MOST_CLAIMS]:
            if asking >= most:
                break
            claim = partial(self._catalogue.claim, self._task_id, host.origin, self._owner, self._probe_s)
            if not await self._in_thread(claim):
                host.retry_at = time.monotonic() + NEWS_S  # another shard asks; news will come
            elif host.waiting and host.down:
                row = host.waiting.popleft()
                host.probe, self._expected[row.number] = row.number, host
                self._gate.again([row])
                asking += 1
            else:
                self._not_asked(host)

    def _not_asked(self, host: Host) -> None:
        """Give back the probe of a host that this shard has not asked."""
        host.retry_at = time.monotonic() + NEWS_S
        self._unused.add(host.origin)
        self._changed.set()

    def _release_due(self) -> None:
        """Let rows start that may by now."""
        rows: list[Row] = []
        while self._later and self._later[0][0] <= time.monotonic():
            rows.append(heapq.heappop(self._later)[2])
        if rows:
            self._gate.again(rows)
        for host in list(self._active.values()):
            self._release(host)

    def _release(self, host: Host) -> None:
        """Let rows of a host start that may."""
        rows = [host.waiting.popleft() for _ in range(host.room())]
        for row in rows:
            host.coming.add(row.number)
            self._expected[row.number] = host
        if rows:
            self._gate.again(rows)
        elif host.idle and not host.places:
            self._active.pop(host.origin, None)

    async def ended(self, *, done: bool) -> None:
        """Report the last state: no row waits if the shard is done."""
        try:
            await self._tell()
            if done:
                await self._in_thread(partial(self._places.share, self._task_id, self._number, self._owner, {}))
        except OperationalError as error:
            log.warning("hosts not reported %s error=%s", logs.ids(), error.orig)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _need(host: Host) -> tuple[bool, bool, bool, bool, int]:
    """Sorts hosts by who needs places most; one that is down needs few, and none until it may be asked."""
    resting = host.down and host.retry_at > time.monotonic()
    return not host.in_use, host.down, resting, not host.shared, -len(host.waiting)
