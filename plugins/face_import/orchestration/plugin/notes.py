"""What an import leaves in Airflow's own records: the note of its run, and the asset of its group.

Both are written on Airflow's session, by Core statements only: a listener may neither flush objects nor set savepoints.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

from airflow.models.asset import AssetAliasModel, AssetModel, alias_association_table
from airflow.models.dagrun import DagRun, DagRunNote
from sqlalchemy import Table, or_, select
from sqlalchemy.orm import Session

from face_import.catalogue import Catalogue
from face_import.catalogue.engine import upsert_for
from face_import.contract import ASSET_ALIAS, GROUP_ASSET, TaskState
from face_import.domain.identity import task_id_of_run
from face_import.domain.models import Changes

NOTES = cast("Table", DagRunNote.__table__)


def note_opening(session: Session, dag_run: DagRun, group: str, source: str) -> None:
    """Say what a run imports, if nothing is said yet or the run was stopped before."""
    _write(session, dag_run, opening(group, source), instead_of=f"{group}: stopped.")


def note_result(session: Session, dag_run: DagRun, catalogue: Catalogue) -> None:
    """Say what became of the import; a note that somebody wrote by hand stays."""
    task = catalogue.tasks.peek(task_id_of_run(dag_run.run_id))
    if task is None or task.deleted_at is not None:
        return
    by_code = catalogue.ledger.progress(task.id).by_code
    group = task.config.group_name
    changes = catalogue.ledger.changes(task.id) if task.config.entry else None
    said = result(group, task.state, task.last_error, by_code, changes)
    _write(session, dag_run, said, instead_of=f"{group}: ")


def _write(session: Session, dag_run: DagRun, content: str, *, instead_of: str) -> None:
    """Insert or replace: one Core statement, since a listener may neither flush objects nor set savepoints."""
    upsert = upsert_for(session.get_bind().dialect)
    said = NOTES.c.content
    ours = or_(said.is_(None), said == "", said.startswith(instead_of, autoescape=True))
    session.execute(
        upsert(NOTES)
        .values(dag_run_id=dag_run.id, content=content)
        .on_conflict_do_update(
            index_elements=["dag_run_id"], set_={"content": content, "updated_at": datetime.now(UTC)}, where=ours
        )
    )


ASSETS = cast("Table", AssetModel.__table__)
ALIASES = cast("Table", AssetAliasModel.__table__)


def make_group_asset(session: Session, group: str) -> None:
    """Make the asset, and tie it to the alias, if that was not done before; two Core statements."""
    upsert = upsert_for(session.get_bind().dialect)
    uri = GROUP_ASSET.format(group=group)
    asset = upsert(ASSETS).values(name=uri, uri=uri, group="asset", extra={})
    session.execute(asset.on_conflict_do_nothing())
    both = ALIASES.join(ASSETS, (ASSETS.c.name == uri) & (ASSETS.c.uri == uri))
    pairs = select(ALIASES.c.id, ASSETS.c.id).select_from(both).where(ALIASES.c.name == ASSET_ALIAS)
    tie = upsert(alias_association_table).from_select(["alias_id", "asset_id"], pairs)
    session.execute(tie.on_conflict_do_nothing())


LONGEST = 1000
"""Characters that Airflow keeps of a note."""


def opening(group: str, source: str) -> str:
    """The note of an import that is under way."""
    return f"{group}: {source}"[:LONGEST]


def result(
    group: str, state: TaskState, last_error: str, by_code: dict[int, int], changes: Changes | None = None
) -> str:
    """The note of an import whose run has ended.

    Args:
        group: the face group.
        state: the task's state; anything but completed counts as stopped.
        last_error: why it was stopped, empty if somebody did it on purpose.
        by_code: rows by code. Not told of a stopped import: its last rows may still be on their way.
        changes: rows by change, if only changes were imported.
    """
    if state != TaskState.COMPLETED:
        return f"{group}: stopped. {last_error}".rstrip()[:LONGEST]
    rows = sum(by_code.values())
    failures = {code: count for code, count in by_code.items() if code}
    told = "" if changes is None else "; " + ", ".join(f"{count} {what}" for what, count in asdict(changes).items())
    if not failures:
        return f"{group}: {rows} of {rows} imported{told}"
    often = sorted(failures.items(), key=lambda failure: (-failure[1], failure[0]))
    codes = ", ".join(f"{code} x{count}" for code, count in often)
    failed = sum(failures.values())
    return f"{group}: {rows - failed} of {rows} imported, {failed} failed ({codes}){told}"
