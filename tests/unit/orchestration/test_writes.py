"""Writing requests of Airflow's api-server take turns on SQLite."""

import asyncio
from typing import Any

import pytest

from face_import.orchestration.plugin import pages
from face_import.orchestration.plugin.pages import OneWriteAtATime


class Server:
    """An ASGI application whose requests end when they are told to; knows which came, and which are under way."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[str] = asyncio.Queue()
        self.under_way: list[str] = []
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Any, _receive: Any, _send: Any) -> None:
        """Take a request."""
        self.came.put_nowait(scope["method"])
        self.under_way.append(scope["method"])
        await self.may_end.wait()
        self.under_way.remove(scope["method"])


async def settle() -> None:
    """Let every task that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_write_waits_for_the_one_before_and_reads_do_not() -> None:
    """Of three writes and a read, one write and the read are under way; all of them end."""
    server = Server()
    queue: Any = OneWriteAtATime(server)
    requests = [
        asyncio.ensure_future(queue({"type": "http", "method": method}, None, None))
        for method in ("POST", "PATCH", "DELETE", "GET")
    ]
    await settle()
    assert server.under_way == ["POST", "GET"]
    server.may_end.set()
    await asyncio.gather(*requests)
    assert server.under_way == []


async def test_a_write_that_hangs_does_not_keep_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience the next one goes on beside it."""
    monkeypatch.setattr(pages, "PATIENCE_S", 0.05)
    server = Server()
    queue: Any = OneWriteAtATime(server)
    requests = [
        asyncio.ensure_future(queue({"type": "http", "method": method}, None, None)) for method in ("POST", "PATCH")
    ]
    async with asyncio.timeout(5):
        assert [await server.came.get(), await server.came.get()] == ["POST", "PATCH"]
    assert server.under_way == ["POST", "PATCH"]
    server.may_end.set()
    await asyncio.gather(*requests)


async def test_a_write_that_fails_ends_its_turn() -> None:
    """The next one begins after an error, too."""

    async def fails(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError

    queue: Any = OneWriteAtATime(fails)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            async with asyncio.timeout(1):
                await queue({"type": "http", "method": "POST"}, None, None)


def test_only_sqlite_needs_it() -> None:
    """PostgreSQL has no lock of the whole database, and gets no middleware."""
    assert pages.middlewares("postgresql+psycopg2://airflow@localhost/airflow") == []
    assert [each["middleware"] for each in pages.middlewares("sqlite:////home/airflow.db")] == [OneWriteAtATime]
