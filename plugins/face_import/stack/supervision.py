"""Supervisord: its configuration, its start, and its XML-RPC interface on a Unix socket."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from xmlrpc.client import Error, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from face_import.settings import CHECKOUT
from face_import.stack.credentials import write_private
from face_import.stack.launcher import launch
from face_import.stack.layout import Layout
from face_import.stack.programs import Program

_HEADER = """\
; Written by `face-import up` at every start.
[supervisord]
nodaemon = true
silent = true
directory = {checkout}
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {run}/supervisord.pid
childlogdir = {logs}
{user}
[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command = {command}
autostart = {autostart}
autorestart = true
startsecs = 2
startretries = 100
stopsignal = TERM
stopwaitsecs = 10
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What supervisord knows of a program.

    Attributes:
        state: supervisord's own word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED, ...
        pid: 0 when there is no process.
        started: when the latest process began, in seconds of the Unix epoch; 0 if none ever did.
    """

    name: str
    state: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.state in {"STARTING", "RUNNING"}


def render(layout: Layout, listed: Sequence[Program]) -> str:
    """Supervisord's configuration; holds no secret and no environment, which processes inherit."""
    header = _HEADER.format(
        checkout=_value(CHECKOUT),
        logs=_value(layout.logs),
        run=_value(layout.run),
        socket=_value(layout.socket),
        user="" if os.getuid() else "user = root\n",  # said outright, or it warns at every start
    )
    return header + "".join(
        _PROGRAM.format(
            name=program.name,
            command=_value(shlex.join(program.command)),
            autostart=str(not program.late).lower(),
            log=_value(layout.log_of(program.name)),
        )
        for program in listed
    )


def begin(layout: Layout, listed: Sequence[Program], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start supervisord in a session of its own, so that a Ctrl-C reaches only the command that waits."""
    config = layout.run / "supervisord.conf"
    write_private(config, render(layout, listed))
    with layout.log_of("supervisord-output").open("wb") as output:
        supervisord = (sys.executable, "-m", "supervisor.supervisord")
        options = ("--nodaemon", "--configuration", str(config))
        return launch((*supervisord, *options), environment, output, new_session=True)


def states(layout: Layout) -> dict[str, ProcessState] | None:
    """State of every program by name, or None when no supervisord answers."""
    answer = _call(layout, lambda rpc: rpc.getAllProcessInfo())
    if answer is None:
        return None
    infos = cast("list[dict[str, Any]]", answer)
    return {info["name"]: ProcessState(info["name"], info["statename"], info["pid"], info["start"]) for info in infos}


def start(layout: Layout, name: str) -> None:
    """Start a program that does not run; one that does is left alone."""
    _call(layout, lambda rpc: rpc.startProcess(name, False))  # noqa: FBT003 - XML-RPC knows no keywords


def _call(layout: Layout, method: Callable[[Any], object]) -> object | None:
    transport = SupervisorTransport(None, None, f"unix://{layout.socket}")
    try:
        return method(ServerProxy("http://supervisor", transport=transport).supervisor)
    except (OSError, Error):
        return None
    finally:
        transport.close()


def _value(text: object) -> str:
    """A value in supervisord's file, where `%` begins an expansion."""
    return str(text).replace("%", "%%")
