"""How our own processes log: one line an event, with time, level and logger."""

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure() -> None:
    """Log from INFO on to stderr; a process that logs already stays as it is (Airflow's, gunicorn's)."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    logging.getLogger("alembic").setLevel(logging.WARNING)
