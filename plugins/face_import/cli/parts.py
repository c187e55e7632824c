"""The parts of the stack that run as processes of their own, and Airflow's command."""

import os
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.terminal import output
from face_import.errors import ConfigError
from face_import.settings import get_settings
from face_import.stack.checks import check_servers, require
from face_import.stack.credentials import create_credentials
from face_import.stack.environment import stack_environment
from face_import.stack.layout import STACK_VARIABLE, Layout
from face_import.stack.processes import guard as watch
from face_import.stack.workers import worker_command


def migrate() -> None:
    """Bring the catalogue's database to this release."""
    from face_import import catalogue  # noqa: PLC0415 - slow to import, and only this command needs it

    catalogue.migrate()


def credentials() -> None:
    """Make this home's secrets: Airflow's keys and the passwords of its two users, unless they are there."""
    settings = get_settings()
    layout = Layout.of(settings.home)
    layout.create()
    create_credentials(settings, layout)


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command on this home's Airflow: `face-import airflow dags list`."""
    settings = get_settings()
    environment = stack_environment(settings, Layout.of(settings.home))
    del environment[STACK_VARIABLE]  # a person's command is not the stack's to end
    os.execve(sys.executable, [sys.executable, "-P", "-m", "airflow", *context.args], environment)  # noqa: S606 - no shell wanted


def worker(
    *,
    slots: Annotated[
        int | None, typer.Option(min=1, max=512, help="Task instances at once; instead of FACE_IMPORT_EXECUTOR_SLOTS.")
    ] = None,
) -> None:
    """Run one more worker of this home's stack; Ctrl-C ends it when its shards are done, `down` at once."""
    settings = get_settings()
    if not settings.broker_url:
        raise ConfigError("FACE_IMPORT_BROKER_URL: not set; without a broker the scheduler's own processes do the work")
    require(check_servers(settings))
    command = worker_command(settings, f"worker-{os.getpid()}", slots=slots)
    os.execve(sys.executable, command, stack_environment(settings, Layout.of(settings.home)))  # noqa: S606 - no shell wanted


def keeper() -> None:
    """Repair what was missed, for ever: the catalogue's tasks and Airflow's runs (design decision 2)."""
    from face_import import keeper as loop  # noqa: PLC0415 - the same

    loop.run()


def prune(
    *,
    days: Annotated[int | None, typer.Option(min=1, help="Instead of FACE_IMPORT_RETENTION_DAYS.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which.")] = False,
) -> None:
    """Delete imports that were completed or stopped so many days ago, with their sources; the keeper removes them."""
    from face_import.catalogue import get_catalogue  # noqa: PLC0415 - the same
    from face_import.keeper import DAY_S  # noqa: PLC0415 - the same

    if not (kept := days or get_settings().retention_days):
        raise ConfigError("FACE_IMPORT_RETENTION_DAYS is 0, which keeps everything: give --days")
    tasks = get_catalogue().tasks
    if not dry_run:
        output.print(f"deleted {len(tasks.bury_expired(kept * DAY_S))} imports")
        return
    table = Table("import", "group", "state", "since")
    for task in tasks.expired(kept * DAY_S):
        ended = datetime.fromtimestamp(task.finished_at or task.stopped_at or 0, UTC)
        table.add_row(task.id, task.config.group_name, task.state.name.lower(), f"{ended:%Y-%m-%d}")
    output.print(table)


def stop_active() -> None:
    """Set every running import to stopped; run before the scheduler when a whole stack starts."""
    from face_import import control  # noqa: PLC0415 - the same

    control.stop_active()


def guard(
    *, owner: Annotated[int | None, typer.Option(help="End the stack when this process ends, too.")] = None
) -> None:
    """End the stack when its supervisor dies; started by supervisord."""
    watch(Layout.of(get_settings().home).stack_id, owner=owner)
