"""Rows and their image hosts: which requests a row may make, and whose fault it is if one fails (ADR 27)."""

import http
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from yarl import URL

from face_import import logs
from face_import.catalogue import Hosts as Catalogue
from face_import.catalogue import Trouble
from face_import.catalogue.hosts import SEVERAL
from face_import.clients.ratelimit import allowance
from face_import.clients.retrying import backoff
from face_import.clients.transfer import FetchError, TransientFetchError, answers, has_image
from face_import.clients.visit import Visit
from face_import.contract import Reason
from face_import.domain.models import Row
from face_import.pipeline.host import Host
from face_import.pipeline.hosts import NEWS_S, Hosts

log = logging.getLogger(__name__)
ATTEMPTS, HOST_ATTEMPTS = 4, 8
"""Of a row that fails for its own reasons, or for reasons of a host that is not down: other rows get answers, or there
are none. The latter take half a minute, unless each lasts to its time-out."""
MANY_DENIED = 10
"""Signed URLs that a host refuses in succession until it looks like their age."""
_SIGNED = re.compile(
    r"(?:^|&)(?:x-amz-|x-goog-|x-oss-|q-)?(?:signature|sign?|sig|token|auth_key|hdnt[sl]|expires)=", re.IGNORECASE
)


@dataclass(slots=True)
class _Tries:
    """Attempts at a row that failed.

    Attributes:
        visit: keeps the row's cookies.
        number: how many of them say something about the row.
        paused_s: pauses between these, without those for a host that was down.
    """

    visit: "RowVisit"
    number: int = 0
    paused_s: float = 0.0


class Visits:
    """What the rows of one shard have to do with image hosts.

    Args:
        hosts: the hosts.
        catalogue: what all shards know about them.
        fetch: fetches a URI without asking here.
        patience_s: how long a row with trouble of its own is tried, in seconds.
    """

    def __init__(
        self, hosts: Hosts, catalogue: Catalogue, fetch: Callable[[str], Awaitable[bytes]], patience_s: float
    ) -> None:
        self.hosts = hosts
        self._catalogue = catalogue
        self._fetch = fetch
        self._patience_s = patience_s
        self._visits: dict[int, RowVisit] = {}
        self._tries: dict[int, _Tries] = {}

    def visit(self, row: Row) -> "RowVisit":
        """Return the visit of a row to its hosts."""
        tries = self._tries.get(row.number)
        visit = self._visits[row.number] = tries.visit if tries else RowVisit(self.hosts, row)
        return visit

    def ended(self, row: int) -> None:
        """Forget what a row was about to do."""
        self._visits.pop(row, None)
        self.hosts.row_ended(row)

    def settled(self, row: int) -> None:
        """Forget a row that has an outcome."""
        self._tries.pop(row, None)

    async def failed(self, row: Row, error: FetchError) -> None:
        """Decide about a row whose fetch has failed: returns if that is its outcome.

        A host that is down and still gives no answer of HTTP is down, even if the row that asked it would otherwise be
        a 101: its name is gone, say, or its certificate.

        Raises:
            RowWaits: the row starts again later.
        """
        host = self.hosts.of(error.origin)
        if not isinstance(error, TransientFetchError):
            if host.probe != row.number or host.given_up or error.reason is Reason.INVALID_URI:
                return
            error = TransientFetchError(str(error), error.reason, of_host=True)
        trouble = Trouble(host.origin, str(error), error.retry_after, error.overloaded)
        tries = self._tries.setdefault(row.number, _Tries(self._visits[row.number]))
        if host.probe == row.number:
            if await self._is_down(host, error):
                if await self._failed_probe(host, trouble):
                    return
                raise self.hosts.wait_for(host, row)
            self.hosts.up(host)
        elif host.down:
            raise self.hosts.wait_for(host, row)
        tries.number += not error.overloaded
        of_host = error.of_host and error.reason is not Reason.TIMEOUT
        over = tries.number >= (HOST_ATTEMPTS if of_host else ATTEMPTS) or tries.paused_s >= self._patience_s
        if error.of_host:
            host.failed.add(row.number)
            several = error.overloaded or len(host.failed) >= SEVERAL
            if (several and await self._goes_down(host, trouble)) or (over and await self._lost_row(host, trouble)):
                raise self.hosts.wait_for(host, row)
        if over:
            return
        pause = backoff(tries.number, first_s=0.4, longest_s=10 if of_host else 5)
        pause = max(pause, min(error.retry_after or 0.0, self._patience_s))
        tries.paused_s += pause
        raise self.hosts.wait_until(time.monotonic() + pause, host, row)

    async def _is_down(self, host: Host, error: TransientFetchError) -> bool:
        """Whether a failed probe was about the host: what it had before would fail, too."""
        if error.overloaded or not error.of_host or not host.good:
            return error.of_host
        try:
            await self._fetch(host.good)
        except FetchError:
            return True
        return False

    async def _goes_down(self, host: Host, trouble: Trouble) -> bool:
        if not host.down:
            log.warning("host unavailable host=%s %s error=%s", host.name, logs.ids(), trouble.reason)
            host.down_since, host.reason = time.monotonic(), trouble.reason
            host.retry_at = host.down_since + max(NEWS_S, trouble.retry_after or 0.0)  # until the catalogue says more
            self.hosts.learn(host, await self.hosts.recorded(self._catalogue.trouble, trouble))
        return True

    async def _lost_row(self, host: Host, trouble: Trouble) -> bool:
        """Whether a row that has failed again and again shows that the host is down: other shards may have others."""
        state = await self.hosts.recorded(self._catalogue.lost_row, trouble)
        if state is None:
            return False
        self.hosts.learn(host, state)
        return True

    async def _failed_probe(self, host: Host, trouble: Trouble) -> bool:
        """Record a failed probe; returns whether it has cost its row."""
        state, over = await self.hosts.recorded(self._catalogue.failed_probe, trouble)
        host.probe = None
        self.hosts.learn(host, state)
        return over or state.given_up


class RowVisit(Visit):
    """A row's way to its host, and along its redirects to others."""

    def __init__(self, hosts: Hosts, row: Row) -> None:
        self._hosts = hosts
        self._row = row
        self._visited: list[Host] = []

    def ask(self, url: URL) -> None:
        """Raise unless the row may make a request to this host.

        Raises:
            RowWaits: it was set aside.
            FetchError: the host was given up.
        """
        host = self._hosts.of(str(url.origin()))
        if host.given_up and host.down:
            raise FetchError(f"{host.name} has been unavailable for too long: {host.reason}", Reason.UNAVAILABLE)
        if not host.starts(self._row.number):
            raise self._hosts.wait_for(host, self._row)
        self._hosts.begins(host)
        self._visited.append(host)

    def answered(self, url: URL, status: int, headers: Mapping[str, str]) -> None:
        """Take notice of an answer.

        Raises:
            FetchError: it is one of many that refuse signed URLs.
        """
        host = self._visited[-1]
        allowed = allowance(headers)
        host.left = allowed.left
        if allowed.pace:
            self._hosts.pace(host, allowed.pace)
        if answers(status):
            host.failed.clear()
            if has_image(status) or status == http.HTTPStatus.NOT_MODIFIED:
                host.good, host.denied = self._row.uri, 0
            if host.probe == self._row.number:
                self._hosts.up(host)
            if allowed.pause_s:
                self._hosts.pause(host, allowed.pause_s)
        if status == http.HTTPStatus.FORBIDDEN and _SIGNED.search(url.raw_query_string):
            self._denied(host)

    def _denied(self, host: Host) -> None:
        host.denied += 1
        if host.denied < MANY_DENIED:
            return
        advice = f"{host.name} has refused {MANY_DENIED} signed URLs in succession: their signatures may have expired"
        if host.denied == MANY_DENIED:
            self._hosts.advise(f"{advice}. Stop the import, and create another one with new URLs for the failed rows")
        raise FetchError(f"403 Forbidden; {advice}", Reason.FORBIDDEN)

    def ended(self) -> None:
        """Leave the hosts."""
        for host in self._visited:
            self._hosts.left(host, self._row.number)
        self._visited.clear()
