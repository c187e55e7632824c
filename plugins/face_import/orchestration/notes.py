"""Writes what an import is and what became of it into the note of its Airflow run, on Airflow's own session."""

from datetime import UTC, datetime
from typing import cast

from airflow.models.dagrun import DagRun, DagRunNote
from sqlalchemy import Table, or_
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from face_import.catalogue import Catalogue
from face_import.domain import notes
from face_import.domain.identity import task_id_of_run

NOTES = cast("Table", DagRunNote.__table__)


def note_opening(session: Session, dag_run: DagRun, group: str, source: str) -> None:
    """Say what a run imports, if nothing is said yet or the run was stopped before."""
    _write(session, dag_run, notes.opening(group, source), instead_of=f"{group}: stopped.")


def note_result(session: Session, dag_run: DagRun, catalogue: Catalogue) -> None:
    """Say what became of the import; a note that somebody wrote by hand stays."""
    task = catalogue.tasks.peek(task_id_of_run(dag_run.run_id))
    if task is None or task.deleted_at is not None:
        return
    by_code = catalogue.ledger.progress(task.id).by_code
    group = task.config.group_name
    changes = catalogue.ledger.changes(task.id) if task.config.entry else None
    said = notes.result(group, task.state, task.last_error, by_code, changes)
    _write(session, dag_run, said, instead_of=f"{group}: ")


def _write(session: Session, dag_run: DagRun, content: str, *, instead_of: str) -> None:
    """Insert or replace: one Core statement, since a listener may neither flush objects nor set savepoints."""
    dialect = {"postgresql": postgresql, "sqlite": sqlite}.get(session.get_bind().dialect.name, mysql)
    said = NOTES.c.content
    ours = or_(said.is_(None), said == "", said.startswith(instead_of, autoescape=True))
    session.execute(
        dialect.insert(NOTES)
        .values(dag_run_id=dag_run.id, content=content)
        .on_conflict_do_update(
            index_elements=["dag_run_id"], set_={"content": content, "updated_at": datetime.now(UTC)}, where=ours
        )
    )
