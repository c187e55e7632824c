"""The environment of the stack's processes: Airflow's settings and ours (docs/reference/settings.md).

Airflow gets its settings here and its secrets from `airflow.cfg` (`credentials`), so that no secret that we create is
in an environment, and none at all in an argument list. A password in a URL remains in the environment that it came in.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from face_import.settings import CHECKOUT, Settings, sqlite_url
from face_import.stack.layout import ADMIN_USER, STACK_VARIABLE, Layout
from face_import.stack.quoting import airflow_url
from face_import.stack.workers import celery_settings

_NOT_INHERITED = (
    *("AIRFLOW", "CELERY_", "FLASK_", "GUNICORN_", "PYTHON", "SUPERVISOR_", "UVICORN_", "VIRTUAL_ENV"),
    *("FORWARDED_ALLOW_IPS", "LISTEN_", "NOTIFY_SOCKET", "SCRIPT_NAME", "SENDFILE", "WEB_CONCURRENCY"),
    *("FACE_IMPORT_API_KEY", STACK_VARIABLE),
)
"""Prefixes of variables of the caller's shell that would change the processes' behaviour, or that are secret.

The variable of the server's key file has the prefix of the caller's key; it is set again below, as an absolute path.
"""
_PROXY, _OURS = "_proxy", "FACE_IMPORT_"

_LIVELINESS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "1000",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
}
"""A run starts at once, with as many shards as its pool allows (design decision 6)."""

_RESILIENCE = {
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "30",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
}
"""Tasks survive an api-server that is unavailable for a minute; a dead task is detected within one."""

_CHATTY = (
    *("http.access", "airflow.dag_processing.manager"),
    *("airflow.models.dag", "airflow.serialization.definitions.dag"),
)
"""Loggers of Airflow with lines for each request, and for each DAG file every few seconds: 30 MB a day."""

_QUIET = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default queries DNS, which may be unavailable
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
}


def stack_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """Environment of the stack's processes.

    Args:
        settings: as resolved by the calling command.
        layout: where the stack lives.

    Returns:
        the caller's variables except those that would interfere, then ours. Contains no secret.
    """
    inherited = {name: value for name, value in os.environ.items() if _is_inherited(name)}
    return {
        **inherited,
        "FACE_SERVICES_MAX_PIXELS": inherited.get("FACE_SERVICES_MAX_PIXELS") or str(settings.max_image_pixels),
        **_face_import(settings, layout),
        **_processes(inherited, layout),
        **airflow_settings(settings, layout),
    }


def look_as_the_stack() -> None:
    """Remove from this process's environment what the stack's processes do not inherit."""
    for name in filter(lambda name: not _is_inherited(name), list(os.environ)):
        del os.environ[name]


def _is_inherited(name: str) -> bool:
    """Whether the stack's processes get a variable of the caller.

    Not a proxy's: Airflow's processes talk to each other on loopback, and a proxy of a kind that they do not know fails
    each of their requests. What reaches out has settings of its own.
    """
    if name.lower().endswith(_PROXY) and not name.startswith(_OURS):
        return False
    return not name.startswith(_NOT_INHERITED)


def airflow_settings(settings: Settings, layout: Layout) -> dict[str, str]:
    """Airflow's settings, as `AIRFLOW__SECTION__KEY` (names: config.yml of Airflow 3.3.2)."""
    url = settings.embedded_airflow
    home = layout.airflow_home
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__XCOM_BACKEND": "face_import.orchestration.dag.xcom.LedgerXCom",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN_USER}:admin,{settings.airflow_user}:op",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(layout.secrets / "airflow_users.json"),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(settings.worker_lost_s),
        # A scheduler that slept, or was kept waiting, for longer takes itself for dead and its tasks for lost.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": str(settings.worker_lost_s),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": settings.airflow_public_url or url,
        "AIRFLOW__LOGGING__JSON_LOGS": str(settings.log_format == "json"),
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": _levels(settings),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(layout.dag_processor_logs),
        **_database(settings, layout),
        **_executor(settings, layout),
        **_LIVELINESS,
        **_RESILIENCE,
        **_QUIET,
    }


def _levels(settings: Settings) -> str:
    """From which level Airflow's processes log what; our own lines as in our processes."""
    return " ".join((*(f"{name}=WARNING" for name in _CHATTY), f"face_import={settings.log_level}"))


def _database(settings: Settings, layout: Layout) -> dict[str, str]:
    """Airflow's own database."""
    if not settings.airflow_database_url:
        # Wait ten seconds for the write lock, more than SQLite's five, for a busy machine.
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{sqlite_url(layout.airflow_database)}?timeout=10"}
    url = airflow_url(settings.airflow_database_url)
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        # The default is asyncpg, which is not installed; psycopg supports both.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url,
    }


def _executor(settings: Settings, layout: Layout) -> dict[str, str]:
    """The executor: processes of the scheduler, or Celery's workers."""
    if settings.broker_url:
        return celery_settings(settings, layout)
    return {
        "AIRFLOW__CORE__EXECUTOR": "face_import.orchestration.executor.FairLocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(settings.executor_slots),
    }


def _face_import(settings: Settings, layout: Layout) -> dict[str, str]:
    """Our own settings that are paths, which the caller may have given relative to the working directory."""
    paths = {f"{_OURS}{name.upper()}": path for name, path in settings if isinstance(path, Path)}
    return {
        **{name: str(path) for name, path in paths.items()},
        STACK_VARIABLE: layout.stack_id,
        "FACE_IMPORT_HOME": str(layout.home),
        "FACE_SERVICES_DATABASE": str(layout.library),
    }


def _processes(inherited: dict[str, str], layout: Layout) -> dict[str, str]:
    """Python's settings: importable packages, UTF-8, unbuffered logs, temporary files in the home."""
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), inherited.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(str(CHECKOUT / part) for part in ("config", "plugins", ".")),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",  # whatever the caller's locale
        # Airflow 3.3.2 and FastAPI use names that pathspec and Starlette deprecate: a warning in every task's log.
        "PYTHONWARNINGS": "ignore:GitWildMatchPattern,ignore:Using `httpx`",
        "TMPDIR": str(layout.temporary),
        # setproctitle would overwrite the environment in /proc, which identifies the stack's processes.
        "SPT_NOENV": "1",
    }


def launch(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    *,
    folder: Path = CHECKOUT,
    new_session: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a program; files it creates are readable by its owner only.

    Args:
        command: program and arguments, no shell.
        environment: from `stack_environment`.
        output: receives both output streams.
        folder: working directory.
        new_session: shield it from Ctrl-C in the caller's terminal.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        command,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=new_session,
        umask=0o077,
    )
