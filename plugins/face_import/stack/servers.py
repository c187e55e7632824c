"""Servers that somebody else runs: whether PostgreSQL and Redis answer, before anything is started."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from face_import.errors import ConfigError
from face_import.settings import Settings

_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Server:
    """A server that a variable names.

    Attributes:
        variable: the setting with its URL.
        check: returns the URL without its password, or raises a ConfigError with the reason in one line.
    """

    variable: str
    check: Callable[[], str]


def servers(settings: Settings) -> list[Server]:
    """The servers that the settings name; the databases of the home are none.

    Raises:
        ConfigError: Celery and SQLite cannot go together.
    """
    found = []
    for variable, url in {
        "FACE_IMPORT_DATABASE_URL": settings.database_url,
        "FACE_IMPORT_AIRFLOW_DATABASE_URL": settings.airflow_database_url,
    }.items():
        if url and not url.startswith("sqlite"):
            found.append(Server(variable, partial(_check_database, variable, url)))
    if settings.broker_url:
        if not settings.airflow_database_url.startswith("postgresql"):
            raise ConfigError("FACE_IMPORT_BROKER_URL: workers need PostgreSQL: set FACE_IMPORT_AIRFLOW_DATABASE_URL")
        found.append(Server("FACE_IMPORT_BROKER_URL", partial(_check_broker, settings.broker_url)))
    return found


def check_servers(settings: Settings) -> None:
    """Check that they answer.

    Raises:
        ConfigError: one does not; names the variable.
    """
    for server in servers(settings):
        server.check()


def _check_database(variable: str, url: str) -> str:
    from sqlalchemy import create_engine, make_url  # noqa: PLC0415 - slow to import, and few commands need it
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - the same
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - the same

    try:
        shown = make_url(url).render_as_string()
        create_engine(url, connect_args={"connect_timeout": _TIMEOUT_S}, poolclass=NullPool).connect().close()
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigError(f"{variable}: {_reason(error)}") from None
    return shown


def _check_broker(url: str) -> str:
    from redis import Redis, RedisError  # noqa: PLC0415 - slow to import, and few commands need it
    from sqlalchemy import make_url  # noqa: PLC0415 - the same

    try:
        with Redis.from_url(url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        raise ConfigError(f"FACE_IMPORT_BROKER_URL: {_reason(error)}") from None
    return make_url(url).render_as_string()


def _reason(error: Exception) -> str:
    """The first line of what the driver says."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
