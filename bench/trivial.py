"""The peer of what waits for Airflow: DAGs that do nothing, on the same stack (bench/dags)."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import requests

from bench.figures import CHECKOUT
from face_import.stack.environment import stack_environment
from tests.real import RealStack
from tests.waiting import until

WITHIN_S = 120
_TWO_STEPS, _ON_A_WORKER = "trivial", "trivial_elsewhere"
_BUNDLES = """
[dag_processor]
dag_bundle_config_list = [
    {{"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {{}}}},
    {{"name": "bench", "kwargs": {{"path": "{path}"}},
     "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}}
    ]
"""


def add_dags(stack: RealStack) -> None:
    """Let a stack, which is not started yet, have the DAGs."""
    stack.run("credentials")
    with (stack.layout.airflow_home / "airflow.cfg").open("a") as file:
        file.write(_BUNDLES.format(path=CHECKOUT / "bench" / "dags"))


class Trivial:
    """Runs the DAGs of a stack.

    Args:
        stack: it runs, and got the DAGs by `add_dags`.
    """

    def __init__(self, stack: RealStack) -> None:
        self._stack = stack
        url = stack.settings.airflow_api
        password = (stack.layout.secrets / "airflow_admin_password").read_text().strip()
        login = requests.post(f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=60)
        self._api, self._session = f"{url}/api/v2", requests.Session()
        self._session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        until(lambda: {_TWO_STEPS, _ON_A_WORKER} <= {dag["dag_id"] for dag in self._get("dags", limit=100)["dags"]})

    def second_task_s(self) -> float:
        """Seconds from a trigger to the first line of the second of two tasks."""
        began = time.time()
        return self._first_line(_TWO_STEPS, self._trigger(_TWO_STEPS)) - began

    def worker_s(self) -> float:
        """Seconds from the command of Airflow's own worker, with its defaults, to the first line of a waiting task."""
        run_id = self._trigger(_ON_A_WORKER)
        until(lambda: self._instance(_ON_A_WORKER, run_id)["state"] == "queued", WITHIN_S)
        began = time.time()
        with _worker(stack_environment(self._stack.settings, self._stack.layout)):
            return self._first_line(_ON_A_WORKER, run_id) - began

    def _trigger(self, dag_id: str) -> str:
        run_id = uuid4().hex
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
        answer = self._session.post(f"{self._api}/dags/{dag_id}/dagRuns", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return run_id

    def _first_line(self, dag_id: str, run_id: str) -> float:
        until(lambda: self._instance(dag_id, run_id)["state"] == "success", WITHIN_S, every_s=0.5)
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/second/xcomEntries/return_value"
        return float(self._get(path)["value"])

    def _instance(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self._get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/second")

    def _get(self, path: str, **params: int) -> dict[str, Any]:
        answer = self._session.get(f"{self._api}/{path}", params=params, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def _worker(environment: Mapping[str, str]) -> Iterator[None]:
    """Airflow's worker for the block, without what ours loads in advance."""
    command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs", "--concurrency", "1"]
    own = {**environment, "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": "{}"}
    with ending(
        subprocess.Popen(
            [*command, "--queues", "trivial"], env=own, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
    ):
        yield


@contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End a process after the block: ask it, and kill it after ten seconds."""
    with process:
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
