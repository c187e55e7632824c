"""Create by URL: which URLs are accepted, that nothing is fetched before the start, and that secrets stay inside."""

import io
import logging

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api_shim
from api_shim import create_app
from face_import.catalogue import Catalogue
from face_import.contract import TaskState
from face_import.control import Control, run_conf
from face_import.settings import Settings
from tests.doubles.runs import Runs
from tests.unit.api.test_create import stored

URL = "https://user:p4ss@example.com/faces.csv?token=t0k"


@pytest.fixture
def client(settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of an API with one folder of sources; Airflow is away."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    (settings.home / "secrets").mkdir(parents=True)
    (settings.home / "secrets" / "airflow_password").write_text("secret")
    update = {"airflow_url": "http://127.0.0.1:9", "source_prefixes": ("file:///data", "s3://bucket/faces/")}
    return create_app(settings.model_copy(update=update)).test_client()


def send(client: FlaskClient, source: str, key: str = "", **fields: object) -> TestResponse:
    """Send a create form without a file."""
    form = {"group_name": "staff", "source": source, **fields}
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/v1/tasks/create", data=form, content_type="multipart/form-data", headers=headers)


@pytest.mark.parametrize(
    "source",
    [
        URL,
        "http://10.0.0.1/faces.csv",
        "file:///data/faces.csv",
        "s3://bucket/faces/2030/a.csv",
        "https://h/" + "x" * 4086,
    ],
    ids=["https", "http", "file", "s3", "4096 characters"],
)
def test_an_allowed_url_makes_a_task(client: FlaskClient, settings: Settings, source: str) -> None:
    """It waits to be started, has no rows yet, and nothing is stored."""
    answer = send(client, source)
    assert answer.status_code == 200, answer.text
    detail = client.get(f"/v1/tasks/{answer.json['id']}/detail").json
    assert (detail["state"], detail["total_num"], detail["config"]["thread_num"]) == (1, 0, 10)
    assert stored(settings) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "ftp://h/faces.csv",
            "'ftp://h/faces.csv' is not allowed; a source must be an http:// or https:// URL or one under",
        ),
        ("file:///etc/passwd", "is not allowed"),
        ("file:///data/../etc/passwd", "is not allowed"),
        ("file:///database/faces.csv", "is not allowed"),
        ("s3://bucket/other/a.csv", "one under file:///data or one under s3://bucket/faces/"),
        ("zip://a.csv::file:///data/a.zip", "is not allowed"),
        ("upload:AAAAAAAAAAAA", "is not allowed"),
        ("faces.csv", "is not allowed"),
        ("https:///faces.csv", "has no host"),
        ("https://[::1/faces.csv", "is not a URL"),
        ("https://h/two words.csv", "percent-encode it"),
        ("https://h/" + "x" * 4087, "at most 4096 characters"),
    ],
    ids=lambda text: text[:40],
)
def test_another_url_is_refused(client: FlaskClient, source: str, reason: str) -> None:
    """400 by the field's name, with what is allowed; no task is left."""
    answer = send(client, source)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["error"].startswith("source: ")
    assert reason in answer.json["error"]
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json == {"ids": []}


@pytest.mark.parametrize(
    "fields", [{}, {"file": (io.BytesIO(b"http://x"), "f.csv"), "source": URL}], ids=["none", "both"]
)
def test_either_a_file_or_a_url(client: FlaskClient, fields: dict[str, object]) -> None:
    """The refusal names both."""
    answer = send(client, **{"source": "", **fields})  # type: ignore[arg-type]
    assert (answer.status_code, answer.json["error"][:14]) == (400, "file, source: ")
    assert "as source" in answer.json["error"]


def test_a_form_with_an_unused_file_field_is_accepted(client: FlaskClient) -> None:
    """A browser sends it without name and content; and a file's form with an empty URL is one of a file."""
    for source, content, rows in ((URL, b"", 0), ("", b"http://x/1.jpg", 1)):
        parts = [("group_name", b"staff"), ("source", source.encode()), ('file"; filename="', content)]
        head = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
        body = b"".join(head.format(name).encode() + value + b"\r\n" for name, value in parts) + b"--b--\r\n"
        answer = client.post("/v1/tasks/create", data=body, content_type="multipart/form-data; boundary=b")
        assert answer.status_code == 200, answer.text
        assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["total_num"] == rows


def test_a_url_may_be_sent_twice(client: FlaskClient) -> None:
    """Under one key it is one task; another query is other content, even though both look the same when redacted."""
    assert send(client, URL, "k1").json == send(client, URL, "k1").json
    assert send(client, URL + "2", "k1").status_code == 409


def test_secrets_stay_inside(client: FlaskClient, catalogue: Catalogue, caplog: pytest.LogCaptureFixture) -> None:
    """Neither answers nor logs nor Airflow's parameters have them."""
    caplog.set_level(logging.DEBUG)
    task_id = send(client, URL).json["id"]
    task = catalogue.tasks.get(task_id)
    answers = client.get(f"/v1/tasks/{task_id}/detail").text + send(client, URL.replace("https", "ftp")).text
    for text in (answers, caplog.text, repr(task), str(run_conf(task))):
        assert "p4ss" not in text
        assert "t0k" not in text
    assert task.config.source == "https://example.com/faces.csv?…"
    assert catalogue.creates.source_url(task_id) == URL


def test_it_can_be_controlled_in_every_state(client: FlaskClient, settings: Settings, catalogue: Catalogue) -> None:
    """Start, stop, start, delete, all before its rows are known: the URL is kept for `plan`."""
    task_id, airflow = send(client, URL).json["id"], Runs(settings)
    control = Control(settings, catalogue, airflow)
    control.configure(task_id, thread_num=4)
    control.start(task_id)
    assert airflow.triggered == [task_id]
    control.stop(task_id)
    control.start(task_id)
    assert (airflow.cleared, catalogue.tasks.get(task_id).state) == ([task_id], TaskState.RUNNING)
    assert catalogue.creates.source_url(task_id) == URL
    assert not catalogue.tasks.complete(task_id)
    control.delete(task_id)
    assert client.get(f"/v1/tasks/{task_id}/detail").status_code == 404
    assert catalogue.creates.source_url(task_id) is None
    while catalogue.tasks.purge_some(task_id):
        pass
    assert catalogue.tasks.peek(task_id) is None
