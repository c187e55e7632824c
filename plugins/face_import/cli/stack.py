"""Commands for this machine's stack: up, down, status, doctor."""

import signal
import subprocess
import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.terminal import FAILURE, INTERRUPTED, NOT_RUNNING, stderr, stdout
from face_import.errors import StackError
from face_import.settings import get_settings
from face_import.stack.checks import Level
from face_import.stack.credentials import admin_password_file
from face_import.stack.environment import ADMIN_USER
from face_import.stack.health import problems
from face_import.stack.lifecycle import Stack
from face_import.stack.supervisor import ProcessState, addresses, programs, states

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def up(*, detach: Annotated[bool, typer.Option("--detach", help="Return once everything is healthy.")] = False) -> None:
    """Start the stack, in the foreground until Ctrl-C, or detached."""
    # A shell script's background commands start with Ctrl-C ignored; SIGHUP stays ignored under nohup.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    stack = Stack(get_settings())
    try:
        with stderr.status("starting"):
            supervisor = stack.up(foreground=not detach)
        _print_addresses(stack)
        if supervisor and not detach:
            _hold(stack, supervisor)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def down() -> None:
    """Stop all processes of this home's stack."""
    ended = Stack(get_settings()).down()
    stdout.print(f"stopped {ended} processes" if ended else "not running")


def status() -> None:
    """Show the stack's processes; exit status 0 if all are healthy, 3 if not running, else 1."""
    stack = Stack(get_settings())
    running = states(stack.layout)
    if running is None:
        stdout.print("not running")
        raise SystemExit(NOT_RUNNING)
    listed = programs(stack.settings)
    found = problems(stack.settings, listed, running)
    table = Table("process", "state", "pid", "uptime", "health")
    for program in listed:
        problem = found.get(program.name)
        table.add_row(program.name, *_facts(running.get(program.name)), f"[red]{problem}" if problem else "[green]ok")
    stdout.print(table)
    if found:
        raise SystemExit(FAILURE)


def doctor() -> None:
    """Diagnose this machine, its settings and the stack; exit status 1 if there is a problem."""
    from face_import.stack.doctor import examine  # noqa: PLC0415 - the database's packages are slow to import

    worst = False
    for finding in examine():
        stdout.print(f"[{_STYLES[finding.level]}]{finding.level:8}[/] {finding.subject:17} ", end="")
        stdout.print(finding.text + (f": {finding.advice}" if finding.advice else ""), markup=False)
        worst = worst or finding.level is Level.PROBLEM
    if worst:
        raise SystemExit(FAILURE)


def _hold(stack: Stack, supervisor: "subprocess.Popen[bytes]") -> None:
    """Wait for Ctrl-C, or for `face-import down` elsewhere, then stop the stack."""
    stdout.print("Press Ctrl-C to stop.")
    try:
        code = supervisor.wait()
    except KeyboardInterrupt:
        stdout.print("stopping")
        code = 0
    stack.down()
    if code != 0:
        raise StackError(f"the supervisor exited with code {code}; the stack is down")


def _print_addresses(stack: Stack) -> None:
    for name, url in addresses(stack.settings).items():
        stdout.print(f"{name + ':':22} {url}", markup=False)
    stdout.print(f"{'Airflow user:':22} {ADMIN_USER}, password in {admin_password_file(stack.layout)}", markup=False)


def _facts(state: ProcessState | None) -> tuple[str, str, str]:
    """State, process id and uptime, as shown."""
    if state is None or not state.alive:
        return (state.state.lower() if state else "missing", "", "")
    return state.state.lower(), str(state.pid), str(timedelta(seconds=int(time.time()) - state.started))
