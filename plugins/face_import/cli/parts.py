"""The parts of the stack that run as processes of their own, and Airflow's command."""

import os
import sys
from typing import Annotated

import typer

from face_import.settings import get_settings
from face_import.stack.credentials import create_credentials
from face_import.stack.environment import stack_environment
from face_import.stack.guard import guard as watch
from face_import.stack.layout import STACK_VARIABLE, Layout


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
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *context.args], environment)  # noqa: S606 - no shell wanted


def keeper() -> None:
    """Repair what was missed, for ever: the catalogue's tasks and Airflow's runs (design decision 2)."""
    from face_import import keeper as loop  # noqa: PLC0415 - the same

    loop.run()


def stop_active() -> None:
    """Set every running import to stopped; run before the scheduler when a whole stack starts."""
    from face_import import control  # noqa: PLC0415 - the same

    control.stop_active()


def guard(
    *, owner: Annotated[int | None, typer.Option(help="End the stack when this process ends, too.")] = None
) -> None:
    """End the stack when its supervisor dies; started by supervisord."""
    watch(Layout.of(get_settings().home).stack_id, owner=owner)
