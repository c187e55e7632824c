"""What Airflow is to our hooks and tasks: a task instance's context, and a database with the few tables they touch."""

import gc
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast
from uuid import uuid4

import croniter  # noqa: F401 - starts a process when Airflow imports it in the middle of a test, which no unit test may
import pytest
from airflow.models.asset import AssetAliasModel, AssetModel, alias_association_table
from airflow.models.base import Base
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.pool import Pool
from airflow.models.tasklog import LogTemplate
from airflow.sdk.execution_time.context import OutletEventAccessors, set_current_context
from sqlalchemy import Table, create_engine
from sqlalchemy.orm import Session

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import ASSET_ALIAS, DAG_ID, LOG_XCOM_KEY, Code
from face_import.domain.models import Outcome, OutcomeBatch
from face_import.orchestration.dag import tasks, xcom
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.orchestration.dag.params import import_params
from face_import.orchestration.dag.xcom import LedgerXCom
from face_import.settings import Settings

RUN_ID = "manual__2030-01-01T00:00:00+00:00"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder that sources may lie in."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


@pytest.fixture
def settings(tmp_path: Path, inbox: Path) -> Settings:
    """Settings with a home of their own, one folder of sources, and little patience."""
    return Settings(
        home=tmp_path / "home", source_prefixes=(inbox.as_uri(),), outage_patience_s=0.05, public_url="https://faces"
    )


class FakeTaskInstance:
    """Airflow's `ti`: what is pushed goes through our backend, and to `xcoms` as Airflow would store it."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.xcoms: list[Any] = []
        self.refuses: Exception | None = None
        self.states: dict[str, str] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Store an XCom, or fail as an api-server that is unavailable does: after the backend has seen it."""
        assert key == LOG_XCOM_KEY
        stored = LedgerXCom.serialize_value(value, key=key, task_id="shard", dag_id=DAG_ID, run_id="", map_index=0)
        if self.refuses is not None:
            raise self.refuses
        self.xcoms.append(stored)

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        """As the test says, for its one run."""
        assert dag_id == DAG_ID
        return dict.fromkeys(run_ids, self.states)


class FakeAirflow:
    """Calls the DAG's functions as task instances of one run."""

    def __init__(self, settings: Settings) -> None:
        self.ti = FakeTaskInstance()
        self.events = OutletEventAccessors()
        self.run = SimpleNamespace(run_id=RUN_ID, start_date=datetime.now(UTC))
        defaults = {name: param.value for name, param in import_params(settings).items()}
        self.params: dict[str, Any] = {**defaults, "group_name": "staff"}
        self.label = ""

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What the function returns; the label that Airflow's grid would show goes to `label`."""
        context: dict[str, Any] = {
            "dag_run": self.run,
            "ti": self.ti,
            "params": self.params,
            "outlet_events": self.events,
        }
        with set_current_context(cast("Any", context)):
            try:
                return function(*arguments)
            finally:
                self.label = context.get("rows", "")


@pytest.fixture
def airflow(settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAirflow]:
    """A run whose tasks use the test's catalogue and settings; the process is put back in order afterwards."""
    for module in (tasks, xcom):
        monkeypatch.setattr(module, "get_catalogue", lambda: catalogue)
    monkeypatch.setattr(tasks, "get_settings", lambda: settings)
    monkeypatch.setattr(InterruptibleTask, "asked_to_end", False)
    handler = signal.getsignal(signal.SIGTERM)
    yield FakeAirflow(settings)
    signal.signal(signal.SIGTERM, handler)
    gc.unfreeze()


class FakeLibrary:
    """Stands in for the class `LibraryService`.

    Attributes:
        groups: those that were made, with their capacity.
        before: what to do before one is made.
    """

    def __init__(self) -> None:
        self.groups: list[tuple[str, int]] = []
        self.before: Callable[[], None] = lambda: None

    def __call__(self, _settings: Settings) -> Self:
        """The client, which is this object as well."""
        return self

    async def __aenter__(self) -> Self:
        """Connect."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""

    async def ensure_group(self, group: str, capacity: int) -> None:
        """Make a group."""
        self.before()
        self.groups.append((group, capacity))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """The face library."""
    library = FakeLibrary()
    monkeypatch.setattr(tasks, "LibraryService", library)
    return library


TABLES = (DagRun, DagRunNote, Pool, AssetModel, AssetAliasModel, LogTemplate)


@pytest.fixture
def session() -> Iterator[Session]:
    """A session on a database of Airflow's with the tables that our hooks write, and the alias of the import DAG."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, tables=[cast("Table", model.__table__) for model in TABLES])
    alias_association_table.create(engine)
    with Session(engine) as session:
        session.add(AssetAliasModel(name=ASSET_ALIAS, group="asset"))
        session.flush()
        yield session
    engine.dispose()


MakeRun = Callable[..., DagRun]


@pytest.fixture
def make_run(session: Session) -> MakeRun:
    """Make a run in Airflow's database; it was queued and started now unless the test says otherwise."""

    def make(run_id: str = RUN_ID, *, dag_id: str = DAG_ID, queued_at: float | None = None, **conf: object) -> DagRun:
        queued = datetime.now(UTC) if queued_at is None else datetime.fromtimestamp(queued_at, UTC)
        run = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", queued_at=queued, start_date=queued, conf=conf)
        session.add(run)
        session.flush()
        return run

    return make


def write_outcomes(
    catalogue: Catalogue, task: ImportTask, outcomes: dict[int, Code], *, shard: int = 0, uri: str = "http://h/a.jpg"
) -> None:
    """Give rows of a shard an outcome, as the task instance that holds its lease."""
    owner = str(uuid4())
    assert catalogue.leases.take(task.id, shard, owner, len(outcomes)) is not None
    rows = tuple(Outcome(row, uri, code, "" if code == Code.OK else code.name) for row, code in outcomes.items())
    catalogue.ledger.write(OutcomeBatch(task.id, shard, owner, rows))
    catalogue.leases.give_back(task.id, shard, owner, in_doubt=False)
