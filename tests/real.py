"""A whole stack of its own for tests (real Airflow, free ports, its own home), and a client of its API."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import requests

from face_import.catalogue import Catalogue
from face_import.clients.airflow import Airflow
from face_import.settings import Settings
from face_import.stack.layout import Layout
from face_import.stack.processes import members

CHECKOUT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("face-import")
AS_A_USER = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") if os.getuid() == 0 else ()
"""Words before a command that leave root what an ordinary user may do."""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def answers(url: str) -> bool:
    """Whether a server is there, and well."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


class RealStack:
    """`face-import up --detach` and `down`, as a context manager.

    Args:
        home: its home.
        command: the words of the `face-import` command.
        variables: `FACE_IMPORT_*` settings beyond home and ports.
    """

    def __init__(self, home: Path, command: Sequence[str] = (str(COMMAND),), **variables: str) -> None:
        self._command = command
        port, airflow_port, services_port = free_ports(3)
        self._variables = {
            "FACE_IMPORT_HOME": str(home),
            "FACE_IMPORT_PORT": str(port),
            "FACE_IMPORT_AIRFLOW_PORT": str(airflow_port),
            "FACE_IMPORT_SERVICES_PORT": str(services_port),
            "FACE_IMPORT_FETCH_ALLOW": "127.0.0.0/8",
            **variables,
        }
        fields = {name.removeprefix("FACE_IMPORT_").lower(): value for name, value in self._variables.items()}
        self.settings = Settings.model_validate(fields)
        self.layout = Layout.of(self.settings.home)
        self.api = Api(f"http://127.0.0.1:{port}/v1/tasks")
        self.airflow = Airflow(self.settings)
        self.catalogue = Catalogue.open(self.settings)

    def __enter__(self) -> Self:
        """Start."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self.catalogue.engine.dispose()

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a command for this stack."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("FACE_IMPORT_")}
        return own | self._variables

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `face-import` command for this stack."""
        command = [*self._command, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def up(self) -> None:
        """Start all processes and wait until they are healthy."""
        self.run("up", "--detach")

    def down(self) -> None:
        """End all processes."""
        self.run("down")

    def run_state(self, run_id: str) -> str | None:
        """State of a run in Airflow, None if there is none."""
        run = self.airflow.run(run_id)
        return run.state if run else None

    def log_ends(self, lines: int = 60) -> str:
        """The last lines of what each process printed."""
        logs = sorted(self.layout.logs.glob("*.log"))
        return "\n".join("\n".join([f"== {log.name}", *log.read_text().splitlines()[-lines:]]) for log in logs)

    def rest(self, path: str, body: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        """GET a path of Airflow's REST API as a person who may see everything, or POST a body to it."""
        url = self.settings.airflow_api
        password = (self.layout.secrets / "airflow_admin_password").read_text().strip()
        login = requests.post(f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=60)
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        method = "GET" if body is None else "POST"
        answer = requests.request(method, f"{url}/api/v2/{path}", json=body, params=params, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def processes(self) -> list[psutil.Process]:
        """Every process of this stack."""
        return members(self.layout.stack_id)


class Api:
    """The HTTP API as an application uses it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()

    def create(self, lines: Sequence[str], group: str = "staff", **fields: Any) -> str:
        """Create a task from lines of CSV; returns its id."""
        answer = self.post("create", data={"group_name": group, **fields}, files={"file": "\n".join(lines)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        """POST to a path below /v1/tasks."""
        return self._session.post(f"{self.url}/{path}", timeout=60, **kwargs)

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET a path below /v1/tasks."""
        return self._session.get(f"{self.url}/{path}", params=params, timeout=60)

    def ok(self, path: str) -> None:
        """GET a path that has to succeed."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text

    def detail(self, task_id: str) -> dict[str, Any]:
        """A task as it stands."""
        answer = self.get(f"{task_id}/detail")
        assert answer.status_code == 200, answer.text
        detail: dict[str, Any] = answer.json()
        assert detail["handled_num"] == detail["success_num"] + detail["failed_num"]
        return detail

    def handled(self, task_id: str, at_least: int, deadline_s: float = 60.0) -> dict[str, Any]:
        """Wait until so many rows are handled."""
        return self.when(task_id, lambda detail: detail["handled_num"] >= at_least, deadline_s)

    def state(self, task_id: str, *states: int, deadline_s: float = 120.0) -> dict[str, Any]:
        """Wait for one of these states."""
        return self.when(task_id, lambda detail: detail["state"] in states, deadline_s)

    def when(
        self, task_id: str, condition: Callable[[dict[str, Any]], bool], deadline_s: float = 60.0
    ) -> dict[str, Any]:
        """Wait for a condition on the detail."""
        end = time.monotonic() + deadline_s
        while not condition(detail := self.detail(task_id)):
            assert time.monotonic() < end, f"not within {deadline_s} s: {detail}"
            time.sleep(0.1)
        return detail
