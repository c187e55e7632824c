"""What requests leave in the audit log: each change with who made it, refusals, no secrets, and nothing of reads."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import api_shim
import face_console
from api_shim import auditing
from face_import.audit import AuditLog
from face_import.catalogue import Catalogue
from face_import.keys import KeyFile
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.console.conftest import token_of

Application = Callable[..., FlaskClient]
Audited = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A file of keys."""
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def audited(settings: Settings) -> Audited:
    """Read all entries, oldest first, without time and address."""

    def read() -> list[dict[str, Any]]:
        found = reversed(AuditLog.of(settings).last(1000))
        return [one.model_dump(mode="json", exclude_defaults=True, exclude={"time", "address"}) for one in found]

    return read


@pytest.fixture
def application(
    settings: Settings, catalogue: Catalogue, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> Application:
    """Make a client of the console and API, with a key, or for an installation that needs none."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)

    def make(key: str = "", *, needs_keys: bool = True) -> FlaskClient:
        update = {"airflow_url": "http://127.0.0.1:9", "api_keys_file": keys.path if needs_keys else None}
        client = face_console.create_app(settings.model_copy(update=update)).test_client()
        if key:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client

    return make


def create(client: FlaskClient, group: str = "staff", **fields: str) -> str:
    """Create an import; its id, if it was."""
    form = {"group_name": group, "file": (io.BytesIO(b"http://x/1.jpg?secret=5a1f\n"), "faces.csv"), **fields}
    return str(client.post("/v1/tasks/create", data=form).json.get("id", ""))


def test_changes_name_the_key_and_the_import(
    application: Application, keys: KeyFile, audited: Audited, make_task: MakeTask
) -> None:
    """What was changed, and whether it was; a start that Airflow does not take has failed."""
    client = application(keys.add("alice", None))
    task, made = make_task(), create(client)
    client.post(f"/v1/tasks/{task.id}/config", json={"thread_num": 7})
    client.get(f"/v1/tasks/{task.id}/stop")
    client.post(f"/v1/tasks/{task.id}/stop")
    client.post(f"/v1/tasks/{made}/start")
    client.post(f"/v1/tasks/{made}/delete")
    of_task, of_made = ({"by": "key", "who": "alice", "task": id_, "group": "staff"} for id_ in (task.id, made))
    assert audited() == [
        {**of_made, "action": "create", "status": 200},
        {**of_task, "action": "config", "status": 200, "details": {"thread_num": 7}},
        {**of_task, "action": "stop", "status": 200},
        {**of_task, "action": "stop", "status": 409, "result": "refused"},
        {**of_made, "action": "start", "status": 503, "result": "failed"},
        {**of_made, "action": "delete", "status": 200},
    ]


def test_reads_leave_nothing(application: Application, audited: Audited, make_task: MakeTask) -> None:
    """Neither those by GET, nor those that are asked by POST, nor a preview of a retry."""
    task, client = make_task(running=False), application(needs_keys=False)
    for path in ("detail", "log", "download_log", "measurements?of=yaw"):
        assert client.get(f"/v1/tasks/{task.id}/{path}").status_code == 200
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).status_code == 200
    assert client.post(f"/v1/tasks/{task.id}/judge", json={}).status_code == 200
    for change in ("retry", "limits"):
        client.post(f"/v1/tasks/{task.id}/{change}", json={"preview": True})
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 200
    assert audited() == []


def test_the_console_is_told_from_the_api(
    application: Application, keys: KeyFile, audited: Audited, make_task: MakeTask
) -> None:
    """By session: login, a change under the API's word for it, logout."""
    task, key = make_task(), keys.add("alice", None)
    client = application()
    page = client.get("/login", headers={"Accept": "text/html"})
    client.post("/login", data={"key": key, "csrf_token": token_of(page)})
    token = token_of(client.get("/", headers={"Accept": "text/html"}))
    client.post(f"/tasks/{task.id}/concurrency", data={"thread_num": "9", "csrf_token": token})
    client.post("/logout", data={"csrf_token": token})
    by = {"by": "session", "who": "alice", "status": 303}
    assert audited() == [
        {**by, "action": "login"},
        {**by, "action": "config", "task": task.id, "group": "staff", "details": {"thread_num": 9}},
        {**by, "action": "logout"},
    ]


def test_refusals_for_lack_of_a_key_or_of_access(
    application: Application, keys: KeyFile, audited: Audited, make_task: MakeTask
) -> None:
    """A wrong key, none at all, another group's name, another group's task, a page without a session."""
    task, key = make_task(), keys.add("bob", ("vip",))
    application("fi_wrong").post(f"/v1/tasks/{task.id}/stop")
    application().get("/metrics")
    create(application(key), "staff")
    application(key).post(f"/v1/tasks/{task.id}/stop")
    application().post(f"/tasks/{task.id}/stop", headers={"Accept": "text/html"})
    nobody, bob = ({"result": "refused", **by} for by in ({"by": "nobody"}, {"by": "key", "who": "bob"}))
    about = {"task": task.id, "group": "staff"}
    assert audited() == [
        {**nobody, **about, "action": "stop", "status": 401},
        {**nobody, "action": "metrics", "status": 401},
        {**bob, "group": "staff", "action": "create", "status": 403},
        {**bob, **about, "action": "stop", "status": 404},
        {**nobody, **about, "action": "stop", "status": 303},
    ]


def test_strangers_cannot_flood_the_log(
    application: Application, keys: KeyFile, audited: Audited, make_task: MakeTask
) -> None:
    """Ten entries a minute are kept of them; those with a key are all there."""
    task, client = make_task(), application(keys.add("alice", None))
    for _ in range(30):
        client.post("/v1/tasks/create", headers={"Authorization": "Bearer x"})
    for _ in range(15):
        client.post(f"/v1/tasks/{task.id}/stop")
    assert [one["by"] for one in audited()] == ["nobody"] * auditing.STRANGERS.amount + ["key"] * 15


def test_other_sites_cannot_flood_the_log_of_an_installation_without_keys(
    application: Application, audited: Audited
) -> None:
    """A page in somebody's browser is a stranger, whom a guard refuses."""
    client = application(needs_keys=False)
    for _ in range(30):
        client.get("/v1/tasks/AAAAAAAAAAAA/detail", headers={"Sec-Fetch-Site": "cross-site"})
    assert [(one["by"], one["status"]) for one in audited()] == [("nobody", 403)] * auditing.STRANGERS.amount


def test_no_secret_and_no_row_is_in_it(
    application: Application, keys: KeyFile, settings: Settings, make_task: MakeTask
) -> None:
    """Keys, right or wrong, the query of a URL, and what is in a file."""
    key = keys.add("alice", None)
    client = application(key)
    create(client)
    client.post("/v1/tasks/create", data={"group_name": "staff", "source": "https://x.example/a.csv?token=5a1f"})
    client.post("/v1/tasks/create", headers={"Authorization": "Bearer fi_typo"})
    text = AuditLog.of(settings).path.read_text()
    assert len(text.splitlines()) == 3
    assert all(secret not in text for secret in (key, "fi_typo", "5a1f", "1.jpg"))


def test_a_made_up_task_id_is_left_out(application: Application, audited: Audited) -> None:
    """Only ids that could be one are repeated."""
    application(needs_keys=False).post("/v1/tasks/<script>/stop")
    assert audited() == [{"by": "local", "action": "stop", "status": 404, "result": "refused"}]


def test_every_change_is_audited(application: Application) -> None:
    """An endpoint that takes a POST is a change, unless it is known to be a read; a new one is audited by itself."""
    app = application(needs_keys=False).application
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in rule.methods}
    assert posts > auditing.READS
    changes = ("create", "start", "stop", "retry", "limits", "undo", "delete", "config")
    assert {f"tasks.{name}" for name in changes} <= posts - auditing.READS
