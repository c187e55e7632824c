"""API keys: who gets in, what each of them sees, and that a revoked one sees nothing from then on."""

import hmac
import io
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api_shim
import face_console
from face_import.catalogue import Catalogue
from face_import.errors import ConfigError
from face_import.keys import KeyFile, KeyRing
from face_import.settings import Settings
from tests.conftest import MakeTask

Application = Callable[..., FlaskClient]
OF_A_TASK = [
    *(
        ("GET", f"/v1/tasks/AAAAAAAAAAAA/{name}")
        for name in ("start", "stop", "delete", "detail", "log", "download_log", "download_rows", "rows", "events")
    ),
    ("GET", "/v1/tasks/AAAAAAAAAAAA/measurements?of=yaw"),
    *(("POST", f"/v1/tasks/AAAAAAAAAAAA/{name}") for name in ("config", "retry", "judge", "limits", "undo")),
    *(("GET", f"/tasks/AAAAAAAAAAAA{name}") for name in ("", "/log.csv", "/failed.csv")),
    ("POST", "/tasks/AAAAAAAAAAAA/retry"),
    ("POST", "/tasks/AAAAAAAAAAAA/undo"),
]
PATHS = [
    ("POST", "/v1/tasks/create"),
    ("POST", "/v1/tasks/list"),
    *OF_A_TASK,
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/metrics"),
    ("GET", "/audit"),
    ("GET", "/groups/staff"),
    ("POST", "/groups/staff"),
    ("GET", "/nowhere"),
]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A file of keys in a folder that is not there yet."""
    return KeyFile(tmp_path / "secrets" / "keys.json")


@pytest.fixture
def application(
    settings: Settings, catalogue: Catalogue, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> Application:
    """Make a client of an application that asks for keys, with one of them or none."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)

    def make(key: str = "", **changes: object) -> FlaskClient:
        update = {"airflow_url": "http://127.0.0.1:9", "api_keys_file": keys.path, **changes}
        client = face_console.create_app(settings.model_copy(update=update)).test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client

    return make


def create(client: FlaskClient, group: str) -> TestResponse:
    """Send a create form."""
    form = {"group_name": group, "file": (io.BytesIO(b"http://x/1.jpg\n"), "faces.csv")}
    return client.post("/v1/tasks/create", data=form)


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer  {key}",
    ],
)
def test_without_a_key_nobody_gets_in(
    application: Application, keys: KeyFile, method: str, path: str, header: str | None
) -> None:
    """No endpoint, no page and no path that is not there answers without the right key."""
    key = keys.add("alice", None)
    client = application()
    client.environ_base.pop("HTTP_AUTHORIZATION")
    headers = {} if header is None else {"Authorization": header.format(key=key)}
    answer = client.open(path, method=method, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert key not in answer.text


def test_the_health_check_needs_no_key(application: Application, keys: KeyFile) -> None:
    """Supervision has none."""
    keys.add("alice", None)
    assert application().get("/healthz").status_code == 200
    assert application().get("/readyz").status_code == 200


def test_metrics_are_for_keys_of_all_groups(application: Application, keys: KeyFile) -> None:
    """They count everybody's rows."""
    assert application(keys.add("bob", ("vip",))).get("/metrics").status_code == 403
    assert application(keys.add("alice", None)).get("/metrics").status_code == 200


def test_a_key_for_all_groups_sees_all(application: Application, keys: KeyFile) -> None:
    """Create, list and detail work as without keys."""
    client = application(keys.add("alice", None))
    task_id = create(client, "staff").json["id"]
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json == {"ids": [task_id]}
    assert client.get(f"/v1/tasks/{task_id}/detail").status_code == 200


def test_other_groups_tasks_are_not_there(
    application: Application, keys: KeyFile, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """Every endpoint of another group's task answers exactly as for a task that never was, and does nothing."""
    task = make_task()  # of the group staff
    client = application(keys.add("bob", ("vip", "guests")))
    for method, path in OF_A_TASK:
        body = {"json": {"thread_num": 5} if path.endswith("config") else {}} if method == "POST" else {}
        theirs = client.open(path.replace("AAAAAAAAAAAA", task.id), method=method, **body)
        never = client.open(path, method=method, **body)
        assert (theirs.status_code, never.status_code) == (404, 404), path
        assert theirs.text.replace(task.id, "AAAAAAAAAAAA") == never.text
    assert catalogue.tasks.get(task.id) == task


def test_another_group_cannot_be_named(application: Application, keys: KeyFile, make_task: MakeTask) -> None:
    """Neither for a create nor for a list, whether it exists or not; the key's own groups can."""
    make_task()
    client = application(keys.add("bob", ("vip", "guests")))
    assert create(client, "guests").status_code == 200
    assert len(client.post("/v1/tasks/list", json={"group_name": "guests"}).json["ids"]) == 1
    for group in ("staff", "nobody"):
        for answer in (create(client, group), client.post("/v1/tasks/list", json={"group_name": group})):
            assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("fields", ["ids", "summary"])
def test_a_list_without_a_group_has_the_groups_of_the_key(
    application: Application, keys: KeyFile, make_task: MakeTask, fields: str
) -> None:
    """Of a key for some groups only their tasks, of one for all groups every task."""
    theirs = make_task().id  # of the group staff
    bob = application(keys.add("bob", ("vip", "guests")))
    own = [create(bob, group).json["id"] for group in ("vip", "guests")]
    assert bob.post("/v1/tasks/list", json={"fields": fields}).json["ids"] == own
    alice = application(keys.add("alice", None))
    assert alice.post("/v1/tasks/list", json={"fields": fields}).json["ids"] == [theirs, *own]


def test_a_change_of_the_file_holds_at_once(application: Application, keys: KeyFile) -> None:
    """A revoked key is refused by the running process, and a new one is known to it."""
    alice = keys.add("alice", None)
    client = application(alice)
    assert client.get("/openapi.json").status_code == 200
    bob = keys.add("bob", None)
    keys.revoke("alice")
    assert client.get("/openapi.json").status_code == 401
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {bob}"
    assert client.get("/openapi.json").status_code == 200
    keys.revoke("bob")
    assert client.get("/openapi.json").status_code == 401


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"keys": {"a": {}}}', '{"keys": {}, "admin": true}'], ids=repr)
def test_a_damaged_file_lets_nobody_in(application: Application, keys: KeyFile, damage: str) -> None:
    """An application that runs answers 503, one that starts does not; a file that is gone has no keys."""
    client = application(keys.add("alice", None))
    keys.path.write_text(damage)
    assert client.get("/").status_code == 503
    assert client.get("/").status_code == 503
    with pytest.raises(ConfigError, match="FACE_IMPORT_API_KEYS_FILE"):
        application()
    keys.path.unlink()
    assert client.get("/").status_code == 401


def test_an_open_bind_needs_a_key(application: Application, keys: KeyFile) -> None:
    """Other machines are served only when there is a key to ask them for."""
    for file in (None, keys.path):
        with pytest.raises(ConfigError, match="keys add"):
            application(bind="0.0.0.0", api_keys_file=file)  # noqa: S104 - refused
    key = keys.add("alice", None)
    client = application(key, bind="0.0.0.0", allowed_hosts=("faces.example",))  # noqa: S104 - with a key
    assert client.get("/", headers={"Host": "faces.example"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    client.environ_base.pop("HTTP_AUTHORIZATION")
    assert client.get("/", headers={"Host": "faces.example", "Cookie": f"key={key}"}).status_code == 401


def test_each_key_has_its_own_rate(application: Application, keys: KeyFile) -> None:
    """Too many requests are 429 with a time to wait, for that key alone."""
    alice, bob = keys.add("alice", None), keys.add("bob", None)
    client = application(alice, key_requests_per_minute=5)
    assert [client.get("/").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    answer = client.get("/")
    assert answer.json["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {bob}"
    assert client.get("/").status_code == 200


def test_the_document_tells_of_keys(application: Application, keys: KeyFile) -> None:
    """Where keys are asked for, the OpenAPI document says how to send one."""
    document = application(keys.add("alice", None)).get("/openapi.json").json
    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["security"] == [{"key": []}]
    assert "401" in document["paths"]["/v1/tasks/list"]["post"]["responses"]


def test_only_hashes_are_kept_and_only_for_the_owner(keys: KeyFile) -> None:
    """The file has neither a key's text nor readers; keys are long and never the same."""
    texts = {keys.add(f"key{n}", None) for n in range(20)}
    assert len({text for text in texts if len(text) >= 43}) == 20
    stored = keys.path.read_text()
    assert not [text for text in texts if text in stored or text.removeprefix("fi_") in stored]
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700


def test_every_text_is_compared_with_every_key(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """In constant time, by hashes, whether the first key fits, the last one or none: time tells nothing of a key."""
    texts = [keys.add(f"key{n}", None) for n in range(3)]
    compared: list[tuple[str, str]] = []

    constant = hmac.compare_digest

    def compare(stored: str, sent: str) -> bool:
        compared.append((stored, sent))
        return constant(stored, sent)

    monkeypatch.setattr("face_import.keys.hmac.compare_digest", compare)
    ring = KeyRing(keys)
    for text, name in ((texts[0], "key0"), (texts[2], "key2"), ("wrong", None)):
        compared.clear()
        found = ring.find(text)
        assert (found and found[0]) == name
        assert [stored for stored, _ in compared] == [key.sha256 for key in keys.read().values()]
        assert {len(sent) for _, sent in compared} == {64}


def test_names_are_taken_once(keys: KeyFile) -> None:
    """A name that is taken is not given away, and one that is unknown cannot be revoked."""
    keys.add("alice", None)
    with pytest.raises(ConfigError, match="already"):
        keys.add("alice", None)
    with pytest.raises(ConfigError, match="no key 'bob'"):
        keys.revoke("bob")
    for name in ("", "a b", "x" * 65, "../x", "-rf"):
        with pytest.raises(ConfigError, match="not a valid key name"):
            keys.add(name, None)


def test_every_answer_is_hardened(application: Application, keys: KeyFile) -> None:
    """Successes and errors alike say that no browser is to keep or guess at them, or to show them on others' pages."""
    client = application(keys.add("alice", None))
    for path in ("/", "/healthz", "/nowhere", "/v1/tasks/list", "/v1/tasks/AAAAAAAAAAAA/detail"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        framed_by = headers["Content-Security-Policy"].rpartition("frame-ancestors ")[2]
        airflow = "http://127.0.0.1:9 http://localhost:9"
        assert framed_by == ("'none'" if path.startswith("/v1/") else airflow)
