"""Further hosts of the image host: each an origin of its own (a port), whose trouble is switched while it runs.

POST /__hosts {"name": "busy", "status": 429, "retry_after": "30"}  makes the host, or changes its trouble: {"url": ...}
GET  /__hosts?name=busy                                             what it was asked: {"requests": [...]}

They serve the same paths. Trouble is any of these; without any the host is healthy:

status        this answer instead of a picture; 0 resets the connection
share         only for this share of the requests, at random
for_s         only for so many seconds
retry_after   `Retry-After` of these answers: seconds or a date
per_second    only for requests above so many a second; `status` is 429 unless it is given
hints         "ratelimit" (draft-ietf-httpapi-ratelimit-headers-10), "ratelimit-fields" (its draft 06) or "x-ratelimit":
              headers with which each answer tells `per_second`
hang          never answers
refuse        refuses connections, and resets those that are open
latency_s     how long an answer takes
"""

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from weakref import WeakSet

from aiohttp import web

from tests.doubles import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WINDOW_S = 1.0
BACKLOG = 1024
routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a host misbehaves; see the module."""

    status: int | None = None
    share: float = 1.0
    for_s: float | None = None
    retry_after: str | None = None
    per_second: int | None = None
    hints: str = ""
    hang: bool = False
    refuse: bool = False
    latency_s: float = 0.0


HEALTHY = Trouble()


@dataclass(slots=True)
class Request:
    """A request: Unix seconds, how many were under way with it, and its answer; 0 for one that was cut off."""

    path: str
    at: float
    at_once: int
    status: int = 0
    end: float | None = None


@dataclass(eq=False)
class Host:
    """A host: a socket of its own, and what came in through it."""

    runner: web.AppRunner
    trouble: Trouble = HEALTHY
    since: float = 0.0
    requests: list[Request] = field(default_factory=list)
    _at_once: int = 0
    _taken: deque[float] = field(default_factory=deque)
    _chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - the same each time
    _open: WeakSet[asyncio.BaseTransport] = field(default_factory=WeakSet)
    _switched: asyncio.Event = field(default_factory=asyncio.Event)
    _site: web.SockSite | None = None
    _healing: asyncio.Future[None] | None = None
    _socket: socket.socket = field(default_factory=lambda: _bound(0))

    @property
    def port(self) -> int:
        """Its port, which stays the same while it refuses connections."""
        return int(self._socket.getsockname()[1])

    async def switch(self, trouble: Trouble) -> None:
        """Misbehave otherwise from now on; requests that hang are cut off."""
        self.trouble, self.since = trouble, time.monotonic()
        self._switched.set()
        self._switched = asyncio.Event()
        await (self._close() if trouble.refuse else self._listen())
        if trouble.refuse and trouble.for_s is not None:
            asyncio.get_running_loop().call_later(trouble.for_s, self._open_again, trouble)

    async def close(self) -> None:
        """Give the port back."""
        await self._close()
        self._socket.close()

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as the trouble has it, and note the request."""
        if request.transport is not None:
            self._open.add(request.transport)
        self._at_once += 1
        seen = Request(request.raw_path, time.time(), self._at_once)
        self.requests.append(seen)
        try:
            response = await self._answer(request, handler)
            seen.status = response.status
        except web.HTTPException as error:
            seen.status = error.status
            raise
        finally:
            self._at_once -= 1
            seen.end = time.time()
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        trouble, switched = self.trouble, self._switched
        if trouble.for_s is not None and time.monotonic() - self.since > trouble.for_s:
            return await handler(request)
        if trouble.latency_s:
            await asyncio.sleep(trouble.latency_s)
        if trouble.hang:
            await switched.wait()
            return await _cut_off(request)
        within = self._within(trouble)
        if within and (trouble.per_second or trouble.status is None or self._chance.random() >= trouble.share):
            response = await handler(request)
        elif trouble.status == 0:
            return await _cut_off(request)
        else:
            response = web.Response(status=trouble.status or 429)
            if trouble.retry_after is not None:
                response.headers["Retry-After"] = trouble.retry_after
        if not response.prepared:
            response.headers.update(self._hints(trouble))
        return response

    def _within(self, trouble: Trouble) -> bool:
        """Whether a request is one of those that may be made in a second; counts it if so."""
        if trouble.per_second is None:
            return True
        now = time.monotonic()
        while self._taken and now - self._taken[0] >= WINDOW_S:
            self._taken.popleft()
        if len(self._taken) >= trouble.per_second:
            return False
        self._taken.append(now)
        return True

    def _hints(self, trouble: Trouble) -> dict[str, str]:
        if not trouble.per_second or not trouble.hints:
            return {}
        most, left = trouble.per_second, trouble.per_second - len(self._taken)
        if trouble.hints == "ratelimit":
            return {"RateLimit-Policy": f'"default";q={most};w=1', "RateLimit": f'"default";r={left};t=1'}
        prefix = {"ratelimit-fields": "RateLimit", "x-ratelimit": "X-RateLimit"}[trouble.hints]
        return {f"{prefix}-Limit": str(most), f"{prefix}-Remaining": str(left), f"{prefix}-Reset": "1"}

    async def _listen(self) -> None:
        if self._site is None:
            self._site = web.SockSite(self.runner, self._socket, backlog=BACKLOG)
            await self._site.start()

    async def _close(self) -> None:
        """Stop listening; the port stays bound, so that nobody else answers there."""
        if self._site is not None:
            port, site, self._site = self.port, self._site, None
            await site.stop()
            self._socket.close()
            self._socket = _bound(port)
        for transport in list(self._open):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    def _open_again(self, trouble: Trouble) -> None:
        if self.trouble is trouble:
            self._healing = asyncio.ensure_future(self.switch(HEALTHY))  # kept: the loop has only a weak reference


class Hosts:
    """The further hosts, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Host] = {}

    def of(self, request: web.Request) -> Host | None:
        """The host that a request came to; None for the first one, which is never in trouble."""
        name = request.transport and request.transport.get_extra_info("sockname")
        return next((host for host in self._by_name.values() if name and host.port == name[1]), None)

    def named(self, name: str, runner: web.AppRunner) -> Host:
        """The host of this name, which is made if there is none."""
        if name not in self._by_name:
            self._by_name[name] = Host(runner)
        return self._by_name[name]

    async def forget(self) -> None:
        """Close all of them."""
        while self._by_name:
            await self._by_name.popitem()[1].close()


HOSTS: web.AppKey[Hosts] = web.AppKey("hosts", Hosts)


@routes.post(serving.HOSTS)
async def switch(request: web.Request) -> web.Response:
    """Make a host, or change its trouble."""
    wanted: dict[str, Any] = await request.json()
    host = request.app[HOSTS].named(wanted.pop("name"), request.app[serving.RUNNER])
    await host.switch(Trouble(**wanted))
    return web.json_response({"url": f"http://127.0.0.1:{host.port}"})


@routes.get(serving.HOSTS)
async def requests(request: web.Request) -> web.Response:
    """What a host was asked."""
    host = request.app[HOSTS].named(request.query["name"], request.app[serving.RUNNER])
    return web.json_response({"requests": [asdict(one) for one in host.requests]})


async def _cut_off(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    await asyncio.sleep(60)
    raise ConnectionResetError


def _bound(port: int) -> socket.socket:
    """A socket that is bound and does not listen: connections are refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
