"""Starts a double as a process of its own, waits until it is healthy, and ends exactly that process."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from tests.doubles.images import Spec, spec_path
from tests.doubles.serving import ANNOUNCEMENT, CONTROL, HEALTH, HOSTS, RECORD

CHECKOUT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 20.0


def end(process: subprocess.Popen[Any], patience_s: float = 5.0) -> None:
    """End a process, gracefully if it does so in time."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Double:
    """A server process from `tests.doubles`, as a context manager.

    Args:
        module: its name in `tests.doubles`.
        port: 0 takes a free one, which `stop` and `start` then keep: an outage and its end.
        environment: variables for the process.
    """

    module = ""

    def __init__(self, *, port: int = 0, **environment: str) -> None:
        self._port = port
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            RuntimeError: it did not within `START_DEADLINE_S`.
        """
        command = [sys.executable, "-m", f"tests.doubles.{self.module}", "--port", str(self._port)]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | self._environment, stdout=subprocess.PIPE, text=True
        )
        watchdog = threading.Timer(START_DEADLINE_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
        finally:
            watchdog.cancel()
        if not line.startswith(ANNOUNCEMENT):
            process.kill()
            process.wait()
            raise RuntimeError(f"{' '.join(command)} did not start")
        self._process = process
        self._port = int(line.rpartition(":")[2])
        self.get(HEALTH)

    def stop(self) -> None:
        """End the process; the port stays ours to start on again."""
        process, self._process = self._process, None
        if process is None:
            return
        end(process)
        if process.stdout is not None:
            process.stdout.close()

    def kill(self) -> None:
        """End the process as a crash does."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def get(self, path: str, **query: object) -> Any:
        """GET a path and return its JSON."""
        with urllib.request.urlopen(f"{self.url}{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str) -> None:
        """POST to a path without a body."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", b""), timeout=10):
            pass

    def control(self, **settings: object) -> None:
        """Replace how the double behaves; what is left out goes back to its default."""
        self.send(CONTROL, settings)

    def send(self, path: str, body: object) -> Any:
        """POST JSON to a path and return the JSON of the answer."""
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def record(self, **query: object) -> dict[str, Any]:
        """Return what the double has seen; see its module."""
        return dict(self.get(RECORD, **query))

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class FaceServices(Double):
    """Both outer services; set `FACE_IMPORT_INFO_URL` and `FACE_IMPORT_LIBRARY_URL` to its `url`."""

    module = "face_services"

    def wait_for(self, calls: int, deadline_s: float = 10.0, **query: object) -> dict[str, Any]:
        """Return the record once at least `calls` calls are in it or under way.

        Raises:
            TimeoutError: there were not that many in time.
        """
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            seen = self.record(**query)
            if seen["calls"] + seen["in_flight"] >= calls:
                return seen
            time.sleep(0.02)
        raise TimeoutError(f"{calls} calls were not seen within {deadline_s} s")


class ImageHost(Double):
    """The image host; its networks must be allowed: `FACE_IMPORT_FETCH_ALLOW=127.0.0.0/8`."""

    module = "image_host"

    def image(self, **spec: Any) -> str:
        """Return the URL of a picture carrying `spec` (see `tests.doubles.images`)."""
        fields: Spec = spec
        return self.url + spec_path(fields)

    def host(self, name: str, **trouble: object) -> "Host":
        """Return a further host of this name, misbehaving as `tests.doubles.hosts` has it."""
        return Host(self, name, **trouble)


class Host:
    """A further host of an image host: another origin, which is in trouble if wanted."""

    def __init__(self, double: ImageHost, name: str, **trouble: object) -> None:
        self._double, self._name = double, name
        self.url = self.switch(**trouble)

    @property
    def name(self) -> str:
        """Its name and port, as in a URL."""
        return self.url.removeprefix("http://")

    def switch(self, **trouble: object) -> str:
        """Misbehave otherwise from now on, or no longer; returns the base URL."""
        return str(self._double.send(HOSTS, {"name": self._name, **trouble})["url"])

    def image(self, **spec: Any) -> str:
        """Return the URL of a picture carrying `spec` (see `tests.doubles.images`)."""
        fields: Spec = spec
        return self.url + spec_path(fields)

    def requests(self, since: float = 0.0, until: float = inf) -> list[dict[str, Any]]:
        """Return the requests that began in a span of Unix seconds, as `tests.doubles.hosts.Request` has them."""
        found = self._double.get(HOSTS, name=self._name)["requests"]
        return [one for one in found if since <= one["at"] < until]
