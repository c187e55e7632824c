"""Commands for this machine: up, down, status, doctor, keys; the stack's processes, migrations, and `airflow`."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from face_import.audit import audit_command
from face_import.cli.options import flag
from face_import.cli.terminal import FAILURE, INTERRUPTED, NOT_RUNNING, stderr, stdout
from face_import.contract import Notice
from face_import.domain.limits import check_group_name
from face_import.errors import ConfigError, StackError
from face_import.keys import KeyFile
from face_import.settings import get_settings
from face_import.space import shortage
from face_import.stack.checks import Level, check_servers, require
from face_import.stack.ending import unexpected_end
from face_import.stack.environment import look_as_the_stack, stack_environment
from face_import.stack.health import dag_is_paused, database_is_full, problems
from face_import.stack.layout import ADMIN_USER, STACK_VARIABLE, Layout, admin_password_file, create_credentials
from face_import.stack.lifecycle import Stack
from face_import.stack.processes import guard as watch
from face_import.stack.revival import revival_of
from face_import.stack.supervisor import ProcessState, addresses, programs, states
from face_import.stack.workers import worker_command

keys = typer.Typer(no_args_is_help=True, help="API keys: add, list, revoke.")
_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def up(*, detach: Annotated[bool, flag("--detach", "Return once everything is healthy.")] = False) -> None:
    """Start the stack, in the foreground until Ctrl-C, or detached."""
    # A shell script's background commands start with Ctrl-C ignored; SIGHUP stays ignored under nohup.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    stack = Stack(get_settings())
    try:
        with stderr.status("starting") as status:
            supervisor = stack.up(foreground=not detach, tell=lambda text: status.update(escape(text)))
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
    """Show the stack's processes; exit status 0 if all are healthy and have room, 3 if not running, else 1."""
    stack = Stack(get_settings())
    running = states(stack.layout)
    if running is None:
        stdout.print("not running")
        if end := unexpected_end(stack.layout):
            stdout.print(f"{end}; start it with face-import up, then resume its imports", markup=False)
        raise SystemExit(NOT_RUNNING)
    listed = programs(stack.settings)
    found = problems(stack.settings, listed, running)
    table = Table("process", "state", "pid", "uptime", "health")
    for program in listed:
        problem = found.get(program.name)
        table.add_row(program.name, *_facts(running.get(program.name)), f"[red]{problem}" if problem else "[green]ok")
    stdout.print(table)
    if dag_is_paused(stack.settings):
        stdout.print(Notice.DAG_PAUSED, markup=False)
    if trouble := shortage(stack.settings):
        stdout.print(f"{trouble}: uploads are refused and rows wait until there is room", markup=False)
    if full := database_is_full(stack.settings):
        stdout.print(Notice.DATABASE_FULL, markup=False)
    if found or trouble or full:
        raise SystemExit(FAILURE)


def doctor() -> None:
    """Diagnose this machine, its settings and the stack; exit status 1 if there is a problem."""
    from face_import.stack.doctor import examine  # noqa: PLC0415 - the database's packages are slow to import

    look_as_the_stack()
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


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Owner of the key.")],
    group: Annotated[list[str] | None, typer.Option(help="Group to give access to; repeatable. Default: all.")] = None,
) -> None:
    """Create a key and print it. It cannot be shown again: only its hash is stored."""
    settings = get_settings()
    for one in group or ():
        check_group_name(one, settings)
    text = KeyFile.of(settings).add(name, tuple(group) if group else None)
    audit_command(settings, "add_key", key=name, groups=", ".join(group or ("all",)))
    stdout.print(text, markup=False)


@keys.command("list")
def list_keys() -> None:
    """List the keys with their groups."""
    table = Table("key", "groups", "created")
    for name, key in KeyFile.of(get_settings()).read().items():
        table.add_row(name, "all" if key.groups is None else ", ".join(key.groups), key.created_at)
    stdout.print(table)


@keys.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(help="Owner of the key.")]) -> None:
    """Revoke a key."""
    settings = get_settings()
    KeyFile.of(settings).revoke(name)
    audit_command(settings, "revoke_key", key=name)
    stdout.print(f"revoked {name}", markup=False)


def migrate() -> None:
    """Migrate the catalogue's database to this release."""
    from face_import import catalogue  # noqa: PLC0415 - slow to import, and only this command needs it

    catalogue.migrate()


def credentials() -> None:
    """Create this home's missing secrets: Airflow's keys, its two users' passwords, and the callbacks' secret."""
    settings = get_settings()
    layout = Layout.of(settings.home)
    layout.create()
    create_credentials(settings, layout)


def airflow(context: typer.Context) -> None:
    """Run an Airflow command in this home, e.g. `face-import airflow dags list`."""
    settings = get_settings()
    environment = stack_environment(settings, Layout.of(settings.home))
    del environment[STACK_VARIABLE]  # the stack must not end a user's command
    os.execve(sys.executable, [sys.executable, "-P", "-m", "airflow", *context.args], environment)  # noqa: S606 - no shell wanted


def worker(
    *,
    slots: Annotated[
        int | None, typer.Option(min=1, max=512, help="Parallel task instances; overrides FACE_IMPORT_EXECUTOR_SLOTS.")
    ] = None,
) -> None:
    """Run an additional Celery worker for this home's stack.

    Ctrl-C ends it after its current shards, `face-import down` immediately.
    """
    settings = get_settings()
    if not settings.broker_url:
        raise ConfigError("FACE_IMPORT_BROKER_URL: not set; workers need a broker")
    require(check_servers(settings))
    command = worker_command(settings, f"worker-{os.getpid()}", slots=slots)
    os.execve(sys.executable, command, stack_environment(settings, Layout.of(settings.home)))  # noqa: S606 - no shell wanted


def keeper() -> None:
    """Run the keeper, which reconciles the catalogue's tasks with Airflow's runs."""
    from face_import import keeper as loop  # noqa: PLC0415 - slow to import

    settings = get_settings()
    loop.run(revival_of(settings, Layout.of(settings.home)))


def prune(
    *,
    days: Annotated[int | None, typer.Option(min=1, help="Overrides FACE_IMPORT_RETENTION_DAYS.")] = None,
    dry_run: Annotated[bool, flag("--dry-run", "Only list them.")] = False,
) -> None:
    """Delete imports completed or stopped at least FACE_IMPORT_RETENTION_DAYS days ago, with their sources.

    They disappear at once; the keeper then removes their data.
    """
    from face_import.catalogue import get_catalogue  # noqa: PLC0415 - slow to import
    from face_import.keeper import DAY_S  # noqa: PLC0415 - slow to import

    settings = get_settings()
    if not (kept := days or settings.retention_days):
        raise ConfigError("FACE_IMPORT_RETENTION_DAYS is 0 (keep everything): pass --days")
    tasks = get_catalogue().tasks
    if not dry_run:
        deleted = tasks.mark_expired_deleted(kept * DAY_S)
        for task_id in deleted:
            audit_command(settings, "delete", task_id, reason=f"pruned: ended at least {kept} days ago")
        stdout.print(f"deleted {len(deleted)} imports")
        return
    table = Table("import", "group", "state", "since")
    for task in tasks.expired(kept * DAY_S):
        ended = datetime.fromtimestamp(task.finished_at or task.stopped_at or 0, UTC)
        table.add_row(task.id, task.config.group_name, task.state.name.lower(), f"{ended:%Y-%m-%d}")
    stdout.print(table)


def stop_active() -> None:
    """Set every running import to stopped; run before the scheduler starts."""
    from face_import import control  # noqa: PLC0415 - slow to import

    end = unexpected_end(Layout.of(get_settings().home))
    control.stop_active(
        f"Face import was restarted after an unexpected end ({end})" if end else "Face import was restarted"
    )


def guard(
    *, owner: Annotated[int | None, typer.Option(help="Also end the stack when this process ends.")] = None
) -> None:
    """End the stack when its supervisor dies; started by supervisord."""
    watch(Layout.of(get_settings().home), owner=owner)
