"""Preparation before the first process starts: secrets and migrations."""

import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version

from face_import.errors import StackError
from face_import.private import write_private
from face_import.settings import Settings
from face_import.stack.credentials import create_credentials
from face_import.stack.environment import launch
from face_import.stack.layout import Layout


def prepare(settings: Settings, layout: Layout, environment: Mapping[str, str]) -> None:
    """Create secrets and migrate both databases to this release, in parallel.

    Airflow's migration takes seconds even if there is nothing to do, so the resulting revision is stored.

    Raises:
        StackError: a migration failed; contains the end of its output.
    """
    create_credentials(settings, layout)
    steps: dict[str, Sequence[str]] = {"migrate-catalogue": (sys.executable, "-m", "face_import.cli", "migrate")}
    noted, url = layout.airflow_home / "migrated-to", environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if not (noted.exists() and noted.read_text() == _migrated_to(url)):
        steps["migrate-airflow"] = [sys.executable, "-m", "airflow", "db", "migrate"]
    run_steps(layout, environment, steps)
    if not settings.airflow_database_url:
        _use_wal(layout)
    write_private(noted, _migrated_to(url))


def run_steps(layout: Layout, environment: Mapping[str, str], steps: Mapping[str, Sequence[str]]) -> None:
    """Run commands in parallel, each with its own log.

    Raises:
        StackError: one of them failed; contains the end of its output.
    """
    running = {}
    for name, command in steps.items():
        with layout.log_of(name).open("wb") as output:
            running[name] = launch(command, environment, output)
    failed = [name for name, process in running.items() if process.wait() != 0]
    if failed:
        raise StackError(f"{failed[0]} failed\n{tail(layout, failed[0])}")


def tail(layout: Layout, program: str, *, lines: int = 15) -> str:
    """The last lines of a program's log, with its path."""
    path = layout.log_of(program)
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    return "\n".join(["  " + line for line in text.splitlines()[-lines:]] + [f"  ({path})"])


def _migrated_to(url: str) -> str:
    """Airflow's release and its database's revision."""
    from face_import.catalogue.engine import revision  # noqa: PLC0415 - the database's packages are slow to import

    return f"{version('apache-airflow-core')} {revision(url)}"


def _use_wal(layout: Layout) -> None:
    """Let readers and the writer of Airflow's database work concurrently; the mode is stored in the file."""
    with closing(sqlite3.connect(layout.airflow_database)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StackError(f"{layout.airflow_database}: this file system does not support SQLite's WAL (mode {mode})")
