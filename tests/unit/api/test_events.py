"""Live events: what is told and when, how many may listen, and when a stream ends."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from api_shim import events
from api_shim.events import told
from api_shim.feed import Feed
from api_shim.slots import EVENTS
from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from tests.conftest import MakeTask


@pytest.fixture
def feed(catalogue: Catalogue) -> Feed:
    """A feed that looks whenever it is asked."""
    return Feed(catalogue, every_s=0.0)


def handle(catalogue: Catalogue, task_id: str, first: int, last: int) -> None:
    """Give these rows of a task an outcome."""
    outcomes = tuple(Outcome(n, f"http://x/{n}.jpg", Code.OK, face_id=f"f{n}") for n in range(first, last + 1))
    catalogue.leases.take(task_id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", outcomes))
    catalogue.leases.give_back(task_id, 0, "me", in_doubt=False)


def fields(piece: str) -> dict[str, Any]:
    """An event's fields; its data as JSON."""
    assert piece.endswith("\n\n")
    found: dict[str, Any] = dict(line.split(": ", 1) for line in piece.rstrip("\n").split("\n"))
    return found | ({"data": json.loads(found["data"])} if "data" in found else {})


def events_of(pieces: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream, without comments."""
    return (fields(piece) for piece in pieces if not piece.startswith(":"))


def test_progress_is_told_when_it_changes_until_the_end(feed: Feed, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Nothing is said twice; the end has an id, and nothing follows it."""
    task = make_task()
    stream = events_of(told(feed, task.id, longest_s=600.0, silence_s=0.0))
    assert next(stream) == {"retry": "2000"}
    first = next(stream)
    assert (first["event"], first["data"]["handled_num"], "id" in first) == ("task.progress", 0, False)
    handle(catalogue, task.id, 1, 4)
    second = next(stream)
    assert (second["event"], second["data"]["handled_num"]) == ("task.progress", 4)
    handle(catalogue, task.id, 5, 10)
    catalogue.tasks.complete(task.id)
    last = next(stream)
    assert (last["event"], last["id"], last["data"]["state"]) == ("task.completed", "1.4", 4)
    assert last["data"]["id"] == task.id
    assert list(stream) == []


def test_a_task_that_is_not_started_is_waited_for(feed: Feed, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Its stream goes on when it is started, and tells of a stop with its reason."""
    task = make_task(running=False)
    stream = events_of(told(feed, task.id, longest_s=600.0, silence_s=0.0))
    assert [next(stream).get("event") for _ in range(2)] == [None, "task.progress"]
    catalogue.tasks.start(task.id)
    assert next(stream)["data"]["state"] == 2
    catalogue.tasks.halt(task.id, "line 1\nline 2")
    last = next(stream)
    assert (last["event"], last["data"]["last_error"]) == ("task.stopped", "line 1\nline 2")
    assert list(stream) == []


def test_a_delete_ends_the_stream(feed: Feed, catalogue: Catalogue, make_task: MakeTask) -> None:
    """With an event that has only the id."""
    task = make_task()
    stream = events_of(told(feed, task.id, longest_s=600.0, silence_s=0.0))
    next(stream), next(stream)
    catalogue.tasks.mark_deleted(task.id)
    last = next(stream)
    assert (last["event"], last["data"]) == ("task.deleted", {"id": task.id})
    assert list(stream) == []


def test_silence_is_broken_by_a_comment(feed: Feed, make_task: MakeTask) -> None:
    """By which a client that is gone is noticed."""
    stream = told(feed, make_task().id, longest_s=600.0, silence_s=0.0)
    pieces = [next(stream) for _ in range(4)]
    assert pieces[2:] == [":\n\n", ":\n\n"]


def test_a_stream_does_not_last_for_ever(feed: Feed, make_task: MakeTask) -> None:
    """The client is told when to come back."""
    assert list(told(feed, make_task().id, longest_s=0.0)) == ["retry: 2000\n\n"]


def test_streams_end_when_the_process_is_asked_to(
    feed: Feed, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must not hold it up."""
    ending = events.threading.Event()
    ending.set()
    monkeypatch.setattr(events, "ENDING", ending)
    assert [piece.partition(":")[0] for piece in told(feed, make_task().id, longest_s=600.0)] == ["retry", "event"]


def test_a_database_that_is_away_ends_the_stream(
    feed: Feed, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quietly: the client comes back by itself."""

    def fail(_: str) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    monkeypatch.setattr(feed, "look", fail)
    assert list(told(feed, make_task().id, longest_s=600.0)) == ["retry: 2000\n\n"]


def test_clients_of_a_task_share_its_looks(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; and nothing is kept of a task that nobody follows."""
    feed, looks = Feed(catalogue, every_s=3600.0), []
    look = feed.look
    monkeypatch.setattr(feed, "look", lambda task_id: (looks.append(task_id), look(task_id))[1])
    one, other = make_task(), make_task()
    with ExitStack() as stack:
        for task in (one, one, one, other):
            stack.enter_context(feed.following(task.id))()
        assert looks == [one.id, other.id]
    assert feed._followed == {}


def test_an_ended_task_is_told_of_at_once(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """And a browser that comes back after that learns not to, until the task has ended another time."""
    task = make_task()
    catalogue.tasks.stop(task.id)
    path = f"/v1/tasks/{task.id}/events"
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert (answer.headers["X-Accel-Buffering"], answer.headers["Cache-Control"]) == ("no", "no-store")
    _, last = answer.text.removesuffix("\n\n").split("\n\n")
    seen = {"Last-Event-ID": fields(f"{last}\n\n")["id"]}
    again = client.get(path, headers=seen)
    assert (again.status_code, again.data) == (204, b"")
    catalogue.tasks.start(task.id)
    catalogue.tasks.stop(task.id)
    assert "event: task.stopped" in client.get(path, headers=seen).text


def test_so_many_may_listen_and_places_come_back(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """One more is told so; whoever hangs up, or hears the end, leaves a place."""
    task = make_task()
    path = f"/v1/tasks/{task.id}/events"
    streams = [client.get(path) for _ in range(EVENTS.number)]
    refused = client.get(path)
    assert (refused.status_code, refused.json["code"], refused.headers["Retry-After"]) == (503, "busy", "5")
    assert "32 live streams of events are in progress" in refused.json["error"]
    streams.pop().close()
    client.get(path).close()
    catalogue.tasks.stop(task.id)
    for stream in streams:
        assert "task.stopped" in stream.text
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("task_id", ["AAAAAAAAAAAA", "short", "x" * 100])
def test_a_task_that_is_not_there_is_404(client: FlaskClient, task_id: str) -> None:
    """As everywhere, before a stream begins."""
    assert client.get(f"/v1/tasks/{task_id}/events").status_code == 404
