"""Run notes and group assets in Airflow's database."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.models.asset import AssetAliasModel, AssetModel, alias_association_table
from airflow.models.dagrun import DagRun, DagRunNote
from sqlalchemy import Table, delete, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from face_import.catalogue import Catalogue
from face_import.contract import ASSET_ALIAS, Code
from face_import.orchestration.plugin.notes import LONGEST, make_group_asset, note_opening, note_result
from tests.conftest import MakeTask
from tests.unit.orchestration.conftest import MakeRun, write_outcomes

NOTES = cast("Table", DagRunNote.__table__)


def note(session: Session, run: DagRun) -> str | None:
    """The run's note as Airflow's database has it."""
    return session.scalar(select(NOTES.c.content).where(NOTES.c.dag_run_id == run.id))


def by_hand(session: Session, run: DagRun, content: str | None) -> None:
    """A note that somebody wrote."""
    session.execute(insert(NOTES).values(dag_run_id=run.id, content=content))


def test_an_opening_is_written_and_fits(session: Session, make_run: MakeRun) -> None:
    """A long source is cut to what Airflow's column takes, and other runs get none."""
    run, other = make_run("one"), make_run("other")
    note_opening(session, run, "staff", "http://h/" + "x" * 5000)
    written = note(session, run) or ""
    assert written.startswith("staff: http://h/xxx")
    assert len(written) == LONGEST == NOTES.c.content.type.length
    assert note(session, other) is None


@pytest.mark.parametrize(
    ("present", "after"),
    [
        (None, "staff: b.csv"),
        ("", "staff: b.csv"),
        ("staff: stopped.", "staff: b.csv"),
        ("staff: stopped. row 3: no face", "staff: b.csv"),
        ("staff: a.csv", "staff: a.csv"),
        ("staff: a.csv (recurring: nightly)", "staff: a.csv (recurring: nightly)"),
        ("ask Ann before you clear this", "ask Ann before you clear this"),
    ],
)
def test_an_opening_replaces_nothing_but_a_stop(
    session: Session, make_run: MakeRun, present: str | None, after: str
) -> None:
    """What somebody wrote stays, and so does what the API wrote when it triggered the run."""
    run = make_run()
    by_hand(session, run, present)
    note_opening(session, run, "staff", "b.csv")
    assert note(session, run) == after


@pytest.mark.parametrize(
    ("present", "replaced"),
    [("staff: faces.csv", True), (None, True), ("ask Ann", False), ("staff", False), ("guests: faces.csv", False)],
)
def test_a_result_replaces_our_own_note_alone(
    session: Session, make_run: MakeRun, make_task: MakeTask, catalogue: Catalogue, *, present: Any, replaced: bool
) -> None:
    """Ours begins with the group's name."""
    task = make_task()
    run = make_run(task.run_id)
    by_hand(session, run, present)
    before = session.scalar(select(NOTES.c.updated_at))
    catalogue.tasks.stop(task.id)
    note_result(session, run, catalogue)
    assert note(session, run) == ("staff: stopped." if replaced else present)
    assert (session.scalar(select(NOTES.c.updated_at)) != before) is replaced


@pytest.mark.parametrize("name", ["a_b", "a%b"])
def test_a_groups_name_is_no_pattern(session: Session, make_run: MakeRun, name: str) -> None:
    """Of SQL's: a group name may have an underscore."""
    run = make_run()
    by_hand(session, run, "axb: stopped.")
    note_opening(session, run, name, "b.csv")
    assert note(session, run) == "axb: stopped."


def test_a_result_has_the_counts(
    session: Session, make_run: MakeRun, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """Of the whole task; of an import of changes also rows by change."""
    for entry, told in (("", ""), ("nightly", "; 0 new, 0 changed, 0 unchanged, 0 gone")):
        task = make_task(shards=2, rows=2, entry=entry)
        write_outcomes(catalogue, task, {1: Code.OK, 2: Code.NO_FACE})
        write_outcomes(catalogue, task, {3: Code.OK, 4: Code.OK}, shard=1)
        assert catalogue.tasks.complete(task.id)
        run = make_run(task.run_id)
        note_result(session, run, catalogue)
        assert note(session, run) == f"staff: completed with 1 failure (201 x1): 3 of 4 imported{told}"


def test_a_long_reason_fits(session: Session, make_run: MakeRun, make_task: MakeTask, catalogue: Catalogue) -> None:
    """PostgreSQL would refuse a longer note, and with it the scheduler's transaction."""
    task = make_task()
    catalogue.tasks.halt(task.id, "x" * 5000)
    run = make_run(task.run_id)
    note_result(session, run, catalogue)
    assert len(note(session, run) or "") == LONGEST


def test_an_import_that_is_gone_has_no_result(
    session: Session, make_run: MakeRun, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """Deleted, or never there: the run keeps the note that it has."""
    task = make_task()
    catalogue.tasks.mark_deleted(task.id)
    for run in (make_run(task.run_id), make_run("another")):
        note_result(session, run, catalogue)
        assert note(session, run) is None


def ties(session: Session) -> list[tuple[str, str]]:
    """Alias and URI of each tie."""
    query = select(AssetAliasModel.name, AssetModel.uri).select_from(alias_association_table)
    joined = query.join(AssetAliasModel, AssetAliasModel.id == alias_association_table.c.alias_id)
    rows = session.execute(joined.join(AssetModel, AssetModel.id == alias_association_table.c.asset_id))
    return [(alias, uri) for alias, uri in rows]


def test_a_groups_asset_is_made_once_and_tied_to_the_alias(session: Session) -> None:
    """Airflow can then name the DAG as its producer before the first event."""
    session.add(AssetAliasModel(name="another alias", group="asset"))
    session.flush()
    for group in ("staff", "guests", "staff"):
        make_group_asset(session, group)
    assert ties(session) == [
        (ASSET_ALIAS, "face-import://groups/staff"),
        (ASSET_ALIAS, "face-import://groups/guests"),
    ]
    assert sorted(session.scalars(select(AssetModel.name))) == [
        "face-import://groups/guests",
        "face-import://groups/staff",
    ]
    assert set(session.scalars(select(AssetModel.group))) == {"asset"}


def test_an_asset_can_be_there_before_its_alias(session: Session) -> None:
    """The DAG processor, or a DAG that is scheduled on the group, may be slower or faster: the next run ties them."""
    session.execute(delete(AssetAliasModel))
    make_group_asset(session, "staff")
    assert ties(session) == []
    session.add(AssetAliasModel(name=ASSET_ALIAS, group="asset"))
    session.flush()
    make_group_asset(session, "staff")
    assert ties(session) == [(ASSET_ALIAS, "face-import://groups/staff")]


def test_postgresql_takes_the_statements() -> None:
    """Its dialect compiles them, with the conflicts that Airflow's tables can have."""
    said: list[str] = []
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    session: Any = SimpleNamespace(
        get_bind=lambda: SimpleNamespace(dialect=dialect),
        execute=lambda statement: said.append(str(statement.compile(dialect=dialect))),
    )
    note_opening(session, cast("DagRun", SimpleNamespace(id=7)), "staff", "a.csv")
    make_group_asset(session, "staff")
    written, asset, tie = (" ".join(statement.split()) for statement in said)
    assert written.startswith("INSERT INTO dag_run_note ")
    assert "ON CONFLICT (dag_run_id) DO UPDATE SET content = " in written
    assert " WHERE dag_run_note.content IS NULL OR dag_run_note.content = " in written
    assert [column.name for column in NOTES.primary_key] == ["dag_run_id"]
    assert asset.startswith("INSERT INTO asset ")
    assert "ON CONFLICT DO NOTHING" in asset
    assert tie.startswith("INSERT INTO asset_alias_asset (alias_id, asset_id) SELECT ")
    assert tie.endswith("ON CONFLICT DO NOTHING")
