"""Delivering callbacks with a receiver in this process; servers are in `tests/integration/test_callbacks.py`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from standardwebhooks import Webhook, WebhookVerificationError

from face_import import callbacks
from face_import.callbacks import FIRST_S, LONGEST_S, SPREAD, TRIES, Courier, pause_after, signed
from face_import.catalogue import Catalogue, LastCall
from face_import.catalogue.schema import callback
from face_import.clients.callback import Answer, check_callback_url
from face_import.clients.transfer import FetchError
from face_import.contract import MAX_CALLBACK_URL, CallState
from face_import.errors import ConfigError, InvalidRequest
from face_import.settings import Settings
from tests.conftest import MakeTask

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
OTHER = "whsec_" + "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="
URL = "https://user:s3cret@app.example.com/hooks?token=s3cret"
DAY_S = 86_400.0
Post = Callable[..., Awaitable[Answer]]


@pytest.fixture
def secret(settings: Settings) -> str:
    """The secret of this home."""
    (settings.home / "secrets").mkdir(parents=True)
    (settings.home / "secrets" / "callback_secret").write_text(f"{SECRET}\n")
    return SECRET


def answering(*answers: Answer | Exception) -> tuple[Post, list[tuple[str, bytes, dict[str, str]]]]:
    """A stand-in for `post` with these answers, the last one again and again; and what it was asked."""
    asked: list[tuple[str, bytes, dict[str, str]]] = []

    async def post(url: str, body: bytes, headers: dict[str, str], *_: Any) -> Answer:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append((url, body, headers))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return post, asked


def deliver(settings: Settings, catalogue: Catalogue) -> None:
    """A round, until all its calls have ended."""

    async def go() -> None:
        courier = Courier(settings, catalogue)
        await courier.round()
        await courier.all_ended()

    asyncio.run(go())


def make_due(catalogue: Catalogue) -> None:
    """As if the pauses were over."""
    with catalogue.engine.begin() as connection:
        connection.execute(update(callback).where(callback.c.due_at.is_not(None)).values(due_at=0.0))


def last_of(catalogue: Catalogue, task_id: str) -> LastCall:
    """What became of a task's call."""
    last = catalogue.callbacks.last(task_id)
    assert last is not None
    return last


@pytest.mark.usefixtures("secret")
def test_a_call_is_verified_by_the_standards_own_library(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its body tells what has happened, and one changed byte is noticed."""
    post, asked = answering(Answer(204, "204 No Content", None))
    monkeypatch.setattr(callbacks, "post", post)
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    deliver(settings, catalogue)
    ((url, body, headers),) = asked
    assert url == URL
    message = Webhook(SECRET).verify(body, headers)
    assert set(message) == {"type", "timestamp", "data"}
    assert (message["type"], message["data"]["id"], message["data"]["state"]) == ("task.stopped", task.id, 3)
    assert datetime.fromisoformat(message["timestamp"]).tzinfo is not None
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"stopped", b"stoppe?"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)
    last = last_of(catalogue, task.id)
    assert (last.state, last.answer, last.id) == (CallState.DELIVERED, "204 No Content", headers["webhook-id"])


def test_while_one_secret_replaces_another_both_verify() -> None:
    """The receiver changes when it likes."""
    headers = signed("id", "{}", (SecretStr(SECRET), SecretStr(OTHER)), datetime.now(UTC))
    for known in (SECRET, OTHER):
        Webhook(known).verify("{}", headers)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(500, "500 Internal Server Error", None), "500 Internal Server Error"),
        (Answer(404, "404 Not Found", None), "404 Not Found"),
        (Answer(302, "302 Found", None), "302 Found: redirects are not followed"),
        (FetchError("address 10.0.0.1 is not public (FACE_IMPORT_FETCH_ALLOW)"), "address 10.0.0.1 is not public"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (ConfigError("FACE_IMPORT_CA_FILE: cannot read /etc/ca"), "the server is misconfigured; see the keeper's log"),
    ],
)
def test_what_is_not_taken_is_sent_again_the_same(  # noqa: PLR0917 - fixtures
    settings: Settings,
    catalogue: Catalogue,
    make_task: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Answer | Exception,
    said: str,
) -> None:
    """After a pause: same id, same body, a new time; and `detail` has what was answered. No log has the URL."""
    post, asked = answering(answer, Answer(200, "200 OK", None))
    monkeypatch.setattr(callbacks, "post", post)
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    with caplog.at_level("DEBUG"):
        deliver(settings, catalogue)
        last, now = last_of(catalogue, task.id), catalogue.tasks.clock()
        assert (last.state, last.tries) == (CallState.PENDING, 1)
        assert last.answer.startswith(said)
        assert last.due_at is not None
        assert 0 < last.due_at - now <= FIRST_S * (1 + SPREAD)
        deliver(settings, catalogue)  # it is not due
        assert len(asked) == 1
        make_due(catalogue)
        deliver(settings, catalogue)
    (_, first, first_headers), (_, second, second_headers) = asked
    assert first == second
    assert first_headers["webhook-id"] == second_headers["webhook-id"]
    last = last_of(catalogue, task.id)
    assert (last.state, last.tries, last.answer) == (CallState.DELIVERED, 2, "200 OK")
    assert "s3cret" not in caplog.text


@pytest.mark.usefixtures("secret")
def test_gone_is_not_asked_again(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """410 says that nobody wants the calls any more."""
    post, asked = answering(Answer(410, "410 Gone", None))
    monkeypatch.setattr(callbacks, "post", post)
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    for _ in range(2):
        deliver(settings, catalogue)
        make_due(catalogue)
    assert len(asked) == 1
    assert last_of(catalogue, task.id).state == CallState.GIVEN_UP


@pytest.mark.usefixtures("secret")
def test_after_a_day_it_is_given_up(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every try before that was made."""
    post, asked = answering(Answer(503, "503 Service Unavailable", None))
    monkeypatch.setattr(callbacks, "post", post)
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    for _ in range(TRIES + 2):
        deliver(settings, catalogue)
        make_due(catalogue)
    assert len(asked) == TRIES
    assert last_of(catalogue, task.id).state == CallState.GIVEN_UP


def test_the_pauses_grow_to_an_hour_and_last_a_day() -> None:
    """A host may ask for a longer one, within bounds."""
    pauses = [pause_after(tries) for tries in range(1, TRIES)]
    known = [pause for pause in pauses if pause is not None]
    assert len(known) == TRIES - 1
    assert all(pause <= LONGEST_S * (1 + SPREAD) for pause in known)
    assert 0.9 * DAY_S < sum(known) < 1.2 * DAY_S
    assert known[0] <= FIRST_S * (1 + SPREAD) < known[1] < known[2]
    assert pause_after(TRIES) is None
    assert pause_after(1, 600.0) == 600.0
    assert pause_after(1, 1e9) == LONGEST_S


@pytest.mark.parametrize(
    "content",
    ["", "s3cret", "whsec_", "whsec_s3cret", "whsec_c2hvcnQ=", "whsec_密密密密密密密密", f"{SECRET}\nwhsec_***", None],
)
def test_without_a_secret_calls_wait(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, content: str | None
) -> None:
    """They are not tried, and the text names the setting and the file, never what is in it."""
    if content is not None:
        (settings.home / "secrets").mkdir(parents=True)
        (settings.home / "secrets" / "callback_secret").write_text(content)
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_CALLBACK_SECRET_FILE: .*callback_secret") as failed:
        deliver(settings, catalogue)
    assert "s3cret" not in str(failed.value)
    assert last_of(catalogue, task.id).tries == 0


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://x/",
            "file:///etc/passwd",
            "x",
            "http://",
            "https:///a",
            "http://a b/",
            "http://a/\x00",
            "http://a/\n",
        ),
        *("http://a/" + "a" * MAX_CALLBACK_URL, "http://[::1", "http://a:99999/", "javascript:alert(1)"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    """By the name of the field, and without what may be a secret."""
    with pytest.raises(InvalidRequest, match=r"^callback_url: ") as refused:
        check_callback_url(url)
    assert refused.value.field == "callback_url"
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/x?y=1", "https://u:p@x.example/", "https://例子.example/回调"])
def test_a_url_of_good_form_is_taken(url: str) -> None:
    """Its address is checked when it is called."""
    check_callback_url(url)
