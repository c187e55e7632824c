"""Checks before anything is started: `up` raises the first problem, `doctor` shows all of them."""

import difflib
import errno
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from unicodedata import category

import psutil

from face_import.errors import ConfigError
from face_import.settings import CHECKOUT, Settings
from face_import.stack.layout import STACK_VARIABLE, Layout
from face_import.stack.processes import members
from face_import.stack.supervisor import CHECKOUT_VARIABLE, embeds_services, ports

_PREFIX = "FACE_IMPORT_"
_NOT_SETTINGS = {STACK_VARIABLE, CHECKOUT_VARIABLE, "FACE_IMPORT_TEST_POSTGRES_URL", "FACE_IMPORT_TEST_REDIS_URL"}
"""What a stack's processes have in common, and the servers of tests and `make up-distributed`."""
_PROGRAMS = ("airflow", "gunicorn", "supervisor")
_OF_FACE_SERVICES = ("cv2", "onnx", "onnxruntime")
_TIMEOUT_S = 5
_NOT_IN_PATHS = {"Cc", "Cs"}
"""Unicode's control characters, such as a line break, and bytes that are not UTF-8."""


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, the result, and advice if there is a problem."""

    level: Level
    subject: str
    text: str
    advice: str = ""


def require(findings: Iterable[Finding]) -> None:
    """Raise the first problem.

    Raises:
        ConfigError: there is one; the text is one line that names the variable or the remedy.
    """
    for finding in findings:
        if finding.level is Level.PROBLEM:
            raise ConfigError(finding.text)


def check_start(settings: Settings) -> Iterator[Finding]:
    """Check that programs are installed, their ports are free, and databases and broker respond."""
    yield from check_programs(settings)
    yield from check_library(settings)
    yield from check_ports(settings)
    yield from check_servers(settings)


def check_variables() -> Iterator[Finding]:
    """Find `FACE_IMPORT_*` variables that are not settings: a misspelt one would be silently ignored."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            yield Finding(Level.PROBLEM, "settings", f"{name}: no such setting{hint}")


def check_paths(settings: Settings) -> Iterator[Finding]:
    """Find paths that other programs cannot be told: what is in them has no way to be escaped there."""
    checked = {  # with what Airflow would replace, with what separates paths, and with what alembic would replace
        "FACE_IMPORT_HOME": (settings.home, "$"),
        "the checkout": (CHECKOUT, "$:"),
        "the virtual environment": (Path(sys.prefix), "$:%"),
    }
    for name, (path, reserved) in checked.items():
        if bad := sorted({c for c in str(path) if c in reserved or category(c) in _NOT_IN_PATHS}):
            text = f"{name}: {str(path)!r} has {', '.join(map(repr, bad))}, which Airflow or Python cannot be told"
            yield Finding(Level.PROBLEM, "paths", text, "choose another path")


def check_programs(settings: Settings) -> Iterator[Finding]:
    """Check that the stack's programs are installed."""
    if not (CHECKOUT / "dags").is_dir():
        text = (
            f"{CHECKOUT} has no dags/: `face-import up` runs from a checkout;"
            " commands for imports work from here with --url"
        )
        yield Finding(Level.PROBLEM, "programs", text)
        return
    missing = [f"{module} is not installed: run make setup" for module in _PROGRAMS if not _is_installed(module)]
    if embeds_services(settings) and not all(map(_is_installed, _OF_FACE_SERVICES)):
        missing.append(
            "the embedded face services are not installed: run make setup,"
            " or set FACE_IMPORT_INFO_URL and FACE_IMPORT_LIBRARY_URL"
        )
    for text in missing:
        yield Finding(Level.PROBLEM, "programs", text)
    if not missing:
        yield Finding(Level.OK, "programs", "all installed")


def check_library(settings: Settings) -> Iterator[Finding]:
    """Check that the embedded library's faces are those of the engine that would search them."""
    path = Layout.of(settings.home).library
    if settings.library_url or not path.exists() or not _is_installed("face_services"):
        return
    from face_services.errors import OtherEngine  # noqa: PLC0415 - a wheel does not have it
    from face_services.tables import open_database  # noqa: PLC0415 - the same

    try:
        open_database(path).dispose()
    except OtherEngine as error:
        yield Finding(Level.PROBLEM, "library", str(error))


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Check that the stack's ports are free, or used by itself."""
    taken: dict[int, str] = {}
    for variable, (host, port) in ports(settings).items():
        if port in taken:
            yield Finding(Level.PROBLEM, "port", f"{variable}: {port} is {taken[port]} already", "set another port")
        else:
            taken[port] = variable
            yield _port(variable, host, port, settings)


def _port(variable: str, host: str, port: int, settings: Settings) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            text = f"cannot listen on {host}:{port}: {error.strerror}"
            if error.errno == errno.EADDRINUSE:
                users = _listeners(port)
                if not users.isdisjoint(process.pid for process in members(Layout.of(settings.home).stack_id)):
                    return Finding(Level.OK, "port", f"{variable}: {port} is used by this stack")
                text = f"port {port} is in use{_named(users)}"
            return Finding(Level.PROBLEM, "port", f"{variable}: {text}", "stop that program, or set another port")
    return Finding(Level.OK, "port", f"{variable}: {port} is free")


def _listeners(port: int) -> set[int]:
    """Processes that listen on a port, as far as visible to this user."""
    with suppress(psutil.Error, PermissionError):
        return {
            connection.pid
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr[1] == port
            and connection.pid
        }
    return set()


def _named(users: Iterable[int]) -> str:
    with suppress(psutil.Error):
        for pid in users:
            return f" by {psutil.Process(pid).name()} (process {pid})"
    return ""


def check_servers(settings: Settings) -> Iterator[Finding]:
    """Check that PostgreSQL and the broker respond, if configured."""
    for variable, url in {
        "FACE_IMPORT_DATABASE_URL": settings.database_url,
        "FACE_IMPORT_AIRFLOW_DATABASE_URL": settings.airflow_database_url,
    }.items():
        if url and not url.startswith("sqlite"):
            yield _server(variable, url, _database_trouble)
    if settings.broker_url and not settings.airflow_database_url.startswith("postgresql"):
        text = "FACE_IMPORT_BROKER_URL: workers need PostgreSQL: set FACE_IMPORT_AIRFLOW_DATABASE_URL"
        yield Finding(Level.PROBLEM, "server", text)
    elif settings.broker_url:
        yield _server("FACE_IMPORT_BROKER_URL", settings.broker_url, _broker_trouble)


def _server(variable: str, url: str, trouble_with: Callable[[str], str]) -> Finding:
    from sqlalchemy import make_url  # noqa: PLC0415 - slow to import, and few commands need it

    if trouble := trouble_with(url):
        return Finding(Level.PROBLEM, "server", f"{variable}: {trouble}", "start it, or fix the variable")
    return Finding(Level.OK, "server", f"{variable}: {make_url(url).render_as_string()} responds")


def _database_trouble(url: str) -> str:
    from sqlalchemy import create_engine  # noqa: PLC0415 - slow to import, and few commands need it
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - slow to import, and few commands need it
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - slow to import, and few commands need it

    try:
        create_engine(url, connect_args={"connect_timeout": _TIMEOUT_S}, poolclass=NullPool).connect().close()
    except (SQLAlchemyError, ImportError) as error:
        return _reason(error)
    return ""


def _broker_trouble(url: str) -> str:
    from redis import Redis, RedisError  # noqa: PLC0415 - slow to import, and few commands need it

    try:
        with Redis.from_url(url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """First line of the driver's message."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
