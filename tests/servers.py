"""PostgreSQL and Redis for tests: what of them is a test's own, and what happens where there are none."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from examples.distributed import POSTGRES_URL, REDIS_URL, database
from face_import.stack.layout import Layout
from face_import.stack.workers import key_prefix


class Unavailable(Exception):
    """A server that tests need does not answer; says which."""


@contextmanager
def databases(count: int) -> Iterator[list[str]]:
    """URLs of empty databases, which are dropped afterwards.

    Raises:
        Unavailable: there is no PostgreSQL.
    """
    server = create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT")
    with ExitStack() as made:
        made.callback(server.dispose)
        yield [made.enter_context(_database(server)) for _ in range(count)]


@contextmanager
def servers_of(home: Path) -> Iterator[dict[str, str]]:
    """Settings by which the stack of a home uses databases of its own and the broker; nothing of it is left behind.

    Raises:
        Unavailable: PostgreSQL or Redis does not answer.
    """
    broker = redis.Redis.from_url(REDIS_URL)
    try:
        broker.ping()
    except redis.RedisError as error:
        raise Unavailable(f"no Redis at FACE_IMPORT_TEST_REDIS_URL: {error}") from None
    with databases(2) as (catalogue, airflow), broker:
        yield {
            "FACE_IMPORT_DATABASE_URL": catalogue,
            "FACE_IMPORT_AIRFLOW_DATABASE_URL": airflow,
            "FACE_IMPORT_BROKER_URL": REDIS_URL,
        }
        for key in broker.scan_iter(f"{key_prefix(Layout.of(home))}*"):
            broker.delete(key)


def skip(reason: Unavailable) -> NoReturn:
    """Skip a test that cannot be run here; in CI, which has to have everything, it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(reason))
    pytest.skip(str(reason))


@contextmanager
def _database(server: Engine) -> Iterator[str]:
    name = f"face_import_test_{uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        raise Unavailable(f"no PostgreSQL at FACE_IMPORT_TEST_POSTGRES_URL: {error.orig}") from None
    try:
        yield database(name)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
