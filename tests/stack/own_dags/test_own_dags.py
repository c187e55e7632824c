"""The example DAGs on real Airflow: `FaceImportOperator` waits without a process, and returns the counts."""

from typing import Any

from face_import.domain.identity import import_of_run
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.waiting import until

ENDED = {"success", "failed"}


def start(stack: RealStack, dag_id: str, run_id: str, **params: object) -> None:
    """Trigger a run, once Airflow knows the DAG."""
    until(lambda: any(dag["dag_id"] == dag_id for dag in stack.rest("dags", limit=100)["dags"]))
    stack.rest(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": params})


def ended(stack: RealStack, dag_id: str, run_id: str) -> str:
    """Wait for the end of a run, and return its state."""
    return str(until(lambda: (now := stack.rest(f"dags/{dag_id}/dagRuns/{run_id}")["state"]) in ENDED and now, 120))


def instance(stack: RealStack, dag_id: str, run_id: str, path: str) -> dict[str, Any]:
    """What the API says of a task instance."""
    return stack.rest(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{path}")


def test_its_result_is_the_counts(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """The next task gets them; while the import runs there is no process, and a link leads to it."""
    services.control(delay_s=0.1)
    task_id = import_of_run("nightly_staff", "once")
    start(stack, "nightly_staff", "once", file=f"{images.url}/csv?rows=300")
    until(lambda: instance(stack, "nightly_staff", "once", "import")["state"] == "deferred")
    link = instance(stack, "nightly_staff", "once", "import/links")["extra_links"]["Import"]
    assert link == f"{stack.settings.console_url}/runs/{task_id}"
    assert ended(stack, "nightly_staff", "once") == "success"
    report = instance(stack, "nightly_staff", "once", "report/xcomEntries/return_value")["value"]
    assert report == "300 imported, failed by code: {}"
    detail = stack.api.detail(task_id)
    assert (detail["state"], detail["group_name"], detail["success_num"]) == (4, "staff", 300)
    assert (detail["config"]["thread_num"], detail["config"]["pos_yaw"]) == (20, 30)
    note = stack.rest(f"dags/face_import/dagRuns/{task_id}")["note"]
    assert note == "staff: 300 of 300 imported"


def test_failed_rows_fail_it_if_asked(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """What comes after it does not run."""
    file = stack.settings.home / "inbox" / "failures.csv"
    file.write_text(f"{images.image(n=1)},t,d\n{images.url}/missing,t,d\n")
    start(stack, "nightly_staff", "failures", file=file.as_uri())
    assert ended(stack, "nightly_staff", "failures") == "failed"
    assert instance(stack, "nightly_staff", "failures", "report")["state"] == "upstream_failed"
    assert stack.api.detail(import_of_run("nightly_staff", "failures"))["success_num"] == 1


def test_one_task_imports_many_files(stack: RealStack, services: FaceServices, images: ImageHost) -> None:
    """Each part of a mapped task has an import of its own."""
    start(stack, "branches", "once", files=[f"{images.url}/csv?rows={rows}" for rows in (3, 4)])
    assert ended(stack, "branches", "once") == "success"
    tasks = [import_of_run("branches", "once", map_index=index) for index in (0, 1)]
    assert [stack.api.detail(task_id)["success_num"] for task_id in tasks] == [3, 4]


def test_a_wrong_parameter_is_named(stack: RealStack, images: ImageHost) -> None:
    """A source that is not a URL fails the task at its first try, in a line that names the parameter."""
    start(stack, "nightly_staff", "wrong", file="faces.csv")
    assert ended(stack, "nightly_staff", "wrong") == "failed"
    assert instance(stack, "nightly_staff", "wrong", "import")["try_number"] == 1
    log = str(stack.rest("dags/nightly_staff/dagRuns/wrong/taskInstances/import/logs/1"))
    assert "Airflow does not take the import: Invalid input for param source" in log
