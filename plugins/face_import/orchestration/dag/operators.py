"""The `@task` of the import DAG: Airflow's own, which also remembers that its process was asked to end."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory

from face_import.contract import SHARD_QUEUE
from face_import.settings import Settings


class InterruptibleTask(DecoratedOperator, PythonOperator):
    """Calls a function that can find out, by `asked_to_end`, that Airflow has asked its process to end.

    Airflow's SIGTERM handler only calls `on_kill`; SIGKILL follows five seconds later. Without the flag, a task
    instance that was stopped before its function installed a handler of its own would start working in between,
    only to be killed in the middle of it.
    """

    custom_operator_name = "@task"
    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "templates_dict": "json",
        "op_args": "py",
        "op_kwargs": "py",
    }
    asked_to_end = False
    """Set on the class: a process runs one task instance, but Airflow replaces the operator object on the way."""

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
        """Record the request; the function acts on it as soon as it can."""
        InterruptibleTask.asked_to_end = True


def interruptible_task(**arguments: Any) -> TaskDecorator:
    """`@task` as an `InterruptibleTask`; takes the operator's arguments."""
    return task_decorator_factory(decorated_operator_class=InterruptibleTask, **arguments)


def queue_of_shards(settings: Settings) -> dict[str, str]:
    """The `queue` argument of shards: one of their own if Celery workers, which we start, take tasks from it as well.

    Celery serves a queue first come, first served: in a shared queue the `plan` of one import would wait behind all
    shards of the imports before it.
    """
    return {"queue": SHARD_QUEUE} if settings.broker_url else {}
