"""The services under the real server, as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: "subprocess.Popen[str]"

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """GET, or POST when there is a body; returns status and JSON, whatever the status."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def kill(self) -> None:
        """Ends all its processes at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=DEADLINE_SECONDS)

    def end(self) -> None:
        """Ends it in order."""
        self.process.terminate()
        self.process.wait(timeout=DEADLINE_SECONDS)


def gunicorn(app: str, log: Path, **environ: str) -> Server:
    """Starts gunicorn with the services' own configuration; what it says goes to `log`.

    It inherits a socket that listens already: the first request waits in it until the server is up, and no other
    process can take the port meanwhile.
    """
    command = [sys.executable, "-m", "gunicorn", "-c", "python:face_services.gunicorn_conf", "--no-control-socket"]
    env = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}", **environ}
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening, log.open("w") as out:
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [*command, "--bind", f"fd://{descriptor}", app],
            env=env,
            stderr=out,
            text=True,
            pass_fds=(descriptor,),
            start_new_session=True,
        )
        return Server(listening.getsockname()[1], process)
