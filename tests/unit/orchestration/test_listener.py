"""The listener, called as Airflow calls it: on a run in a session of Airflow's database, through its hook manager."""

import logging
import time
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
from airflow._shared.listeners.listener import ListenerManager
from airflow._shared.listeners.spec import lifecycle
from airflow.listeners.spec import dagrun
from airflow.models.asset import AssetModel
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.pool import Pool
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from face_import.audit import AuditLog
from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code, TaskState
from face_import.domain.identity import pool_of_run, task_id_of_run
from face_import.domain.models import FailurePolicy
from face_import.orchestration.plugin import listener
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.orchestration.conftest import RUN_ID, MakeRun, write_outcomes


@pytest.fixture
def hooks(catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Airflow's hooks, with our listener as the only one, over the test's catalogue."""
    monkeypatch.setattr(listener, "_catalogue", lambda _pid: catalogue)
    monkeypatch.setattr(listener, "get_settings", lambda: settings)
    manager = ListenerManager()
    manager.add_hookspecs(lifecycle)
    manager.add_hookspecs(dagrun)
    manager.add_listener(listener)
    return manager.hook


@pytest.fixture
def task(make_task: MakeTask) -> ImportTask:
    """A running import of ten rows, started by the API; Airflow's run is not noted yet."""
    return make_task(thread_num=20)


def pools(session: Session) -> dict[str, int]:
    """Slots of each pool."""
    return {name: slots for name, slots in session.execute(select(Pool.pool, Pool.slots))}  # noqa: C416 - of rows


def note(session: Session, run: DagRun) -> str | None:
    """The run's note as Airflow's database has it."""
    return session.scalar(select(DagRunNote.__table__.c.content).where(DagRunNote.__table__.c.dag_run_id == run.id))


def missed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Events that the listener says it missed."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_run_gets_a_pool_of_its_own(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, caplog: pytest.LogCaptureFixture
) -> None:
    """With as many slots as its rows need processes; other pools stay."""
    session.add(Pool(pool="default_pool", slots=128, description="", include_deferred=False))
    session.flush()
    run = make_run(task.run_id)
    hooks.on_dag_run_running(dag_run=run, msg="")
    assert pools(session) == {"default_pool": 128, pool_of_run(task.run_id): 3}
    assert missed(caplog) == []


def test_a_pool_that_is_there_gets_the_slots_anew(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """A run that was cleared has a new thread_num perhaps, and is no longer paused."""
    run = make_run(task.run_id)
    hooks.on_dag_run_running(dag_run=run, msg="")
    catalogue.tasks.configure(task.id, thread_num=64)
    hooks.on_dag_run_running(dag_run=run, msg="")
    assert pools(session) == {pool_of_run(task.run_id): 8}


@pytest.mark.parametrize(
    ("conf", "slots"), [({"thread_num": 33}, 5), ({}, 2), ({"thread_num": "many"}, 2)], ids=["form", "none", "wrong"]
)
def test_a_run_from_airflows_form_has_no_task_yet(
    hooks: Any, session: Session, make_run: MakeRun, catalogue: Catalogue, *, conf: dict[str, Any], slots: int
) -> None:
    """Its pool follows the form; the catalogue hears of it from `plan`."""
    hooks.on_dag_run_running(dag_run=make_run(**conf), msg="")
    assert pools(session) == {pool_of_run(RUN_ID): slots}
    assert catalogue.tasks.all_ids() == set()


def test_a_run_says_what_it_imports(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, make_task: MakeTask
) -> None:
    """By its task, or by the form without the secrets of its source; each group has an asset."""
    known = make_run(task.run_id)
    form = make_run("form", group_name="guests", source="https://u:p4ss@h/faces.csv?key=t0k")
    for run in (known, form):
        hooks.on_dag_run_running(dag_run=run, msg="")
    assert note(session, known) == "staff: faces.csv"
    assert note(session, form) == "guests: https://h/faces.csv?…"
    uris = set(session.scalars(select(AssetModel.uri)))
    assert uris == {"face-import://groups/staff", "face-import://groups/guests"}


def test_a_run_without_a_group_makes_no_asset(hooks: Any, session: Session, make_run: MakeRun) -> None:
    """Airflow's CLI can trigger a run without the form's rules; `plan` fails it."""
    hooks.on_dag_run_running(dag_run=make_run(), msg="")
    assert list(session.scalars(select(AssetModel.uri))) == []


def test_a_run_that_was_cleared_in_airflow_is_a_start(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """The stopped task is running in a new attempt, and the note of its stop is gone."""
    catalogue.runs.note_queued(task.id, task.attempt, time.time() - 100)
    run = make_run(task.run_id, queued_at=time.time() - 100)
    catalogue.tasks.halt(task.id, "row 3: no face")
    hooks.on_dag_run_failed(dag_run=run, msg="")
    assert note(session, run) == "staff: stopped. row 3: no face"
    run.queued_at = make_run("later", queued_at=time.time() + 60).queued_at
    hooks.on_dag_run_running(dag_run=run, msg="")
    started = catalogue.tasks.get(task.id)
    assert (started.state, started.attempt, started.last_error) == (TaskState.RUNNING, task.attempt + 1, "")
    assert note(session, run) == "staff: faces.csv"
    assert set(pools(session)) == {pool_of_run(task.run_id)}


def test_a_run_that_we_queued_does_not_undo_a_stop(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """The task was stopped before Airflow came to its run."""
    queued_at = round(time.time(), 3)  # a datetime has microseconds, a float has more
    catalogue.runs.note_queued(task.id, task.attempt, queued_at)
    catalogue.tasks.stop(task.id)
    hooks.on_dag_run_running(dag_run=make_run(task.run_id, queued_at=queued_at), msg="")
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED


def test_a_run_that_failed_stops_its_task(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """Its pool goes; task and note say that it was Airflow's run, in Airflow's words."""
    run = make_run(task.run_id)
    catalogue.runs.note_queued(task.id, task.attempt, run.queued_at.timestamp())
    hooks.on_dag_run_running(dag_run=run, msg="")
    hooks.on_dag_run_failed(dag_run=run, msg="marked by a person")
    assert pools(session) == {}
    stopped = catalogue.tasks.get(task.id)
    assert stopped.state == TaskState.STOPPED
    assert stopped.last_error == f"Airflow's run {task.run_id} failed: marked by a person; start the task to resume"
    assert note(session, run) == f"staff: stopped. {stopped.last_error}"


def audited(settings: Settings) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Action, user, import and details of each entry by Airflow, oldest first."""
    found = [one for one in AuditLog.of(settings).last(100) if one.by == "airflow"]
    return [(one.action, one.who, one.task, one.details) for one in reversed(found)]


def test_what_people_do_in_airflow_is_audited(
    hooks: Any, make_run: MakeRun, task: ImportTask, catalogue: Catalogue, settings: Settings
) -> None:
    """A run from the form with its user, a run that was marked failed, and a clear; not what the API has started."""
    own = make_run(task.run_id, queued_at=time.time() - 100)
    catalogue.runs.note_queued(task.id, task.attempt, own.queued_at.timestamp())
    hooks.on_dag_run_running(dag_run=own, msg="")
    assert audited(settings) == []
    hooks.on_dag_run_failed(dag_run=own, msg="marked by a person")
    hooks.on_dag_run_failed(dag_run=own, msg="marked by a person")
    own.queued_at = make_run("later", queued_at=time.time() + 60).queued_at
    hooks.on_dag_run_running(dag_run=own, msg="")
    of_form = make_run(group_name="staff", entry="nightly")
    of_form.triggering_user_name = "carol"
    hooks.on_dag_run_running(dag_run=of_form, msg="")
    assert audited(settings) == [
        ("stop", "", task.id, {"reason": f"Airflow's run {task.run_id} failed: marked by a person"}),
        ("start", "", task.id, {}),
        ("start", "carol", task_id_of_run(RUN_ID), {"entry": "nightly"}),
    ]


def test_a_failed_run_of_an_earlier_attempt_stops_nothing(
    hooks: Any, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """The task was launched again since the run began."""
    catalogue.runs.note_queued(task.id, task.attempt, time.time() + 60)
    hooks.on_dag_run_failed(dag_run=make_run(task.run_id), msg="")
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING


def test_a_failed_run_with_all_outcomes_completes_its_task(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """`finish` was killed, say: the rows decide."""
    write_outcomes(catalogue, task, dict.fromkeys(range(1, 10), Code.OK) | {10: Code.BLUR})
    run = make_run(task.run_id)
    hooks.on_dag_run_failed(dag_run=run, msg="")
    assert catalogue.tasks.get(task.id).state == TaskState.COMPLETED
    assert note(session, run) == "staff: completed with 1 failure (207 x1): 9 of 10 imported"


def test_a_run_that_fails_for_failures_leaves_its_task_completed(
    hooks: Any, session: Session, make_run: MakeRun, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """`finish` has completed it and failed as asked (`fail_on_errors`): the note says so, and nothing is in trouble."""
    task = make_task(policy=FailurePolicy(fail_on_errors=1))
    write_outcomes(catalogue, task, dict.fromkeys(range(1, 10), Code.OK) | {10: Code.BLUR})
    run = make_run(task.run_id)
    catalogue.runs.note_queued(task.id, task.attempt, run.queued_at.timestamp())
    assert catalogue.tasks.complete(task.id)
    before = catalogue.tasks.get(task.id)
    hooks.on_dag_run_failed(dag_run=run, msg="task_failure")
    assert catalogue.tasks.get(task.id) == before
    assert (before.state, before.last_error) == (TaskState.COMPLETED, "")
    assert note(session, run) == "staff: completed with 1 failure (207 x1): 9 of 10 imported"


def test_a_run_that_succeeded_has_a_result_and_no_pool(
    hooks: Any, session: Session, make_run: MakeRun, task: ImportTask, catalogue: Catalogue
) -> None:
    """The pools of other runs stay."""
    run, other = make_run(task.run_id), make_run("other")
    for each in (run, other):
        hooks.on_dag_run_running(dag_run=each, msg="")
    write_outcomes(catalogue, task, dict.fromkeys(range(1, 11), Code.OK))
    assert catalogue.tasks.complete(task.id)
    hooks.on_dag_run_success(dag_run=run, msg="")
    assert set(pools(session)) == {pool_of_run("other")}
    assert note(session, run) == "staff: 10 of 10 imported"


HOOKS = ("on_dag_run_running", "on_dag_run_failed", "on_dag_run_success")


@pytest.mark.parametrize("hook", HOOKS)
def test_runs_of_other_dags_are_left_alone(
    hooks: Any,
    session: Session,
    make_run: MakeRun,
    task: ImportTask,
    catalogue: Catalogue,
    *,
    hook: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever their ids: no pool is made or dropped, no note written, and no task changed."""
    session.add(Pool(pool=pool_of_run(task.run_id), slots=7, description="", include_deferred=False))
    session.flush()
    run = make_run(task.run_id, dag_id="recurring_staff", group_name="staff", source="http://h/a.csv")
    getattr(hooks, hook)(dag_run=run, msg="")
    assert pools(session) == {pool_of_run(task.run_id): 7}
    assert note(session, run) is None
    assert list(session.scalars(select(AssetModel.uri))) == []
    assert catalogue.tasks.get(task.id) == task
    assert missed(caplog) == []


@pytest.mark.parametrize("hook", HOOKS)
def test_a_catalogue_that_fails_is_logged_and_never_raised(
    hooks: Any, session: Session, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, *, hook: str, caplog: Any
) -> None:
    """The scheduler's transaction goes on, and the pool is right all the same."""

    def broken(_pid: int) -> Catalogue:
        raise OperationalError("SELECT", {}, Exception("database is locked"))

    monkeypatch.setattr(listener, "_catalogue", broken)
    run = make_run(thread_num=33)
    for run_id in (RUN_ID, "other"):
        session.add(Pool(pool=pool_of_run(run_id), slots=7, description="", include_deferred=False))
    session.flush()
    getattr(hooks, hook)(dag_run=run, msg="")
    assert missed(caplog) == [f"listener missed an event run={RUN_ID}"]
    mine = {pool_of_run(RUN_ID): 5} if hook == "on_dag_run_running" else {}
    assert pools(session) == {pool_of_run("other"): 7} | mine


def test_a_run_without_a_session_is_logged_and_never_raised(hooks: Any, caplog: pytest.LogCaptureFixture) -> None:
    """There is nowhere to write; the keeper makes the pool."""
    run = DagRun(dag_id="face_import", run_id=RUN_ID, run_type="manual")
    hooks.on_dag_run_running(dag_run=run, msg="")
    assert missed(caplog) == [f"listener missed an event run={RUN_ID}"]
    assert "is not attached to a session" in caplog.text


def test_the_scheduler_does_not_wait_long_for_the_catalogue(
    session: Session, make_run: MakeRun, task: ImportTask, settings: Settings, catalogue: Catalogue, *, caplog: Any
) -> None:
    """Another process holds SQLite's write lock: the listener gives up within its quarter of a second."""
    own = Catalogue.open(settings, timeout_s=listener.CATALOGUE_TIMEOUT_S, pooled=False)
    assert listener.CATALOGUE_TIMEOUT_S <= 0.25
    with pytest.MonkeyPatch.context() as patch, catalogue.engine.begin():
        patch.setattr(listener, "_catalogue", lambda _pid: own)
        began = time.monotonic()
        listener.on_dag_run_failed(make_run(task.run_id), "")
        waited = time.monotonic() - began
    assert 0.2 < waited < 10
    assert missed(caplog) == [f"listener missed an event run={task.run_id}"]
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING


def test_each_process_opens_a_catalogue_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps no connection that a forked child would inherit."""
    monkeypatch.setattr(listener, "get_settings", lambda: settings)
    listener._catalogue.cache_clear()
    one, again, child = listener._catalogue(1), listener._catalogue(1), listener._catalogue(2)
    listener._catalogue.cache_clear()
    assert one is again
    assert one is not child
    assert isinstance(one.engine.pool, NullPool)


def test_what_tasks_import_is_loaded_once(hooks: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the scheduler forks: the module of the tasks, and the storage's file system."""
    loaded: list[str] = []
    monkeypatch.setattr(listener, "import_module", loaded.append)
    monkeypatch.setattr(listener, "load_file_system", loaded.append)
    hooks.on_starting(component=SimpleNamespace())
    module, storage = loaded
    assert find_spec(module) is not None
    assert hasattr(__import__(module, fromlist=["shard"]), "shard")
    assert storage == settings.storage_root


def test_postgresql_takes_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dialect compiles the upsert, whose conflict is about a column that Airflow has unique."""
    said: list[str] = []
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    session = SimpleNamespace(
        get_bind=lambda: SimpleNamespace(dialect=dialect),
        execute=lambda statement: said.append(str(statement.compile(dialect=dialect))),
    )
    monkeypatch.setattr(listener, "object_session", lambda _run: session)
    listener._set_pool(DagRun(dag_id="face_import", run_id=RUN_ID, run_type="manual"), 3)
    (statement,) = said
    assert statement.startswith("INSERT INTO slot_pool ")
    assert "ON CONFLICT (pool) DO UPDATE SET slots = excluded.slots" in statement
    assert Pool.__table__.c.pool.unique
