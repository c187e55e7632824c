"""`callback_url` in `create`, and what `detail` tells of the calls; nothing shows the secrets that it may have."""

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue
from face_import.control import run_conf
from tests.unit.api.conftest import Create

URL = "https://me:p4ss@app.example.com/hooks/faces?key=t0k"
SHOWN = "https://app.example.com/hooks/faces?…"


def callback_of(client: FlaskClient, task_id: str) -> Any:
    """What `detail` has."""
    return client.get(f"/v1/tasks/{task_id}/detail").json["callback"]


def test_detail_tells_the_last_call(client: FlaskClient, catalogue: Catalogue, create: Create) -> None:
    """From the create to the day when it is given up, and of the next end again from the beginning."""
    task_id = create(callback_url=URL).json["id"]
    nothing = {"event": None, "id": None, "tries": 0, "tried_at": None, "answer": "", "next_at": None}
    assert callback_of(client, task_id) == {"url": SHOWN, "state": "none", **nothing}
    catalogue.tasks.start(task_id)
    catalogue.tasks.stop(task_id)
    waiting = callback_of(client, task_id)
    assert (waiting["state"], waiting["event"], waiting["tries"]) == ("pending", "task.stopped", 0)
    (call,) = catalogue.callbacks.claim(1, 60.0)
    catalogue.callbacks.failed(call, "503 Service Unavailable", 5.0)
    failed = callback_of(client, task_id)
    assert (failed["state"], failed["tries"], failed["answer"]) == ("pending", 1, "503 Service Unavailable")
    assert failed["id"] == call.id
    assert failed["tried_at"] < failed["next_at"]
    catalogue.callbacks.failed(call, "410 Gone", None)
    given_up = callback_of(client, task_id)
    assert (given_up["state"], given_up["answer"], given_up["next_at"]) == ("given_up", "410 Gone", None)
    catalogue.tasks.start(task_id)
    catalogue.tasks.stop(task_id)
    (again,) = catalogue.callbacks.claim(1, 60.0)
    catalogue.callbacks.delivered(again, "200 OK")
    assert [callback_of(client, task_id)[name] for name in ("state", "id", "tries")] == ["delivered", again.id, 1]


@pytest.mark.parametrize("fields", [{}, {"callback_url": ""}])
def test_without_a_url_there_is_nothing_to_tell(client: FlaskClient, create: Create, fields: dict[str, str]) -> None:
    """Null, as for every task of before; a form's empty field is no URL."""
    assert callback_of(client, create(**fields).json["id"]) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://x.example/", "must be an http:// or https:// URL"),
        ("app.example.com/hooks", "must be an http:// or https:// URL"),
        ("http://x.example/a b", "contains a space or a control character; percent-encode it"),
        ("http://", "not a valid URL"),
        ("https://user:pa[ss@x.example/", "malformed; percent-encode the login and all else that is not ASCII"),
        ("https://u\u2100:pw@x.example/", "malformed; percent-encode the login and all else that is not ASCII"),
        ("http://x.example/" + "t0k" * 700, "String should have at most 2048 characters"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(client: FlaskClient, create: Create, url: str, reason: str) -> None:
    """400 with the field's name, and nothing is stored."""
    answer = create(callback_url=url)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["error"] == f"callback_url: {reason}"
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json == {"ids": []}


def test_secrets_stay_inside(
    client: FlaskClient, catalogue: Catalogue, create: Create, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither answers nor logs nor Airflow's parameters have them, nor the calls themselves."""
    caplog.set_level(logging.DEBUG)
    task_id = create(callback_url=URL).json["id"]
    catalogue.tasks.start(task_id)
    catalogue.tasks.stop(task_id)
    (call,) = catalogue.callbacks.claim(1, 60.0)
    task = catalogue.tasks.get(task_id)
    answers = client.get(f"/v1/tasks/{task_id}/detail").text + client.get(f"/v1/tasks/{task_id}/events").text
    for text in (answers, caplog.text, repr(task), str(run_conf(task)), str(call.data)):
        assert "p4ss" not in text
        assert "t0k" not in text
    assert task.config.callback_url == URL
