"""The `@task` of the import's DAG: Airflow's own, which also remembers a request to end that came before the work."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory

from face_import.contract import SHARD_QUEUE
from face_import.settings import Settings


class ImportOperator(DecoratedOperator, PythonOperator):
    """Calls a function; once Airflow has told its process to end, `asked_to_end` is set.

    Airflow's SIGTERM handler only calls `on_kill`, and five seconds later comes SIGKILL. A task instance that was
    stopped while its process still waited for Airflow would begin its work in between, to be killed in it.
    """

    custom_operator_name = "@task"
    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "templates_dict": "json",
        "op_args": "py",
        "op_kwargs": "py",
    }
    asked_to_end = False
    """Of this process, which runs one task instance; Airflow makes a new operator for it on the way."""

    def __init__(
        self,
        *,
        python_callable: Callable[..., object],
        op_args: Sequence[object],
        op_kwargs: Mapping[str, object],
        **kwargs: Any,
    ) -> None:
        call: dict[str, Any] = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=call, **call, **kwargs)

    def on_kill(self) -> None:
        """Remember; the function ends as soon as it may look."""
        ImportOperator.asked_to_end = True


def import_task(**arguments: Any) -> TaskDecorator:
    """`@task` with this operator; takes the operator's arguments."""
    return task_decorator_factory(decorated_operator_class=ImportOperator, **arguments)


def queue_of_shards(settings: Settings) -> dict[str, str]:
    """Argument that puts shards into a queue of their own where Celery's workers, started by us, take from it, too.

    Celery takes from one queue in the order of arrival: the `plan` of an import would wait for all shards before it.
    """
    return {"queue": SHARD_QUEUE} if settings.broker_url else {}
