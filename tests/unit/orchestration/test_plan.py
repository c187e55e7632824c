"""The task `plan`: source, group and shards, once; which sources it refuses, and which attempts it stays out of."""

import io
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.clients.transfer import FetchError, TransientFetchError
from face_import.contract import Code, Mode, TaskState
from face_import.control import run_conf
from face_import.domain.identity import UPLOADED, new_task_id, task_id_of_run
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.errors import Interrupted, RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.orchestration.dag import tasks
from face_import.orchestration.dag.operators import InterruptibleTask
from face_import.settings import Settings
from face_import.sources.storage import Storage
from tests.unit.orchestration.conftest import RUN_ID, FakeAirflow, FakeLibrary

TASK_ID = task_id_of_run(RUN_ID)
CSV = b"uri,tag\nhttp://h/1.jpg,a\nhttp://h/2.jpg,b\nhttp://h/3.jpg,c\n"


@pytest.fixture
def source(airflow: FakeAirflow, library: FakeLibrary, inbox: Path) -> Path:
    """A file of three rows, which is the run's source."""
    path = inbox / "faces.csv"
    path.write_bytes(CSV)
    airflow.params["source"] = path.as_uri()
    return path


def stored(settings: Settings, task_id: str = TASK_ID) -> set[str]:
    """Names of the files that the storage has of a task."""
    return {path.name for path in (settings.home / "storage" / "sources").glob(f"{task_id}/*")}


def uploaded(catalogue: Catalogue, settings: Settings) -> ImportTask:
    """A task that the API made of an upload and started."""
    task_id = new_task_id()
    index = Storage.of(settings).store(task_id, io.BytesIO(CSV))
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=index.rows)
    catalogue.tasks.start(task_id)
    catalogue.runs.note_queued(task_id, 1, 1.0)
    return catalogue.tasks.get(task_id)


def refused(airflow: FakeAirflow, by: type[Exception] = AirflowFailException) -> str:
    """The reason for which `plan` fails, or is skipped, without a retry."""
    with pytest.raises(by) as refusal:
        airflow.call(tasks.plan)
    return str(refusal.value)


def test_a_run_becomes_a_task_with_a_plan(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, settings: Settings, library: FakeLibrary
) -> None:
    """The task is running since the run began, the source is stored, the group made, and all rows are in shards."""
    assert airflow.call(tasks.plan) == [0]
    task = catalogue.tasks.get(TASK_ID)
    assert (task.run_id, task.state, task.total_num) == (RUN_ID, TaskState.RUNNING, 3)
    assert (task.attempt, task.launched_attempt, task.launched_at) == (1, 1, airflow.run.start_date.timestamp())
    assert library.groups == [("staff", settings.group_capacity)]
    (part,) = catalogue.plans.shards(TASK_ID)
    assert (part.first_row, part.last_row) == (1, 3)
    rows = Storage.of(settings).open_shard(TASK_ID, part, task.source_name)
    assert [row.uri for row in rows] == ["http://h/1.jpg", "http://h/2.jpg", "http://h/3.jpg"]


def test_the_reading_is_recorded_and_logged(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """As the parameters say it; a title cannot break the log's line, nor make it long."""
    caplog.set_level(logging.INFO)
    long = "长" * 250
    source.write_bytes(f'"pic\nture";名字;{long};\r\nhttp://h/1.jpg;李娜;;\r\n'.encode("gb18030"))
    airflow.params["columns"] = {"uri": "pic\nture", "description": 4}
    assert airflow.call(tasks.plan) == [0]
    assert catalogue.tasks.get(TASK_ID).reading == {
        "encoding": "GB18030",
        "separator": ";",
        "header": True,
        "skipped": 0,
        "columns": {"uri": "pic\nture", "tag": "名字", "description": 4},
        "ignored": ["长" * 200 + "…"],
        "sheet": None,
        "sheets": [],
    }
    (line,) = (record.getMessage() for record in caplog.records if record.getMessage().startswith("read "))
    assert line == (
        f"read task={TASK_ID} encoding=GB18030 separator=';' header=true "
        rf"columns=uri:pic\nture,tag:名字,description:4 ignored={'长' * 60}"
    )


def test_malformed_parameters_fail_the_run(airflow: FakeAirflow, source: Path, catalogue: Catalogue) -> None:
    """What Airflow's validation lets pass is refused all the same, in words and without a retry."""
    airflow.params["columns"] = {"uri": "a\0b"}
    assert refused(airflow).startswith("columns: uri: ")
    assert catalogue.tasks.peek(TASK_ID) is None


def test_a_second_plan_changes_nothing(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, settings: Settings, library: FakeLibrary
) -> None:
    """A retry, or the `plan` of a cleared run, needs neither source nor library: the numbers are the same."""
    first = airflow.call(tasks.plan)
    before, files = catalogue.tasks.get(TASK_ID), stored(settings)
    source.unlink()
    assert airflow.call(tasks.plan) == first
    assert catalogue.tasks.get(TASK_ID) == before
    assert stored(settings) == files
    assert library.groups == [("staff", settings.group_capacity)]


def test_an_upload_is_planned_where_it_lies(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, settings: Settings
) -> None:
    """The API has stored it, and has made the task."""
    task = uploaded(catalogue, settings)
    airflow.run.run_id, airflow.params["source"] = task.id, f"upload:{task.id}"
    assert airflow.call(tasks.plan) == [0]
    assert catalogue.tasks.get(task.id).source_name == UPLOADED
    assert stored(settings, task.id) == {f"{UPLOADED}.csv", f"{UPLOADED}.json"}


def test_an_upload_that_is_gone_is_said_to_be(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, settings: Settings
) -> None:
    """A storage that lost it stops the task, and is named."""
    task = uploaded(catalogue, settings)
    Storage.of(settings).delete(task.id)
    airflow.run.run_id, airflow.params["source"] = task.id, f"upload:{task.id}"
    assert "no longer in the storage" in refused(airflow)
    assert "no longer in the storage" in catalogue.tasks.get(task.id).last_error
    assert library.groups == []


def test_an_upload_belongs_to_its_task(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, settings: Settings
) -> None:
    """A run that names another's upload gets no task; a task whose run was given another's is stopped."""
    other, task = uploaded(catalogue, settings), uploaded(catalogue, settings)
    airflow.params["source"] = f"upload:{other.id}"
    assert "there is no task" in refused(airflow)
    assert catalogue.tasks.peek(TASK_ID) is None
    airflow.run.run_id = task.id
    assert "belongs to that task alone" in refused(airflow)
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED
    assert catalogue.tasks.get(other.id) == other
    assert catalogue.plans.shards(task.id) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("ftp://h/faces.csv", "is not allowed"),
        ("file:///etc/passwd", "is not allowed"),
        ("INBOX/../faces.csv", "is not allowed"),
        ("INBOX/missing.csv", "cannot be opened: No such file or directory"),
        ("INBOX/empty.csv", "no rows"),
        ("INBOX/open.csv", "line 3"),
        ("http://h/missing.csv", "404 Not Found"),
    ],
)
def test_a_refused_source_stops_the_task_with_the_reason(
    airflow: FakeAirflow,
    library: FakeLibrary,
    catalogue: Catalogue,
    settings: Settings,
    inbox: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    reason: str,
) -> None:
    """Once, without a retry: what is wrong is the last error; nothing is stored, and no group made."""
    (inbox / "empty.csv").write_bytes(b"uri,tag\n")
    (inbox / "open.csv").write_bytes(b'uri,tag\nhttp://h/0.jpg,a\nhttp://h/1.jpg,"a\n')
    monkeypatch.setattr(tasks, "open_http", raising(FetchError("404 Not Found")))
    airflow.params["source"] = source.replace("INBOX", inbox.as_uri())
    assert refused(airflow).startswith("the source cannot be read: ")
    task = catalogue.tasks.get(TASK_ID)
    assert (task.state, catalogue.plans.shards(TASK_ID)) == (TaskState.STOPPED, [])
    assert reason in task.last_error
    assert stored(settings) == set()
    assert library.groups == []


def raising(error: Exception) -> Any:
    """A stand-in for `open_http` that fails."""

    @contextmanager
    def open_http(_url: str, _settings: Settings) -> Iterator[BinaryIO]:
        raise error
        yield io.BytesIO()

    return open_http


def test_a_source_over_http_is_stored_and_its_secrets_are_not(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole URL is fetched; the task knows it without password and query."""
    fetched: list[str] = []

    @contextmanager
    def open_http(url: str, _settings: Settings) -> Iterator[BinaryIO]:
        fetched.append(url)
        yield io.BytesIO(CSV)

    monkeypatch.setattr(tasks, "open_http", open_http)
    airflow.params["source"] = "https://u:p4ss@h/faces.csv?key=t0k"
    assert airflow.call(tasks.plan) == [0]
    assert fetched == ["https://u:p4ss@h/faces.csv?key=t0k"]
    assert catalogue.tasks.get(TASK_ID).config.source == "https://h/faces.csv?…"


def test_a_url_that_the_api_was_given_is_read_and_forgotten(
    airflow: FakeAirflow,
    library: FakeLibrary,
    catalogue: Catalogue,
    *,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Airflow's parameters name the task only; the catalogue has the URL until the rows are planned."""
    url, task_id, answers = "https://u:p4ss@h/faces.csv?key=t0k", new_task_id(), [raising(FetchError("403 Forbidden"))]
    config = TaskConfig("staff", "https://h/faces.csv?…", Limits(), 10, Mode.SKIP)
    catalogue.creates.add(task_id, config, source_url=url)
    airflow.run.run_id, airflow.params["source"] = task_id, run_conf(catalogue.tasks.get(task_id))["source"]
    fetched: list[str] = []

    @contextmanager
    def open_http(url: str, settings: Settings) -> Iterator[BinaryIO]:
        fetched.append(url)
        with answers.pop()(url, settings) if answers else io.BytesIO(CSV) as stream:
            yield stream

    monkeypatch.setattr(tasks, "open_http", open_http)
    catalogue.tasks.start(task_id)
    catalogue.runs.note_queued(task_id, 1, 1.0)
    assert "403 Forbidden" in refused(airflow)
    assert (catalogue.tasks.get(task_id).state, catalogue.creates.source_url(task_id)) == (TaskState.STOPPED, url)
    catalogue.tasks.start(task_id)
    assert airflow.call(tasks.plan) == [0]
    assert fetched == [url, url]
    assert catalogue.creates.source_url(task_id) is None
    assert (catalogue.tasks.get(task_id).total_num, len(stored(settings, task_id))) == (3, 2)
    assert airflow.call(tasks.plan) == [0]
    assert len(fetched) == 2
    assert not any(secret in caplog.text + str(airflow.params) for secret in ("p4ss", "t0k"))


def test_a_second_try_of_plan_does_not_miss_the_url(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier try commits, and removes the URL, right after this one has asked for it."""
    task_id = new_task_id()
    catalogue.creates.add(task_id, TaskConfig("staff", "", Limits(), 10, Mode.SKIP), source_url="https://h/faces.csv")
    catalogue.tasks.start(task_id)
    catalogue.runs.note_queued(task_id, 1, 1.0)
    airflow.run.run_id, airflow.params["source"] = task_id, f"upload:{task_id}"
    ask = catalogue.creates.source_url

    class Late:
        def source_url(self, task_id: str) -> str | None:
            url = ask(task_id)
            catalogue.plans.commit(task_id, [Shard(0, 1, 3, 0, 9, 1)], 3, "earlier")
            return url

    monkeypatch.setattr(tasks, "get_catalogue", lambda: replace(catalogue, creates=Late()))
    assert airflow.call(tasks.plan) == [0]
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING


def test_a_transient_failure_is_left_to_airflows_retry(
    airflow: FakeAirflow, library: FakeLibrary, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task keeps running, and the next try succeeds."""
    monkeypatch.setattr(tasks, "open_http", raising(TransientFetchError("503 Service Unavailable")))
    airflow.params["source"] = "https://h/faces.csv"
    with pytest.raises(TransientFetchError):
        airflow.call(tasks.plan)
    task = catalogue.tasks.get(TASK_ID)
    assert (task.state, task.last_error) == (TaskState.RUNNING, "")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("group_name", "Not_A_Group", "is not a group name"),
        ("thread_num", 201, "above the limit of 200"),
        ("host_threads", 201, "above the limit of 200"),
    ],
)
def test_settings_are_applied_before_anything_is_stored(
    airflow: FakeAirflow,
    source: Path,
    catalogue: Catalogue,
    settings: Settings,
    *,
    name: str,
    value: object,
    reason: str,
) -> None:
    """Airflow's form has wider bounds than an installation may have."""
    airflow.params[name] = value
    assert reason in refused(airflow)
    assert reason in catalogue.tasks.get(TASK_ID).last_error
    assert stored(settings) == set()


def test_a_missing_package_stops_the_task(
    airflow: FakeAirflow,
    library: FakeLibrary,
    catalogue: Catalogue,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No retry installs it: the operator reads which file system cannot be opened."""
    settings = settings.model_copy(update={"source_prefixes": ("nosuch://bucket",)})
    monkeypatch.setattr(tasks, "get_settings", lambda: settings)
    airflow.params["source"] = "nosuch://bucket/faces.csv"
    assert "nosuch: URLs cannot be opened" in refused(airflow)
    assert "nosuch: URLs cannot be opened" in catalogue.tasks.get(TASK_ID).last_error


def test_a_library_that_refuses_the_group_stops_the_task(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, library: FakeLibrary
) -> None:
    """With the library's own words."""

    def refuse() -> None:
        raise ServiceRefusal("too many groups", kind=RefusalKind.OTHER)

    library.before = refuse
    assert refused(airflow) == "the face library refuses to make group 'staff': too many groups"
    task = catalogue.tasks.get(TASK_ID)
    assert (task.state, catalogue.plans.shards(TASK_ID)) == (TaskState.STOPPED, [])


def test_a_library_that_is_down_is_left_to_airflows_retry(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, library: FakeLibrary
) -> None:
    """Beyond the patience this try fails, and the task keeps running."""

    def no_answer() -> None:
        raise ServiceUnavailable("no answer")

    library.before = no_answer
    with pytest.raises(ServiceUnavailable):
        airflow.call(tasks.plan)
    assert catalogue.tasks.get(TASK_ID).state == TaskState.RUNNING
    assert catalogue.plans.shards(TASK_ID) == []


def test_the_plan_that_commits_first_decides(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, settings: Settings, library: FakeLibrary
) -> None:
    """A slower try takes over the other's shards, and removes its own copy of the source."""

    def other_plan() -> None:
        Storage.of(settings).store(TASK_ID, io.BytesIO(CSV), "other")
        catalogue.plans.commit(TASK_ID, [Shard(0, 1, 2, 8, 42, 2), Shard(1, 3, 1, 42, 59, 4)], 3, "other")

    library.before = other_plan
    assert airflow.call(tasks.plan) == [0, 1]
    assert catalogue.tasks.get(TASK_ID).source_name == "other"
    assert stored(settings) == {"other.csv", "other.json"}


def test_a_request_to_end_ends_it_at_once(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, library: FakeLibrary
) -> None:
    """Also one that came before the function: nothing is planned, and Airflow may try again."""
    library.before = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        airflow.call(tasks.plan)
    assert catalogue.plans.shards(TASK_ID) == []
    airflow.run.run_id = "another run"
    InterruptibleTask.asked_to_end = True
    with pytest.raises(Interrupted):
        airflow.call(tasks.plan)
    assert catalogue.tasks.peek(task_id_of_run("another run")) is None


def test_a_stopped_task_is_not_planned(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop since the run began holds, and keeps its reason."""
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(TASK_ID, RUN_ID, config, state=TaskState.RUNNING)
    catalogue.tasks.halt(TASK_ID, "row 3: no face")
    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=time.monotonic))  # there is nothing to wait for
    assert "is not running" in refused(airflow)
    assert catalogue.tasks.get(TASK_ID).last_error == "row 3: no face"
    assert stored(settings) == set()


def test_a_deleted_task_is_not_planned(
    airflow: FakeAirflow, source: Path, settings: Settings, catalogue: Catalogue
) -> None:
    """Its run leaves nothing behind."""
    catalogue.tasks.add(TASK_ID, RUN_ID, TaskConfig("staff", "", Limits(), 10, Mode.SKIP), state=TaskState.RUNNING)
    catalogue.tasks.mark_deleted(TASK_ID)
    assert "there is no task" in refused(airflow, by=AirflowSkipException)
    assert stored(settings) == set()


@pytest.fixture
def stopped_before(catalogue: Catalogue, airflow: FakeAirflow, source: Path) -> ImportTask:
    """A task that was stopped before the run began: somebody has cleared the run in Airflow."""
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(TASK_ID, RUN_ID, config, state=TaskState.RUNNING)
    task = catalogue.tasks.stop(TASK_ID)
    airflow.run.start_date = airflow.run.start_date.replace(year=2099)
    return task


def test_a_cleared_run_waits_for_the_keeper(
    airflow: FakeAirflow, stopped_before: ImportTask, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener has missed the event: the keeper starts the task while `plan` waits."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            catalogue.runs.run_queued(RUN_ID, airflow.run.start_date.timestamp())

    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert airflow.call(tasks.plan) == [0]
    assert len(waits) == 2
    assert catalogue.tasks.get(TASK_ID).attempt == 2


def test_a_cleared_run_does_not_wait_for_ever(
    airflow: FakeAirflow, stopped_before: ImportTask, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a keeper it is skipped, and the task stays stopped."""
    monkeypatch.setattr(tasks, "KEEPER_S", -1.0)
    assert "is not running" in refused(airflow, by=AirflowSkipException)
    assert catalogue.tasks.get(TASK_ID).state == TaskState.STOPPED


def test_an_earlier_attempt_does_not_stop_a_later_one(
    airflow: FakeAirflow, source: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task was launched again after this run began: what this task instance finds is not the task's last error."""
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    later = airflow.run.start_date.timestamp() + 60
    catalogue.tasks.add(TASK_ID, RUN_ID, config, state=TaskState.RUNNING, launched_at=later)
    source.unlink()
    assert "cannot be opened" in refused(airflow)
    task = catalogue.tasks.get(TASK_ID)
    assert (task.state, task.last_error) == (TaskState.RUNNING, "")


def test_an_undo_lists_the_faces_to_remove(
    airflow: FakeAirflow, catalogue: Catalogue, settings: Settings, library: FakeLibrary
) -> None:
    """As its own source, without making the group; from then on the undone import may be gone."""
    task = uploaded(catalogue, settings)
    catalogue.plans.commit(task.id, [Shard(0, 1, 3, 8, len(CSV), 2)], 3)
    catalogue.leases.take(task.id, 0, "me", 1)
    outcomes = (
        Outcome(1, "http://h/1.jpg", Code.OK, face_id="one"),
        Outcome(2, "http://h/2.jpg", Code.NO_FACE),
        Outcome(3, "http://h/3.jpg", Code.OK, face_id=f"{task.id}-3"),
    )
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    catalogue.tasks.stop(task.id)
    undo = catalogue.undoing.begin(task.id, new_task_id())
    catalogue.tasks.start(undo.id)
    catalogue.runs.note_queued(undo.id, 1, 1.0)
    airflow.run = SimpleNamespace(run_id=undo.run_id, start_date=airflow.run.start_date)
    airflow.params = {**airflow.params, **run_conf(undo)}
    assert airflow.call(tasks.plan) == [0]
    assert library.groups == []
    undo = catalogue.tasks.get(undo.id)
    assert undo.total_num == 2
    assert stored(settings, undo.id) == {f"{undo.source_name}.csv", f"{undo.source_name}.json"}
    (part,) = catalogue.plans.shards(undo.id)
    faces = list(Storage.of(settings).open_added(undo.id, part, undo.source_name))
    assert [(face.number, face.uri, face.tag, face.id, face.added.row) for face in faces] == [
        (1, "http://h/1.jpg", "a", "one", 1),
        (2, "http://h/3.jpg", "c", f"{task.id}-3", 3),
    ]
    catalogue.tasks.mark_deleted(task.id)
    assert airflow.call(tasks.plan) == [0]


def test_an_undo_of_an_import_that_is_gone_says_so(
    airflow: FakeAirflow, catalogue: Catalogue, settings: Settings, library: FakeLibrary
) -> None:
    """It was deleted before `plan` had listed its faces."""
    task = uploaded(catalogue, settings)
    catalogue.plans.commit(task.id, [Shard(0, 1, 3, 8, len(CSV), 2)], 3)
    catalogue.leases.take(task.id, 0, "me", 1)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "u", Code.OK, face_id="one"),)))
    catalogue.tasks.stop(task.id)
    undo = catalogue.undoing.begin(task.id, new_task_id())
    catalogue.tasks.start(undo.id)
    catalogue.runs.note_queued(undo.id, 1, 1.0)
    catalogue.tasks.mark_deleted(task.id)
    airflow.run = SimpleNamespace(run_id=undo.run_id, start_date=airflow.run.start_date)
    airflow.params = {**airflow.params, **run_conf(undo)}
    assert f"task {task.id} was deleted before" in refused(airflow)
    assert "delete this one, too" in catalogue.tasks.get(undo.id).last_error
