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
from face_import.contract import ASSET_ALIAS, GROUP_ASSET, MEANINGS, Code, TaskState
from face_import.domain.failures import completed
from face_import.domain.identity import task_id_of_run
from face_import.domain.models import Changes
from face_import.domain.notes import LONGEST, opening

NOTES = cast("Table", DagRunNote.__table__)
ASSETS = cast("Table", AssetModel.__table__)
ALIASES = cast("Table", AssetAliasModel.__table__)


def result(  # noqa: PLR0913, PLR0917 - all that a note says
    group: str,
    state: TaskState,
    last_error: str,
    by_code: dict[int, int],
    changes: Changes | None = None,
    success: str = MEANINGS[Code.OK],
) -> str:
    """The note of an import whose run has ended.

    Args:
        group: the face group.
        state: the task's state; anything but completed counts as stopped.
        last_error: why it was stopped, empty if somebody did it on purpose.
        by_code: rows by code. Left out if the import was stopped: its last rows may not be counted yet.
        changes: rows by change, if only changes were imported.
        success: what code 0 means.
    """
    if state != TaskState.COMPLETED:
        return f"{group}: stopped. {last_error}".rstrip()[:LONGEST]
    rows = sum(by_code.values())
    failures = {code: count for code, count in by_code.items() if code}
    by_change = ""
    if changes is not None:
        by_change = "; " + ", ".join(f"{count} {change}" for change, count in asdict(changes).items())
    if not failures:
        return f"{group}: {rows} of {rows} {success}{by_change}"
    often = sorted(failures.items(), key=lambda failure: (-failure[1], failure[0]))
    codes = ", ".join(f"{code} x{count}" for code, count in often)
    failed = sum(failures.values())
    return f"{group}: {completed(failed)} ({codes}): {rows - failed} of {rows} {success}{by_change}"


def note_opening(session: Session, dag_run: DagRun, group: str, source: str) -> None:
    """Note what a run imports, unless it has a note already; the result of an earlier stop is replaced."""
    _write(session, dag_run, opening(group, source), instead_of=f"{group}: stopped.")


def note_result(session: Session, dag_run: DagRun, catalogue: Catalogue) -> None:
    """Note how the import ended; a note that somebody wrote by hand stays."""
    task = catalogue.tasks.peek(task_id_of_run(dag_run.run_id))
    if task is None or task.deleted_at is not None:
        return
    by_code = catalogue.ledger.progress(task.id).by_code
    group = task.config.group_name
    changes = catalogue.ledger.changes(task.id) if task.config.counts_changes else None
    content = result(group, task.state, task.last_error, by_code, changes, task.config.success)
    _write(session, dag_run, content, instead_of=f"{group}: ")


def make_group_asset(session: Session, group: str) -> None:
    """Make the group's asset and tie it to the alias that the DAG has as its outlet; safe to repeat."""
    upsert = upsert_for(session.get_bind().dialect)
    uri = GROUP_ASSET.format(group=group)
    asset = upsert(ASSETS).values(name=uri, uri=uri, group="asset", extra={})
    session.execute(asset.on_conflict_do_nothing())
    both = ALIASES.join(ASSETS, (ASSETS.c.name == uri) & (ASSETS.c.uri == uri))
    pairs = select(ALIASES.c.id, ASSETS.c.id).select_from(both).where(ALIASES.c.name == ASSET_ALIAS)
    tie = upsert(alias_association_table).from_select(["alias_id", "asset_id"], pairs)
    session.execute(tie.on_conflict_do_nothing())


def _write(session: Session, dag_run: DagRun, content: str, *, instead_of: str) -> None:
    """Write the note of a run that has none, or replace one that begins with `instead_of`."""
    upsert = upsert_for(session.get_bind().dialect)
    present = NOTES.c.content
    ours = or_(present.is_(None), present == "", present.startswith(instead_of, autoescape=True))
    session.execute(
        upsert(NOTES)
        .values(dag_run_id=dag_run.id, content=content)
        .on_conflict_do_update(
            index_elements=["dag_run_id"], set_={"content": content, "updated_at": datetime.now(UTC)}, where=ours
        )
    )
