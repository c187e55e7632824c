"""Callbacks in the catalogue: an end and the call that tells of it are one transaction, and one sender has a call."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, select, update

from face_import.catalogue import Call, Catalogue
from face_import.catalogue.callbacks import NO_CALL, PER_ORIGIN
from face_import.catalogue.schema import callback, import_task
from face_import.contract import CallState, Code, Event, Mode, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Outcome, OutcomeBatch
from tests.conftest import MakeTask

URL = "https://user:s3cret@app.example.com/hooks?token=s3cret"
End = Callable[[Catalogue, str], object]


def write(catalogue: Catalogue, task_id: str, *codes: Code) -> None:
    """Give the first rows of a task an outcome each."""
    outcomes = tuple(Outcome(n, f"http://x/{n}.jpg", code, message="m") for n, code in enumerate(codes, 1))
    catalogue.leases.take(task_id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", outcomes))
    catalogue.leases.give_back(task_id, 0, "me", in_doubt=False)


def complete(catalogue: Catalogue, task_id: str) -> None:
    """Handle all rows and complete the task."""
    write(catalogue, task_id, *[Code.OK] * 9, Code.NO_FACE)
    assert catalogue.tasks.complete(task_id)


def all_calls(catalogue: Catalogue) -> list[tuple[str, int, str]]:
    """Task, attempt and event of everything that is or was to be told."""
    query = select(callback.c.task_id, callback.c.attempt, callback.c.event).order_by(callback.c.attempt)
    with catalogue.engine.begin() as connection:
        return [(task_id, attempt, kind) for task_id, attempt, kind in connection.execute(query)]


def claim(catalogue: Catalogue, at_most: int = 100, lease_s: float = 60.0) -> list[Call]:
    """What one sender gets."""
    return catalogue.callbacks.claim(at_most, lease_s)


@pytest.mark.parametrize(
    ("end", "kind", "error"),
    [
        (lambda catalogue, task_id: catalogue.tasks.stop(task_id), Event.STOPPED, ""),
        (lambda catalogue, task_id: catalogue.tasks.halt(task_id, "it broke"), Event.STOPPED, "it broke"),
        (lambda catalogue, task_id: catalogue.runs.run_failed(task_id, 1e12, "failed"), Event.STOPPED, "failed"),
        (lambda catalogue, task_id: write(catalogue, task_id, Code.OK, Code.NO_FACE), Event.STOPPED, "row 2: "),
        (complete, Event.STOPPED, "row 10: "),
    ],
    ids=["stop", "halt", "run failed", "mode 1", "mode 1, last row"],
)
def test_each_way_to_end_writes_the_call(
    catalogue: Catalogue, make_task: MakeTask, end: End, kind: Event, error: str
) -> None:
    """Once, with the task as it is then; a second end of the same attempt is none."""
    task = make_task(mode=Mode.STOP, callback_url=URL)
    catalogue.runs.note_queued(task.id, 1, 1.0)
    assert all_calls(catalogue) == []
    if end is complete:
        with pytest.raises(AssertionError):
            end(catalogue, task.id)
    else:
        end(catalogue, task.id)
    assert all_calls(catalogue) == [(task.id, 1, kind)]
    (call,) = claim(catalogue)
    now = catalogue.tasks.get(task.id)
    progress = catalogue.ledger.progress(task.id)
    assert (call.event, call.url, call.origin, call.tries) == (kind, URL, "app.example.com", 1)
    assert (call.data["id"], call.data["state"], call.data["attempts"]) == (task.id, now.state, 1)
    assert (call.data["last_error"], call.data["handled_num"]) == (now.last_error, progress.handled)
    assert now.last_error.startswith(error)
    catalogue.tasks.halt(task.id, "again")
    assert all_calls(catalogue) == [(task.id, 1, kind)]


def test_a_completion_is_told_with_its_counts(catalogue: Catalogue, make_task: MakeTask) -> None:
    """All rows are in it, and when it was completed."""
    task = make_task(callback_url=URL)
    complete(catalogue, task.id)
    (call,) = claim(catalogue)
    counts = {name: call.data[name] for name in ("total_num", "handled_num", "success_num", "failed_num", "errors")}
    assert call.event == Event.COMPLETED
    assert counts == {"total_num": 10, "handled_num": 10, "success_num": 9, "failed_num": 1, "errors": {"201": 1}}
    assert call.data["finished_at"] is not None
    assert "s3cret" not in str(call.data)


def test_nobody_is_told_without_a_url(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Nothing is written for such a task."""
    task = make_task()
    complete(catalogue, task.id)
    assert all_calls(catalogue) == []
    assert catalogue.callbacks.last(task.id) is None


def test_what_is_no_end_is_not_told(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A start that is undone, rows that are reopened, a delete."""
    task = make_task(running=False, callback_url=URL)
    catalogue.tasks.undo_start(catalogue.tasks.start(task.id))
    catalogue.tasks.start(task.id)
    complete(catalogue, task.id)
    catalogue.reopening.reopen(task.id, FailedRows((), (), ()))
    assert catalogue.tasks.get(task.id).state == TaskState.STOPPED
    assert all_calls(catalogue) == [(task.id, 2, Event.COMPLETED)]
    deleted = make_task(callback_url=URL)
    catalogue.tasks.mark_deleted(deleted.id)
    assert len(all_calls(catalogue)) == 1


def test_an_end_that_is_rolled_back_is_not_told(catalogue: Catalogue, make_task: MakeTask) -> None:
    """And a call that cannot be written takes the end back with it: neither is there without the other."""
    task = make_task(callback_url=URL)

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO callback"):
            raise OSError("killed here")

    event.listen(catalogue.engine, "before_cursor_execute", fail)
    for end in (catalogue.tasks.stop, lambda task_id: catalogue.tasks.halt(task_id, "x")):
        with pytest.raises(OSError, match="killed here"):
            end(task.id)
    event.remove(catalogue.engine, "before_cursor_execute", fail)
    assert catalogue.tasks.get(task.id).state == TaskState.RUNNING
    assert all_calls(catalogue) == []


def test_each_attempt_has_a_call_with_an_id_of_its_own(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A stop, a resume and a completion are two events, and `last` is about the second one."""
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    catalogue.tasks.start(task.id)
    complete(catalogue, task.id)
    first, second = sorted(claim(catalogue), key=lambda call: call.attempt)
    assert (first.event, second.event) == (Event.STOPPED, Event.COMPLETED)
    assert first.id != second.id
    catalogue.callbacks.failed(second, "503", 60.0)
    catalogue.callbacks.delivered(first, "200 OK")
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert (last.state, last.event, last.id, last.answer) == (CallState.PENDING, second.event, second.id, "503")


def test_a_call_is_claimed_by_one_until_its_lease_ends(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Then it is due again, under the same id, for whoever has died has not settled it."""
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    (first,) = claim(catalogue, lease_s=0.0)
    (again,) = claim(catalogue)
    assert (again.id, again.data, again.ended_at, again.tries) == (first.id, first.data, first.ended_at, 2)
    assert claim(catalogue) == []


def test_a_late_failure_changes_nothing_and_a_late_success_settles(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Whoever was thought dead may still report: that it has arrived counts, that it has not does not."""
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    (slow,) = claim(catalogue, lease_s=0.0)
    (second,) = claim(catalogue)
    catalogue.callbacks.failed(slow, "late", None)
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert (last.state, last.answer) == (CallState.PENDING, "")
    catalogue.callbacks.delivered(slow, "200 OK")
    catalogue.callbacks.failed(second, "503", 0.0)
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert (last.state, last.answer, last.due_at) == (CallState.DELIVERED, "200 OK", None)
    assert claim(catalogue) == []


def test_a_host_that_hangs_does_not_hold_up_others(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of one origin only some are claimed, however many are due for longer, and fewer with calls under way."""
    for _ in range(PER_ORIGIN + 3):
        catalogue.tasks.stop(make_task(callback_url="http://Hangs.example:8000/x").id)
    other = make_task(callback_url="http://good.example/")
    catalogue.tasks.stop(other.id)
    assert catalogue.callbacks.claim(1, 60.0, busy={"hangs.example:8000": PER_ORIGIN})[0].task_id == other.id
    assert len(catalogue.callbacks.claim(100, 60.0, busy={"hangs.example:8000": PER_ORIGIN - 1, "x": 2})) == 1
    assert len(claim(catalogue)) == PER_ORIGIN


@pytest.mark.parametrize("url", ["https://user:pa[ss@App.example.com:1/hook", "https://u\u2100:p@h.example/", "x", ""])
def test_no_url_keeps_a_task_from_ending(catalogue: Catalogue, make_task: MakeTask, url: str) -> None:
    """Whatever was stored: `urlsplit` would raise for some of these."""
    task = make_task(callback_url=url)
    catalogue.tasks.stop(task.id)
    assert {call.origin for call in claim(catalogue)} <= {"app.example.com:1", "h.example", ""}


def test_a_late_result_is_not_that_of_another_task_with_the_id(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A run that is started again under its name after a delete has a task with the same id, and the same attempt."""
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    (call,) = claim(catalogue)
    with catalogue.engine.begin() as connection:
        connection.execute(update(callback).values(id="another"))
    catalogue.callbacks.delivered(call, "200 OK")
    catalogue.callbacks.failed(call, "410 Gone", None)
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert (last.state, last.answer) == (CallState.PENDING, "")


def test_a_deleted_task_is_not_told_of_any_more(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Neither its calls nor its URL are left, and purging it removes the rows."""
    task = make_task(callback_url=URL)
    catalogue.tasks.stop(task.id)
    catalogue.tasks.mark_deleted(task.id)
    assert claim(catalogue) == []
    with catalogue.engine.begin() as connection:
        assert connection.scalar(select(import_task.c.callback_url)) == ""
    while catalogue.tasks.purge_some(task.id):
        pass
    assert all_calls(catalogue) == []


def test_what_became_of_a_call(catalogue: Catalogue, make_task: MakeTask) -> None:
    """None so far, pending, given up."""
    task = make_task(callback_url=URL)
    assert catalogue.callbacks.last(task.id) is None
    assert NO_CALL.state == CallState.NONE
    catalogue.tasks.stop(task.id)
    (call,) = claim(catalogue)
    catalogue.callbacks.failed(call, "410 Gone", None)
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert (last.state, last.tries, last.answer, last.due_at) == (CallState.GIVEN_UP, 1, "410 Gone", None)
    with catalogue.engine.begin() as connection:
        connection.execute(update(callback).values(tries=2))
    assert claim(catalogue) == []


def test_the_url_is_in_no_representation(make_task: MakeTask) -> None:
    """What is logged of a task does not have it."""
    assert "s3cret" not in repr(make_task(callback_url=URL))
