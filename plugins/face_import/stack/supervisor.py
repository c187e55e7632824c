"""The programs of the embedded stack."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast
from xmlrpc.client import Error, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from face_import.private import write_private
from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import launch
from face_import.stack.layout import SUPERVISORD, Layout
from face_import.stack.processes import is_supervisord, members
from face_import.stack.quoting import supervisor_command
from face_import.stack.workers import worker_command

API_SERVER = "api-server"
CHECKOUT_VARIABLE = "FACE_IMPORT_CHECKOUT"
"""Names the programs' working directory in supervisord's environment; its file refers to it."""

_PYTHON = sys.executable
_OURS = (_PYTHON, "-m", "face_import.cli")
_AIRFLOW = (_PYTHON, "-m", "airflow")


class Sign(Enum):
    """How a program's health is checked."""

    RUNS = "it is running"
    ANSWERS = "it answers GET `url` with 200"
    BEATS = "Airflow's health report has a heartbeat younger than the process"
    PARSES = "as BEATS, and Airflow knows the import DAG"
    PONGS = "it answers Celery's ping"


@dataclass(frozen=True, slots=True)
class Program:
    """One program under supervisord.

    Attributes:
        late: started only after `stop-active`: it would resume imports that have to be stopped (design decision 13).
        sign: how its health is checked.
        url: URL for `Sign.ANSWERS`.
    """

    name: str
    command: tuple[str, ...]
    late: bool = False
    sign: Sign = Sign.RUNS
    url: str = ""


_LOGGER = "face_import.gunicorn_logs.Logger"
_SHIM = (
    *("--worker-class", "api_shim.worker.Worker", "--threads", "168"),
    *("--keep-alive", "75", "--graceful-timeout", "8"),
)
"""As many threads as `api_shim.slots` has slots, plus 16 for all other requests.

Idle connections are kept for longer than proxies keep them (nginx: 60 s), so that the proxy closes them and no POST
meets a closed one. Supervisord waits ten seconds before it kills.
"""


def programs(settings: Settings, *, owner: int | None = None) -> list[Program]:
    """All programs, in the order of `status`.

    Args:
        settings: with the ports, and the addresses of external face services.
        owner: see `processes.guard`.
    """
    airflow_url = f"{settings.embedded_airflow}/api/v2/version"
    owner_option = ("--owner", str(owner)) if owner else ()
    listed = [
        Program("guard", (*_OURS, "guard", *owner_option)),
        Program(API_SERVER, (*_AIRFLOW, "api-server"), sign=Sign.ANSWERS, url=airflow_url),
        # No log servers: logs are read from disk, and the ports of two stacks would collide.
        Program("scheduler", (*_AIRFLOW, "scheduler", "--skip-serve-logs"), late=True, sign=Sign.BEATS),
        Program("dag-processor", (*_AIRFLOW, "dag-processor"), sign=Sign.PARSES),
        Program("triggerer", (*_AIRFLOW, "triggerer", "--skip-serve-logs"), sign=Sign.BEATS),
        Program("keeper", (*_OURS, "keeper"), late=True),
        _gunicorn("shim", _PYTHON, f"{settings.bind}:{settings.port}", "face_console:create_app()", *_SHIM),
    ]
    if settings.broker_url:
        names = [f"worker-{number}" for number in range(1, settings.workers + 1)]
        listed += [Program(name, worker_command(settings, name), late=True, sign=Sign.PONGS) for name in names]
    if embeds_services(settings):
        address = f"127.0.0.1:{settings.services_port}"
        listed.append(
            _gunicorn(
                "services",
                _PYTHON,
                address,
                "face_services.app:create_app()",
                "--worker-class",
                "gthread",
                "-c",
                "python:face_services.gunicorn_conf",
            )
        )
    return listed


def embeds_services(settings: Settings) -> bool:
    """Whether at least one of the two face services is embedded."""
    return not (settings.info_url and settings.library_url)


def ports(settings: Settings) -> dict[str, tuple[str, int]]:
    """Host and port of each listening program, by the setting of the port."""
    bound = {
        "FACE_IMPORT_PORT": (settings.bind, settings.port),
        "FACE_IMPORT_AIRFLOW_PORT": ("127.0.0.1", settings.airflow_port),
    }
    if embeds_services(settings):
        bound["FACE_IMPORT_SERVICES_PORT"] = ("127.0.0.1", settings.services_port)
    return bound


def addresses(settings: Settings) -> dict[str, str]:
    """URLs for people, by name."""
    host = "127.0.0.1" if settings.bind in {"0.0.0.0", "::", ""} else settings.bind  # noqa: S104 - compared, not bound
    urls = {"API": f"http://{host}:{settings.port}", "Airflow": settings.airflow_api}
    if settings.info_service == settings.library_service:
        return {**urls, "face services": settings.info_service}
    return {
        **urls,
        "face info service": settings.info_service,
        "face library service": settings.library_service,
    }


def _gunicorn(name: str, python: str, bind: str, app: str, *options: str) -> Program:
    # One process: it mostly costs memory, and its threads mostly wait.
    command = (python, "-m", "gunicorn", "--bind", bind, "--workers", "1", "--logger-class", _LOGGER, *options)
    # X-Forwarded-* is believed of the proxies in our settings only (`api_shim.proxy`), not of any local process.
    more = ("--forwarded-allow-ips", "", "--no-control-socket", "--umask", "63", app)
    host, port = bind.rsplit(":", 1)
    reached = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound
    return Program(name, (*command, *more), sign=Sign.ANSWERS, url=f"http://{reached}:{port}/healthz")


_HEADER = """\
; Written by `face-import up` at every start.
[supervisord]
nodaemon = true
silent = true
logfile = ../logs/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = supervisord.pid
childlogdir = ../logs
{user}
[unix_http_server]
file = /proc/self/cwd/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
"""Supervisord's working directory is the home's `run`: a name in it has no path that could be too long for a socket, or
contain characters that mean something here."""

_PROGRAM = """
[program:{name}]
command = {command}
directory = %(ENV_{checkout})s
autostart = {autostart}
autorestart = true
startsecs = 2
startretries = 1000000
stopsignal = TERM
stopwaitsecs = 10
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = ../logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A program's state according to supervisord.

    Attributes:
        state: supervisord's own word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED, ...
        pid: 0 when there is no process.
        started: start time of the latest process, in seconds since the epoch; 0 if there was none.
    """

    name: str
    state: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.state in {"STARTING", "RUNNING"}


def render(listed: Sequence[Program]) -> str:
    """Supervisord's configuration; contains no secrets, since processes inherit the environment."""
    user = "" if os.getuid() else "user = root\n"  # explicit, or it warns at every start
    return _HEADER.format(user=user) + "".join(
        _PROGRAM.format(
            name=program.name,
            command=supervisor_command(program.command),
            checkout=CHECKOUT_VARIABLE,
            autostart=str(not program.late).lower(),
        )
        for program in listed
    )


def begin(layout: Layout, listed: Sequence[Program], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start supervisord in its own session, so that Ctrl-C reaches only the waiting command."""
    config = layout.run / "supervisord.conf"
    write_private(config, render(listed))
    with layout.log_of("supervisord-output").open("wb") as output:
        supervisord = (sys.executable, "-m", SUPERVISORD)
        options = ("--nodaemon", "--configuration", str(config))
        environment = {**environment, CHECKOUT_VARIABLE: str(CHECKOUT)}
        return launch((*supervisord, *options), environment, output, folder=layout.run, new_session=True)


def states(layout: Layout) -> dict[str, ProcessState] | None:
    """State of every program by name, or None if supervisord does not respond."""
    answer = _call(layout, lambda rpc: rpc.getAllProcessInfo())
    if answer is None:
        return _seen(layout)
    infos = cast("list[dict[str, Any]]", answer)
    return {info["name"]: ProcessState(info["name"], info["statename"], info["pid"], info["start"]) for info in infos}


def _seen(layout: Layout) -> dict[str, ProcessState] | None:
    """The running programs, for a supervisord whose socket somebody removed; None if there is none."""
    mine = members(layout.stack_id)
    if not any(map(is_supervisord, mine)):
        return None
    found = {}
    for process in mine:
        with suppress(psutil.Error):
            parent, name = process.parent(), process.environ().get("SUPERVISOR_PROCESS_NAME")
            if name and parent and is_supervisord(parent):
                found[name] = ProcessState(name, "RUNNING", process.pid, int(process.create_time()))
    return found


def start(layout: Layout, name: str) -> None:
    """Start a program unless it is running."""
    _call(layout, lambda rpc: rpc.startProcess(name, False))  # noqa: FBT003 - XML-RPC knows no keywords


def restart(layout: Layout, name: str) -> None:
    """End a program, as `down` does, and start it again."""
    _call(layout, lambda rpc: rpc.stopProcess(name))
    start(layout, name)


def kill(layout: Layout, name: str) -> None:
    """Kill a program's process, and no other of its group; supervisord starts it again."""
    state = (states(layout) or {}).get(name)
    if state and state.pid:
        with suppress(ProcessLookupError):
            os.kill(state.pid, signal.SIGKILL)


def _call(layout: Layout, method: Callable[[Any], object]) -> object | None:
    try:
        folder = os.open(layout.run, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    # By the open folder: the address of a socket has at most 107 bytes, and the home's path may have more.
    transport = SupervisorTransport(None, None, f"unix:///proc/self/fd/{folder}/{layout.socket.name}")
    try:
        return method(ServerProxy("http://supervisor", transport=transport).supervisor)
    except (OSError, Error):
        return None
    finally:
        transport.close()
        os.close(folder)
