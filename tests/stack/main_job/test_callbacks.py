"""Callbacks of imports on a real stack, of the API and of Airflow's form, signed with the secret that it made."""

import os
import signal

import pytest
from standardwebhooks import Webhook

from face_import.domain.identity import task_id_of_run
from tests.doubles.process import ImageHost
from tests.integration.clients.evil import evil, head
from tests.real import RealStack
from tests.stack.main_job.test_main_job import FORM, rows
from tests.waiting import until


@pytest.mark.timeout(300)
def test_each_end_is_told_even_if_the_keeper_is_killed(stack: RealStack, images: ImageHost) -> None:
    """A stop and a completion of one import, and the completion of a run from Airflow's form."""
    secret = (stack.layout.secrets / "callback_secret").read_text().strip()
    with evil(lambda _: [head("Content-Length: 0", status="204 No Content")]) as receiver:

        def told() -> list[tuple[str, str]]:
            messages = [
                Webhook(secret).verify(body, headers)
                for body, (_, headers) in zip(receiver.sent, receiver.asked, strict=True)
            ]
            return [(message["data"]["id"], message["type"]) for message in messages]

        task_id = stack.api.create(rows(images, 600), thread_num=2, callback_url=receiver.url("/hooks"))
        stack.api.ok(f"{task_id}/start")
        stack.api.handled(task_id, 1)
        (keeper,) = (process for process in stack.processes() if process.cmdline()[-1] == "keeper")
        os.kill(keeper.pid, signal.SIGKILL)
        stack.api.ok(f"{task_id}/stop")
        until(lambda: (task_id, "task.stopped") in told())
        stack.api.post(f"{task_id}/config", json={"thread_num": 20})
        stack.api.ok(f"{task_id}/start")
        assert stack.api.state(task_id, 3, 4)["state"] == 4
        until(lambda: (task_id, "task.completed") in told())
        shown = until(lambda: (seen := stack.api.detail(task_id)["callback"])["state"] == "delivered" and seen)
        assert (shown["event"], shown["answer"]) == ("task.completed", "204 No Content")

        conf = FORM | {
            "group_name": "told",
            "source": f"{images.url}/csv?rows=3",
            "callback_url": receiver.url("/form"),
        }
        run_id = "told-from-the-form"
        stack.airflow.trigger(run_id, conf, "")
        until(lambda: (task_id_of_run(run_id), "task.completed") in told(), deadline_s=120)
        assert len(told()) == 3
