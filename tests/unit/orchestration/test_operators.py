"""The operator of the import DAG's tasks."""

from typing import Any, cast

import pytest
from airflow.sdk import DAG, Context

from face_import.contract import SHARD_QUEUE
from face_import.orchestration.dag.operators import InterruptibleTask, interruptible_task, queue_of_shards
from face_import.settings import Settings


@pytest.fixture(autouse=True)
def _not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InterruptibleTask, "asked_to_end", False)


def double(number: int) -> int:
    """Something to do."""
    return 2 * number


def test_it_is_airflows_task_to_look_at() -> None:
    """It calls its function with its arguments, and Airflow's pages show `@task`."""
    with DAG("test", schedule=None) as dag:
        interruptible_task(task_id="double", retries=3)(double)(21)
    task = cast("Any", dag.get_task("double"))
    assert isinstance(task, InterruptibleTask)
    assert (task.operator_name, task.retries) == ("@task", 3)
    assert task.execute(Context()) == 42


def test_a_request_to_end_is_remembered_by_the_process() -> None:
    """Whichever operator hears it: Airflow makes a new one for a mapped task instance."""
    heard, other = (
        InterruptibleTask(task_id=name, python_callable=double, op_args=(21,), op_kwargs={}) for name in ("a", "b")
    )
    assert not InterruptibleTask.asked_to_end
    heard.on_kill()
    assert InterruptibleTask.asked_to_end
    assert other.asked_to_end


def test_shards_have_a_queue_where_celery_takes_from_it() -> None:
    """Without a broker there is one executor and no queue."""
    assert queue_of_shards(Settings()) == {}
    assert queue_of_shards(Settings(broker_url="redis://localhost/0")) == {"queue": SHARD_QUEUE}
