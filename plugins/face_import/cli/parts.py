"""Commands behind the stack: its processes, maintenance, and Airflow's own command."""

import os
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.terminal import stdout
from face_import.errors import ConfigError
from face_import.settings import get_settings
from face_import.stack.checks import check_servers, require
from face_import.stack.credentials import create_credentials
from face_import.stack.environment import stack_environment
from face_import.stack.layout import STACK_VARIABLE, Layout
from face_import.stack.processes import guard as watch
from face_import.stack.workers import worker_command


def migrate() -> None:
    """Migrate the catalogue's database to this release."""
    from face_import import catalogue  # noqa: PLC0415 - slow to import, and only this command needs it

    catalogue.migrate()


def credentials() -> None:
    """Create this home's missing secrets: Airflow's keys and the passwords of its two users."""
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
    from face_import import keeper as loop  # noqa: PLC0415 - the same

    loop.run()


def prune(
    *,
    days: Annotated[int | None, typer.Option(min=1, help="Overrides FACE_IMPORT_RETENTION_DAYS.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
) -> None:
    """Delete imports completed or stopped at least FACE_IMPORT_RETENTION_DAYS days ago, with their sources.

    They disappear at once; the keeper then removes their data.
    """
    from face_import.catalogue import get_catalogue  # noqa: PLC0415 - the same
    from face_import.keeper import DAY_S  # noqa: PLC0415 - the same

    if not (kept := days or get_settings().retention_days):
        raise ConfigError("FACE_IMPORT_RETENTION_DAYS is 0 (keep everything): pass --days")
    tasks = get_catalogue().tasks
    if not dry_run:
        stdout.print(f"deleted {len(tasks.mark_expired_deleted(kept * DAY_S))} imports")
        return
    table = Table("import", "group", "state", "since")
    for task in tasks.expired(kept * DAY_S):
        ended = datetime.fromtimestamp(task.finished_at or task.stopped_at or 0, UTC)
        table.add_row(task.id, task.config.group_name, task.state.name.lower(), f"{ended:%Y-%m-%d}")
    stdout.print(table)


def stop_active() -> None:
    """Set every running import to stopped; run before the scheduler starts."""
    from face_import import control  # noqa: PLC0415 - the same

    control.stop_active()


def guard(
    *, owner: Annotated[int | None, typer.Option(help="Also end the stack when this process ends.")] = None
) -> None:
    """End the stack when its supervisor dies; started by supervisord."""
    watch(Layout.of(get_settings().home).stack_id, owner=owner)
