"""Recurring imports on real Airflow: each run is an import task, and succeeds or fails with it."""

from datetime import UTC, datetime
from typing import Any

from face_import.domain.identity import import_of_run
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.waiting import until

ENDED = {"success", "failed"}


def start(stack: RealStack, entry: str, run_id: str, day: int = 2) -> str:
    """Start an entry as its schedule would on a day of January 2020; returns the id of its import."""
    dag_id = f"recurring_{entry}"
    until(lambda: any(dag["dag_id"] == dag_id for dag in stack.rest("dags", limit=100)["dags"]))
    date = datetime(2020, 1, day, tzinfo=UTC).isoformat()
    stack.rest(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": date})
    return import_of_run(dag_id, run_id)


def run(stack: RealStack, entry: str, run_id: str) -> dict[str, Any]:
    """A run of an entry."""
    return stack.rest(f"dags/recurring_{entry}/dagRuns/{run_id}")


def instance(stack: RealStack, entry: str, run_id: str, task: str = "import") -> dict[str, Any]:
    """A task instance of an entry's run."""
    return stack.rest(f"dags/recurring_{entry}/dagRuns/{run_id}/taskInstances/{task}")


def log(stack: RealStack, entry: str, run_id: str, task: str) -> str:
    """What the first try of a task said."""
    return str(stack.rest(f"dags/recurring_{entry}/dagRuns/{run_id}/taskInstances/{task}/logs/1"))


def clear(stack: RealStack, entry: str, run_id: str) -> None:
    """Clear the import task of an entry's run, as a person does in the UI."""
    body = {"dag_run_id": run_id, "task_ids": ["import"], "dry_run": False, "only_failed": False}
    stack.rest(f"dags/recurring_{entry}/clearTaskInstances", {**body, "reset_dag_runs": True})


def ended(stack: RealStack, entry: str, run_id: str) -> str:
    """Wait for the end of an entry's run, and return its state."""
    return str(until(lambda: (state := run(stack, entry, run_id)["state"]) in ENDED and state, 120))


def test_a_run_is_an_import_task_and_starts_what_follows(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """Its date is in the source's URL, the API knows it, and the entry that follows its group runs after it."""
    task_id = start(stack, "early", "once")
    assert ended(stack, "early", "once") == "success"
    detail = stack.api.detail(task_id)
    assert (detail["state"], detail["group_name"], detail["success_num"]) == (4, "recurring", 5)
    assert detail["changes"] == {"new": 5, "changed": 0, "unchanged": 0, "gone": 0}
    assert "/csv?rows=5&day=2020-01-02" in images.record(paths=1)["paths"]
    counts = stack.rest("dags/recurring_early/dagRuns/once/taskInstances/import/xcomEntries/return_value")["value"]
    assert "succeeded" in str(counts)
    assert "unchanged" in str(counts)
    (follower,) = until(lambda: stack.rest("dags/recurring_chained/dagRuns")["dag_runs"])
    assert ended(stack, "chained", follower["dag_run_id"]) == "success"
    assert services.record()["groups"] == {"recurring": 5, "chained": 3}


def test_it_waits_without_a_process_and_clearing_it_repeats_nothing(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """While the import runs the task is deferred; cleared during it, it waits on, and cleared after it, it is done."""
    services.control(delay_s=0.1)
    task_id = start(stack, "slow", "once")
    until(lambda: instance(stack, "slow", "once")["state"] == "deferred")
    until(lambda: stack.catalogue.tasks.peek(task_id))
    stack.api.handled(task_id, 10)
    clear(stack, "slow", "once")
    until(lambda: instance(stack, "slow", "once")["try_number"] == 2)
    assert ended(stack, "slow", "once") == "success"
    assert stack.catalogue.tasks.get(task_id).attempt == 1
    clear(stack, "slow", "once")
    until(lambda: instance(stack, "slow", "once")["try_number"] == 3)
    assert ended(stack, "slow", "once") == "success"
    assert stack.catalogue.tasks.get(task_id).attempt == 1
    assert services.record()["by_kind"]["add"] == 600


def test_it_fails_with_the_import_and_clearing_it_goes_on(
    stack: RealStack, services: FaceServices, images: ImageHost
) -> None:
    """The import's last error is the task's; no retry goes on by itself, a person's clearing does."""
    task_id = start(stack, "strict", "once")
    assert ended(stack, "strict", "once") == "failed"
    assert instance(stack, "strict", "once")["try_number"] == 1
    detail = stack.api.detail(task_id)
    assert (detail["state"], detail["handled_num"]) == (3, 1)
    assert detail["last_error"].split(":")[0] == "row 1"
    assert detail["last_error"] in log(stack, "strict", "once", "import")
    clear(stack, "strict", "once")
    until(lambda: instance(stack, "strict", "once")["try_number"] == 2)
    assert ended(stack, "strict", "once") == "failed"
    assert stack.api.detail(task_id)["handled_num"] == 2


def test_a_deleted_import_ends_the_wait(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """Whoever deletes the import does not leave its entry's run waiting forever."""
    services.control(delay_s=0.2)
    task_id = start(stack, "slow", "deleted", day=3)
    until(lambda: instance(stack, "slow", "deleted")["state"] == "deferred")
    until(lambda: stack.catalogue.tasks.peek(task_id))
    stack.api.handled(task_id, 5)
    stack.api.ok(f"{task_id}/delete")
    assert ended(stack, "slow", "deleted") == "failed"
    assert "it was deleted" in log(stack, "slow", "deleted", "import")


def test_a_source_that_is_missing_is_waited_for_and_then_named(stack: RealStack, images: ImageHost) -> None:
    """No import is made of it; the run fails when the patience is over, and says what was not there and why."""
    task_id = start(stack, "missing", "once")
    assert ended(stack, "missing", "once") == "failed"
    said = log(stack, "missing", "once", "wait_for_source")
    assert f"waited 3 s for the source {images.url}/missing, and it is not there: 404 Not Found" in said
    assert stack.catalogue.tasks.peek(task_id) is None


def test_a_source_that_comes_late_is_imported(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The wait takes no process, and the import begins when the file is there."""
    task_id = start(stack, "late", "once")
    until(lambda: instance(stack, "late", "once", "wait_for_source")["state"] == "up_for_reschedule")
    inbox = stack.settings.home / "inbox"
    (inbox / "half").write_text(f"{images.image(n=1)},t,d\n")
    (inbox / "half").rename(inbox / "2020-01-02.csv")
    assert ended(stack, "late", "once") == "success"
    assert stack.api.detail(task_id)["success_num"] == 1


def test_a_source_that_is_not_allowed_is_not_waited_for(stack: RealStack) -> None:
    """The patience of an hour is not used up on what will never come."""
    start(stack, "forbidden", "once")
    assert ended(stack, "forbidden", "once") == "failed"
    assert "is not allowed; a source must be" in log(stack, "forbidden", "once", "wait_for_source")


def test_a_broken_entry_is_an_import_error(stack: RealStack) -> None:
    """It names the entry and what is wrong; the other entries have their DAGs."""
    (error,) = until(lambda: stack.rest("importErrors")["import_errors"])
    assert error["filename"].endswith("recurring_imports_check.py")
    assert "entry broken: schedule: " in error["stack_trace"]
    dags = {dag["dag_id"] for dag in stack.rest("dags", limit=100)["dags"]}
    assert "recurring_broken" not in dags
    assert {"face_import", "recurring_early", "recurring_late"} <= dags
