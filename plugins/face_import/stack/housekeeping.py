"""What Airflow leaves behind in a home and never removes."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from face_import.stack.layout import Layout

KEEP_DAYS = 7


def remove_old_logs(layout: Layout) -> None:
    """Remove the DAG processor's logs of days long past: it has a folder for each, and a line for each look at a file.

    Logs of task instances stay: they belong to the history that Airflow's pages show.
    """
    first_kept = f"{datetime.now(UTC) - timedelta(days=KEEP_DAYS):%Y-%m-%d}"
    for folder in layout.dag_processor_logs.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"):
        if folder.name < first_kept:
            with suppress(OSError):
                shutil.rmtree(folder)
