"""What can be known to fail before anything is started; each check raises one line."""

import difflib
import errno
import importlib.util
import os
import socket
from contextlib import suppress
from pathlib import Path

import psutil

from face_import.errors import ConfigError
from face_import.settings import CHECKOUT, Settings
from face_import.stack.layout import STACK_VARIABLE
from face_import.stack.servers import check_servers
from face_import.stack.supervisor import embeds_services, ports

_PREFIX = "FACE_IMPORT_"
_NOT_SETTINGS = {STACK_VARIABLE, "FACE_IMPORT_TEST_POSTGRES_URL", "FACE_IMPORT_TEST_REDIS_URL"}
"""The mark of a stack's processes, and where tests and `make up-distributed` find their servers."""


def check(settings: Settings) -> None:
    """Check that the programs are installed, their ports are free, and databases and broker answer.

    Raises:
        ConfigError: something is wrong; names the variable and what to do.
    """
    check_programs(settings)
    _check_ports(settings)
    check_servers(settings)


def check_variables() -> None:
    """Check that every `FACE_IMPORT_*` variable is a setting: a misspelt one would silently do nothing.

    Raises:
        ConfigError: one is not; names the nearest that is.
    """
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{name}: no such setting{hint}")


def check_programs(settings: Settings) -> None:
    """Check that what the stack starts is installed.

    Raises:
        ConfigError: it is not; says what to run.
    """
    if not (CHECKOUT / "dags").is_dir():
        raise ConfigError(
            f"{CHECKOUT} has no dags/: `face-import up` runs from a checkout;"
            " the commands about imports work from here, with --url"
        )
    for module in ("airflow", "gunicorn", "supervisor"):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"{module} is not installed: run make setup")
    if embeds_services(settings) and not _is_program(settings.services_python):
        raise ConfigError(
            f"FACE_IMPORT_SERVICES_PYTHON: {settings.services_python} is not a program: run make setup,"
            " or set FACE_IMPORT_INFO_URL and FACE_IMPORT_LIBRARY_URL"
        )


def _check_ports(settings: Settings) -> None:
    taken: dict[int, str] = {}
    for variable, (host, port) in ports(settings).items():
        if port in taken:
            raise ConfigError(f"{variable}: {port} is {taken[port]} already")
        taken[port] = variable
        check_port(variable, host, port)


def check_port(variable: str, host: str, port: int) -> None:
    """Check that a port is free.

    Raises:
        ConfigError: it is not; names its variable, and who listens there if that may be known.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"{variable}: port {port} is in use{_user_of(port)}") from None
            raise ConfigError(f"{variable}: cannot listen on {host}:{port}: {error.strerror}") from None


def listeners(port: int) -> list[int]:
    """The processes that listen on a port, as far as this user may know."""
    with suppress(psutil.Error, PermissionError):
        return [
            connection.pid
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr[1] == port
            and connection.pid
        ]
    return []


def _user_of(port: int) -> str:
    with suppress(psutil.Error):
        for pid in listeners(port):
            return f" by {psutil.Process(pid).name()} (process {pid})"
    return ""


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
