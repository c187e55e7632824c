"""Runs `face-import` on a stack of separate parts on this machine: PostgreSQL, Redis, and Celery's workers.

    python -m examples.distributed up        make up-distributed
    python -m examples.distributed worker    one more worker
    python -m examples.distributed down      make down-distributed

Both servers run already. The home is `.face_import-distributed`, and the databases, made if they are missing, are named
for it. What is set here can be set otherwise in the environment, like everything else (docs/reference/settings.md).
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
"""A database of a server where more of them may be made; without a role in it, the user's own name is one."""
REDIS_URL = os.environ.get("FACE_IMPORT_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def main() -> None:
    """Become `face-import` with the arguments of this command."""
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
    """Make those that are missing.

    Raises:
        SystemExit: the server does not answer, or does not allow it; says so in a line.
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
