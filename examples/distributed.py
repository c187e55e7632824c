"""Runs `face-import` with PostgreSQL, Redis and Celery workers on this machine.

    python -m examples.distributed up        make up-distributed
    python -m examples.distributed worker    an additional worker
    python -m examples.distributed down      make down-distributed

Both servers must be running. The home is `.face_import-distributed`; the databases are named after it, and created if
missing. Variables of the environment take precedence over the settings made here (docs/reference/settings.md).
"""

import os
import sys
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from face_import.stack.layout import Layout

CHECKOUT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("face-import")
POSTGRES_URL = os.environ.get("FACE_IMPORT_TEST_POSTGRES_URL", "postgresql+psycopg://127.0.0.1:5432/postgres")
"""A database of a server where databases may be created; the role defaults to the user's name."""
REDIS_URL = os.environ.get("FACE_IMPORT_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def main() -> None:
    """Execute `face-import` with the arguments of this command."""
    home = Path(os.environ.get("FACE_IMPORT_HOME", CHECKOUT / ".face_import-distributed"))
    airflow, catalogue = (f"face_import_{Layout.of(home).stack_id}_{part}" for part in ("airflow", "catalogue"))
    variables = {
        "FACE_IMPORT_HOME": str(home),
        "FACE_IMPORT_DATABASE_URL": database(catalogue),
        "FACE_IMPORT_AIRFLOW_DATABASE_URL": database(airflow),
        "FACE_IMPORT_BROKER_URL": REDIS_URL,
        "FACE_IMPORT_EXECUTOR_SLOTS": "4",
    }
    if "up" in sys.argv[1:]:
        create_databases(airflow, catalogue)
    os.execve(COMMAND, [str(COMMAND), *sys.argv[1:]], variables | os.environ)  # noqa: S606 - no shell wanted


def database(name: str) -> str:
    """URL of a database of the server."""
    return make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)


def create_databases(*names: str) -> None:
    """Create missing databases.

    Raises:
        SystemExit: the server is unavailable or does not allow it.
    """
    server = create_engine(POSTGRES_URL, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        with server.connect() as connection:
            there = set(connection.scalars(text("SELECT datname FROM pg_database")))
            for name in names:
                if name not in there:
                    connection.execute(text(f'CREATE DATABASE "{name}"'))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise SystemExit(f"face-import: FACE_IMPORT_TEST_POSTGRES_URL: {reason}") from None
    finally:
        server.dispose()


if __name__ == "__main__":
    main()
