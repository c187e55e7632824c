"""Changes to Airflow's api-server: console pages inside Airflow's, a link on each shard, and writes that take turns."""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from face_import.contract import DAG_ID, SHARD_TASK
from face_import.settings import Settings, get_settings

if TYPE_CHECKING:  # every process of Airflow loads the plugin, and only the api-server needs starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

READS = frozenset({"GET", "HEAD", "OPTIONS"})
PATIENCE_S = 5.0
"""How long a write waits for the one before it: a client that never finishes its request must not block the others."""


def external_views(settings: Settings) -> list[dict[str, Any]]:
    """Pages of the console that Airflow embeds: the list of imports in its menu, and a tab on each run.

    Airflow shows a run's tab for every DAG, so the page is told which one: the run of a recurring import's DAG has no
    import of its own but the one that it triggered.
    """
    console = settings.console_url
    return [
        {
            "name": "Imports",
            "href": f"{console}/?embed=1",
            "destination": "nav",
            "category": "browse",
            "url_route": "face-imports",
        },
        {
            "name": "Import",
            "href": f"{console}/runs/{{RUN_ID}}?embed=1&dag={{DAG_ID}}",
            "destination": "dag_run",
            "url_route": "face-import",
        },
    ]


class RowsLink(BaseOperatorLink):
    """The link from a shard's task instance to its part of the import's log; other task instances get none."""

    name = "Failed rows"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's interface
        """The console's page of the run, narrowed to the shard."""
        if (ti_key.dag_id, ti_key.task_id) != (DAG_ID, SHARD_TASK) or ti_key.map_index < 0:
            return ""
        return f"{get_settings().console_url}/runs/{quote(ti_key.run_id, safe='')}?shard={ti_key.map_index}"


def middlewares(database: str) -> list[dict[str, Any]]:
    """The plugin's `fastapi_root_middlewares`, given the SQLAlchemy URL of Airflow's database."""
    return [{"name": "one write at a time", "middleware": OneWriteAtATime}] if database.startswith("sqlite") else []


class OneWriteAtATime:
    """ASGI middleware for SQLite: a request that may write starts once the one before it has ended.

    Airflow commits its audit record of a request on the event loop (`action_logging`). If another request of the same
    process holds SQLite's write lock at that moment, the commit waits for it, and that request cannot end, because its
    own commit needs the event loop: the whole api-server stands still until the lock times out, and then answers 500.
    SQLite has one writer anyway, so a queue costs nothing there.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass the request on, once it is its turn if it may write."""
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
