"""Keeps writing requests of Airflow's api-server from waiting for each other on SQLite."""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every process of Airflow loads the plugin, and only the api-server has a use for starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

READS = frozenset({"GET", "HEAD", "OPTIONS"})
PATIENCE_S = 5.0
"""A request that hangs (a client that does not send its body) does not keep the others out for longer than this."""


class OneWriteAtATime:
    """ASGI middleware: a request that may write begins when the one before it has ended.

    Airflow commits its record of what a user did on the event loop (`action_logging`). If another request of the same
    process holds SQLite's write lock at that moment, the commit waits for it, and that request cannot end, for its own
    commit needs the event loop: the whole api-server stands still until the wait for the lock runs out, and then
    answers 500. SQLite has one writer anyway, so a queue costs nothing there.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Hand the request on, in its turn if it may write."""
        if scope["type"] != "http" or scope["method"] in READS:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._turn.release()


def middlewares(database: str) -> list[dict[str, Any]]:
    """What a plugin hands to Airflow as `fastapi_root_middlewares`; `database` is Airflow's SQLAlchemy URL."""
    return [{"name": "one write at a time", "middleware": OneWriteAtATime}] if database.startswith("sqlite") else []
