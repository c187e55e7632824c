"""Idempotent create: one key and content is one task, whoever repeats it, however often, and whatever breaks."""

import io
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api_shim
from face_import import keeper
from face_import.catalogue import Catalogue
from face_import.catalogue.creates import Creates
from face_import.keeper import Keeper
from face_import.keys import KeyFile
from face_import.settings import Settings
from tests.doubles.runs import Runs
from tests.unit.api.conftest import MakeApp
from tests.unit.api.test_create import stored

ROWS = b"http://x/1.jpg,t,d\n"
REPLAYED = "Idempotency-Replayed"


def send(
    client: FlaskClient, key: str | None, file: bytes = ROWS, name: str = "faces.csv", **fields: str
) -> TestResponse:
    """Send a create form with a key."""
    form = {"group_name": "staff", "file": (io.BytesIO(file), name), **fields}
    return client.post("/v1/tasks/create", data=form, headers={"Idempotency-Key": key} if key is not None else {})


def ids(client: FlaskClient) -> list[str]:
    """The group's tasks."""
    return list(client.post("/v1/tasks/list", json={"group_name": "staff"}).json["ids"])


def test_a_repeat_answers_the_same_id(client: FlaskClient, settings: Settings) -> None:
    """Nothing is stored twice, and the answer says that it is a repeat; a file's name and unset fields do not count."""
    first = send(client, "k1")
    files = stored(settings)
    again = send(client, "k1", name="copy.csv", thread_num="0", host_threads="0", mode="", width="0")
    assert (first.status_code, again.status_code, first.json) == (200, 200, again.json)
    assert (first.headers.get(REPLAYED), again.headers.get(REPLAYED)) == (None, "true")
    assert ids(client) == [first.json["id"]]
    assert stored(settings) == files


@pytest.mark.parametrize(
    "other",
    [
        {"file": b"http://x/2.jpg,t,d\n"},
        {"thread_num": "11"},
        {"host_threads": "1"},
        {"mode": "1"},
        {"max_failed": "1"},
        {"width": "80"},
        {"group_name": "guests"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_other_content_is_a_conflict(client: FlaskClient, settings: Settings, other: dict[str, str]) -> None:
    """409 with the word for programs and the task that has the key; nothing is stored."""
    first = send(client, "k1").json["id"]
    files = stored(settings)
    answer = send(client, "k1", **other)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_key_reused")
    assert first in answer.json["error"]
    assert "use a new key" in answer.json["error"]
    assert stored(settings) == files


def test_a_task_is_found_by_its_key(client: FlaskClient) -> None:
    """Without sending its content again; a task of another key, another group, or a deleted one is not."""
    task_id = send(client, "k1").json["id"]
    send(client, "k2")

    def found(key: str, **body: object) -> list[str]:
        return list(client.post("/v1/tasks/list", json={"idempotency_key": key, **body}).json["ids"])

    assert [found("k1"), found("k1", group_name="staff"), found("k1", fields="summary")] == [[task_id]] * 3
    assert [found("k3"), found("k1", group_name="guests"), found("k1", status=2)] == [[], [], []]
    client.post(f"/v1/tasks/{task_id}/delete")
    assert found("k1") == []
    wrong = client.post("/v1/tasks/list", json={"idempotency_key": "a b"})
    assert (wrong.status_code, "idempotency_key" in wrong.json["error"]) == (400, True)


def test_without_a_key_every_request_is_a_create(client: FlaskClient) -> None:
    """As before there were keys."""
    assert len({send(client, None).json["id"] for _ in range(2)}) == 2
    assert len({send(client, key).json["id"] for key in ("k1", "k2")}) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "schlüssel"], ids=["empty", "long", "space", "umlaut"])
def test_a_malformed_key_is_refused(client: FlaskClient, settings: Settings, key: str) -> None:
    """By the header's name."""
    answer = send(client, key)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["error"].startswith("Idempotency-Key: ")
    assert stored(settings) == []


def test_the_longest_key_is_accepted(client: FlaskClient) -> None:
    """255 characters, of any visible kind."""
    key = "".join(map(chr, range(33, 127))).ljust(255, "~")
    assert send(client, key).json == send(client, key).json


@pytest.mark.parametrize("refused", [{"file": b""}, {"thread_num": "201"}, {"group_name": "No"}], ids=str)
def test_a_refused_create_leaves_its_key_free(client: FlaskClient, refused: dict[str, str]) -> None:
    """Whoever has mended the request sends it under the same key."""
    assert send(client, "k1", **refused).status_code == 400  # type: ignore[arg-type]
    answer = send(client, "k1")
    assert (answer.status_code, answer.headers.get(REPLAYED)) == (200, None)


def test_a_deleted_task_frees_its_key(client: FlaskClient, catalogue: Catalogue) -> None:
    """Nobody can use the old id, and whether the task is purged yet makes no difference."""
    first = send(client, "k1").json["id"]
    client.post(f"/v1/tasks/{first}/delete")
    second = send(client, "k1").json["id"]
    assert second != first
    while catalogue.tasks.purge_some(first):
        pass
    assert send(client, "k1").json["id"] == second


def test_a_repeat_is_answered_whatever_became_of_the_task(client: FlaskClient, catalogue: Catalogue) -> None:
    """It may have been started and stopped, and the installation may allow less by now."""
    first = send(client, "k1", thread_num="20").json["id"]
    catalogue.tasks.start(first)
    catalogue.tasks.stop(first)
    assert send(client, "k1", thread_num="20").json["id"] == first


def test_keys_of_others_are_not_seen(
    settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, make_app: MakeApp
) -> None:
    """Two API keys may use the same idempotency key, each for its own task."""
    file = KeyFile(settings.home / "keys.json")
    texts = [file.add(name, None) for name in ("alice", "bob")]
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    app = make_app(settings.model_copy(update={"api_keys_file": file.path}))
    made = []
    for text in texts:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {text}"
        answers = [send(client, "k1") for _ in range(2)]
        assert [answer.headers.get(REPLAYED) for answer in answers] == [None, "true"]
        made.append(answers[1].json["id"])
    assert len(set(made)) == 2


@pytest.mark.parametrize("same", [True, False], ids=["same content", "other content"])
def test_at_the_same_moment_one_wins(
    client: FlaskClient, settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """All have found the key free and stored their file: one task is left, with one file, and everybody knows it."""
    together, add = Barrier(4), Creates.add

    def add_together(*arguments: object, **named: object) -> str:
        together.wait(30)
        return add(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Creates, "add", add_together)
    files = [ROWS if same else b"http://x/%d.jpg,t,d\n" % number for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda file: send(client.application.test_client(), "k1", file), files))
    (task_id,) = ids(client)
    assert {path.parent.name for path in stored(settings)} == {task_id}
    assert sorted(answer.status_code for answer in answers) == ([200] * 4 if same else [200, 409, 409, 409])
    assert {answer.json["id"] for answer in answers if answer.status_code == 200} == {task_id}
    assert sum(answer.headers.get(REPLAYED) == "true" for answer in answers) == (3 if same else 0)


def killed_before_its_task(client: FlaskClient) -> None:
    """Store the file and die."""

    def die(*_arguments: object, **_named: object) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    Creates.add = die  # type: ignore[method-assign]
    send(client, "k1")


def test_a_crash_leaves_only_what_the_keeper_removes(
    client: FlaskClient, settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between storing the file and making the task: the repeat makes one task, and the other file goes."""
    catalogue.engine.dispose()  # a forked child must not inherit connections
    child = multiprocessing.get_context("fork").Process(target=killed_before_its_task, args=(client,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (orphan,) = {path.parent.name for path in stored(settings)}
    answer = send(client, "k1")
    assert (answer.status_code, answer.headers.get(REPLAYED)) == (200, None)
    monkeypatch.setattr(keeper, "ORPHAN_AFTER_S", -1)
    airflow = Runs(settings)
    Keeper(settings, catalogue, airflow).sweep()
    assert {path.parent.name for path in stored(settings)} == {answer.json["id"]} != {orphan}


def test_the_document_has_both_headers(client: FlaskClient) -> None:
    """A generated client can send the key, and see that an answer is a repeat."""
    document = client.get("/openapi.json").json
    create = document["paths"]["/v1/tasks/create"]["post"]
    (key,) = create["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", False)
    assert (key["schema"]["type"], key["schema"]["pattern"]) == ("string", "^[!-~]{1,255}$")
    assert REPLAYED in create["responses"]["200"]["headers"]
    assert "409" in create["responses"]
    form = document["components"]["schemas"]["CreateForm"]
    assert form["required"] == ["group_name"]  # and a file or a source, which generators would take for two forms
    assert form["properties"]["file"]["format"] == "binary"
