"""The stack of docker-compose.yaml in a copy of the checkout, used as its guide says."""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from face_import.contract import TaskState
from face_import.settings import CHECKOUT
from tests.containers.daemon import POOL, Daemon
from tests.containers.images import run
from tests.real import free_ports
from tests.waiting import until

GUIDE = CHECKOUT / "docs" / "how-to" / "deployment.md"
OVERRIDE = """
services:
  # Not ours: the host of the pictures that are imported.
  images:
    image: python:3.12-slim-bookworm
    command: [python, tests/containers/standins/pictures, /srv]
    working_dir: /checkout
    volumes: ["./:/checkout:ro", "./pictures:/srv:ro"]
    networks: [default]
    restart: unless-stopped
    init: true
"""
GROUP = "staff"


def commands_of(heading: str, first: str, guide: Path = GUIDE) -> list[str]:
    """The lines of the guide's block below a heading that has a line starting with `first`."""
    section = re.split(rf"^## {heading}$", guide.read_text(), flags=re.MULTILINE)[1]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (block,) = [b for b in blocks if b.startswith(first)][:1]
    return str(block).splitlines()


def form(name: str, rows: int) -> dict[str, Any]:
    """What `create` is sent for an import of the same picture as often, under ids that are made for each row."""
    lines = ["uri", *(f"http://images:9000/{name}-{n}.jpg" for n in range(rows))]
    file = ("rows.csv", "\n".join(lines).encode(), "text/csv")
    return {"data": {"group_name": GROUP, "thread_num": "16"}, "files": {"file": file}}


class Stack:
    """One project of Compose.

    Args:
        daemon: where it runs.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.folder = daemon.folder / "project"
        self._ports = free_ports(2)
        self._key = ""

    def prepare(self) -> None:
        """Copy the checkout's files, and what only this machine needs besides."""
        self.copy_checkout()
        (self.folder / "pictures").mkdir()
        shutil.copy(CHECKOUT / "examples" / "demo" / "grace_hopper.jpg", self.folder / "pictures" / "picture.jpg")
        self.slow_down(0)

    def copy_checkout(self) -> None:
        """Copy the checkout's files over those that are there."""
        for name in run("git", "ls-files", "-z", cwd=CHECKOUT).split("\0"):
            if name and (CHECKOUT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, self.folder / name)
        (self.folder / "docker-compose.override.yaml").write_text(OVERRIDE)

    def slow_down(self, seconds: float) -> None:
        """Have the host of pictures take so long for each: an import still has to run when something happens to it."""
        (self.folder / "pictures" / "latency").write_text(str(seconds))

    def set_up(self) -> None:
        """The first start, line by line as the guide in the project's folder says it."""
        for line in commands_of("Containers", "deploy/make-env", self.folder / GUIDE.relative_to(CHECKOUT)):
            said = self.shell(line)
            if line.startswith("deploy/make-env"):
                self._settle()
            elif "keys add" in line:
                self._key = said.split()[-1]

    def _settle(self) -> None:
        """Change in the .env that was made what this machine needs otherwise."""
        port, airflow = self._ports
        wanted = {"FACE_IMPORT_PORT": port, "FACE_IMPORT_AIRFLOW_PORT": airflow, "FACE_IMPORT_FETCH_ALLOW": POOL}
        text = (self.folder / ".env").read_text()
        for name, value in wanted.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        (self.folder / ".env").write_text(text)

    def shell(self, line: str) -> str:
        """What a line of the guide prints, run in the project's folder."""
        return run("bash", "-ec", line, env=self._daemon.environment, cwd=self.folder)

    def compose(self, *words: str) -> str:
        """What a command of Compose prints."""
        return run("docker", "compose", *words, env=self._daemon.environment, cwd=self.folder)

    def airflow(self, path: str) -> str:
        """An address of Airflow's."""
        return f"http://127.0.0.1:{self._ports[1]}/{path}"

    def containers(self) -> dict[str, dict[str, Any]]:
        """What `docker inspect` says of each container that is there, by its name without the project's."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(run("docker", "inspect", *ids, env=self._daemon.environment)) if ids else []
        return {one["Name"].removeprefix("/project-"): one for one in found}

    def unhealthy(self) -> list[str]:
        """Containers that should be healthy and are not."""
        states = {name: one["State"] for name, one in self.containers().items() if "init" not in name}
        return [name for name, state in states.items() if state.get("Health", {}).get("Status", "healthy") != "healthy"]

    def all_healthy(self, deadline_s: float = 420) -> None:
        """Wait until every container is."""
        try:
            until(lambda: not self.unhealthy(), deadline_s, 2)
        except AssertionError:
            logs = self.compose("logs", "--tail", "15")
            raise AssertionError(f"not healthy in {deadline_s} s: {self.unhealthy()}\n{logs[-6000:]}") from None

    def kill(self, name: str) -> None:
        """`kill -9` of a container's first process, as the kernel does it when memory is short."""
        os.kill(self.containers()[name]["State"]["Pid"], signal.SIGKILL)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response | None:
        """What the API answers, if there is one."""
        url = f"http://127.0.0.1:{self._ports[0]}/v1/tasks/{path}"
        with suppress(requests.ConnectionError):
            return requests.request(method, url, headers={"Authorization": f"Bearer {self._key}"}, timeout=60, **more)
        return None

    def api(self, method: str, path: str, **more: Any) -> Any:
        """What the API answers; repeated while it or what it needs is away."""

        def answer() -> requests.Response | None:
            response = self.ask(method, path, **more)
            return None if response is None or response.status_code in {502, 503} else response

        response = until(answer, 300, 1)
        assert response.ok, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def create(self, name: str, rows: int) -> str:
        """Create an import of that `form`; returns its id."""
        return str(self.api("POST", "create", **form(name, rows))["id"])

    def start(self, task: str) -> None:
        """Start an import, or resume it."""
        self.api("GET", f"{task}/start")

    def tasks(self) -> list[str]:
        """The ids of all imports."""
        return list(self.api("POST", "list", json={"group_name": GROUP})["ids"])

    def detail(self, task: str) -> dict[str, Any]:
        """How far an import is."""
        found: dict[str, Any] = self.api("GET", f"{task}/detail")
        return found

    def progresses(self, task: str, rows: int = 20, deadline_s: float = 900) -> None:
        """Wait until an import has handled some more rows, or ended."""
        before = self.detail(task)["handled_num"]

        def further() -> bool:
            now = self.detail(task)
            return bool(now["handled_num"] >= before + rows or now["state"] != TaskState.RUNNING)

        try:
            until(further, deadline_s, 2)
            assert (now := self.detail(task))["state"] != TaskState.STOPPED, now
        except AssertionError:
            raise AssertionError(f"stopped, or no progress in {deadline_s} s: {self.detail(task)}") from None

    def faces(self) -> int:
        """How many faces the library has; asked by a worker, since nothing else may."""
        code = f"import urllib.request as u; print(u.urlopen('http://face-library:8100/v1/face/groups/{GROUP}').read().decode())"
        return int(json.loads(self.compose("exec", "-T", "airflow-worker", "python", "-c", code))["count"])

    def ends(self) -> subprocess.CompletedProcess[str]:
        """Remove its containers, networks and volumes, if there are any."""
        return subprocess.run(
            ("docker", "compose", "down", "--volumes", "--timeout", "20"),
            env=self._daemon.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
