"""Old logs of the DAG processor go; nothing else does."""

from datetime import UTC, datetime, timedelta

from face_import.stack.housekeeping import KEEP_DAYS, remove_old_logs
from face_import.stack.layout import Layout


def test_only_days_long_past_are_removed(layout: Layout) -> None:
    """Not the last week, not what is named otherwise, not the logs of task instances."""
    today = datetime.now(UTC)
    kept = [f"{today - timedelta(days=days):%Y-%m-%d}" for days in (0, KEEP_DAYS - 1)]
    old = [f"{today - timedelta(days=days):%Y-%m-%d}" for days in (KEEP_DAYS + 1, 400)]
    for name in (*kept, *old, "1999-old"):
        folder = layout.dag_processor_logs / name / "dags-folder"
        folder.mkdir(parents=True)
        (folder / "face_import_dag.py.log").write_text("{}")
    (layout.dag_processor_logs / "latest").symlink_to(kept[0])
    run = layout.airflow_home / "logs" / "dag_id=face_import" / "1999-01-01"
    run.mkdir(parents=True)
    remove_old_logs(layout)
    assert {path.name for path in layout.dag_processor_logs.iterdir()} == {*kept, "1999-old", "latest"}
    assert run.is_dir()


def test_a_home_without_logs_is_no_error(layout: Layout) -> None:
    """The guard starts before Airflow writes any."""
    remove_old_logs(layout)
    assert not layout.dag_processor_logs.exists()
