"""The peers of the API's answers, served by the same server with its settings: the least that such an answer takes.

`/` is one `SELECT 1` on the same database; `/log?task=ID` the failed rows of a task, read by the database's driver
alone; `/copy?of=PATH` the rows of a CSV file of which three in ten failed, by `csv` alone; `/count?of=PATH` only
reads that file.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Engine, text

from face_import.catalogue.engine import connect, reading
from face_import.settings import get_settings

StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
PORTION = 5_000
"""Rows at once."""
_LOG = "SELECT row, uri, code, message FROM outcome WHERE task_id = {} AND code <> 0 ORDER BY row"


def create_app() -> Application:
    """A WSGI application without a framework."""
    engine = reading(connect(get_settings().catalogue_url))

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        asked = dict(parse_qsl(environ["QUERY_STRING"]))
        match environ["PATH_INFO"]:
            case "/log":
                body: Iterable[bytes] = _log(engine, asked["task"])
            case "/copy":
                body = _copied(asked["of"])
            case "/count":
                body = [b"%d" % _counted(asked["of"])]
            case _:
                body = [b"%d" % _one(engine)]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return application


def _one(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.scalar(text("SELECT 1")) or 0)


def _log(engine: Engine, task_id: str) -> Iterator[bytes]:
    connection = engine.raw_connection()
    driver: Any = connection.driver_connection
    if engine.dialect.name == "sqlite":
        cursor = driver.execute(_LOG.format("?"), (task_id,))
    else:
        cursor = driver.cursor("log")
        cursor.execute(_LOG.format("%s"), (task_id,))
    for page in iter(partial(cursor.fetchmany, PORTION), []):
        yield "".join([f"{uri},{code},{message}\r\n" for _, uri, code, message in page]).encode()
    cursor.close()
    connection.close()


def _copied(path: str) -> Iterator[bytes]:
    with open(path, newline="") as file:  # noqa: PTH123 - as short as it can be
        reader = csv.reader(file)
        yield (",".join(next(reader)) + "\r\n").encode()
        failed = (record for number, record in enumerate(reader, 1) if number % 10 < 3)
        while page := list(islice(failed, PORTION)):
            csv.writer(buffer := io.StringIO(newline="")).writerows(page)
            yield buffer.getvalue().encode()


def _counted(path: str) -> int:
    with open(path, newline="") as file:  # noqa: PTH123 - the same
        return sum(1 for _ in csv.reader(file))
