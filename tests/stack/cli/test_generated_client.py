"""A whole import by a client that was generated from the OpenAPI document, on a real Airflow."""

import io
from pathlib import Path

import requests

from face_import.contract import Code, TaskState
from tests.doubles.process import ImageHost
from tests.generated import python_client
from tests.real import RealStack
from tests.stack.cli.test_real import csv_of
from tests.waiting import until


def test_from_create_to_the_log(stack: RealStack, images: ImageHost, tmp_path: Path) -> None:
    """Each answer is an object of the client's own, with the numbers' names."""
    url = f"http://127.0.0.1:{stack.settings.port}"
    document = requests.get(f"{url}/openapi.json", timeout=30).json()
    csv_of(tmp_path / "faces.csv", images, 20, frozenset({3, 7}))
    content = (tmp_path / "faces.csv").read_bytes()
    with python_client(document, tmp_path) as generated:
        client, api, models = generated.Client(base_url=url), generated.api.tasks, generated.models
        file = generated.types.File(io.BytesIO(content), "faces.csv", "text/csv")
        form = models.CreateForm(group_name="generated", width=1, thread_num=5, file=file)
        created = api.create_task.sync(client=client, body=form, idempotency_key="generated-1")
        assert type(api.start_task.sync(client=client, task_id=created.id)) is models.Started

        def completed() -> bool:
            return api.get_detail.sync(client=client, task_id=created.id).state is models.TaskState.COMPLETED

        until(completed)
        detail = api.get_detail.sync(client=client, task_id=created.id)
        assert (detail.config.width, detail.total_num, detail.success_num) == (1, 20, 18)
        assert detail.errors.to_dict() == {str(Code.NO_FACE.value): 2}
        assert detail.started_at < detail.finished_at
        log = api.get_log.sync(client=client, task_id=created.id, code=models.Code.NO_FACE, limit=1)
        assert ([entry.row for entry in log.logs], log.total_count) == ([3], 2)
        body = models.ListBody(group_name="generated", status=TaskState.COMPLETED)
        listed = api.list_tasks.sync(client=client, body=body)
        assert listed.ids == [created.id]
        downloaded = api.download_rows.sync(client=client, task_id=created.id, rows=models.Rows.IMPORTED)
        assert downloaded.count("http") == 18
        again = api.retry_task.sync(client=client, task_id=created.id, body=models.RetryBody(preview=True))
        assert again.rows == 2
        refused = api.start_task.sync(client=client, task_id=created.id)
        assert (type(refused), refused.code) == (models.Error, "wrong_state")
