"""The demo's own stack, started and stopped by the `face-import` command."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from examples.demo.client import DemoError
from examples.demo.pictures import CHECKOUT

HOME = CHECKOUT / ".demo"
COMMAND = Path(sys.executable).with_name("face-import")


class Stack:
    """A stack with an empty home and three ports that were free a moment ago.

    Attributes:
        api, services: its URLs.
    """

    def __init__(self) -> None:
        port, airflow_port, services_port = _free_ports(3)
        self.api = f"http://127.0.0.1:{port}"
        self.services = f"http://127.0.0.1:{services_port}"
        # Without the caller's own settings, which may name a library in production.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACE_IMPORT_")}
        self._environment = {
            **inherited,
            "FACE_IMPORT_HOME": str(HOME),
            "FACE_IMPORT_PORT": str(port),
            "FACE_IMPORT_AIRFLOW_PORT": str(airflow_port),
            "FACE_IMPORT_SERVICES_PORT": str(services_port),
            "FACE_IMPORT_FETCH_ALLOW": "127.0.0.0/8",
        }

    def up(self) -> list[str]:
        """Stop the stack of an earlier `KEEP=1`, remove its files, and start a new one.

        Returns:
            the output of `face-import up`: its URLs, and the file of Airflow's password.

        Raises:
            DemoError: it did not become healthy; nothing is left running.
        """
        self.down()
        shutil.rmtree(HOME, ignore_errors=True)
        return self._run("up", "--detach").splitlines()

    def down(self) -> None:
        """Stop the stack; a second Ctrl-C does not interrupt this."""
        impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._run("down")
        finally:
            signal.signal(signal.SIGINT, impatient)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"face-import {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr.strip()}")
        return done.stdout


@contextmanager
def temporary_stack(*, keep: bool) -> Iterator[Stack]:
    """A stack to start; stopped at the end, unless it is to be kept and there was no error."""
    stack = Stack()
    try:
        yield stack
    except BaseException:
        stack.down()
        raise
    if not keep:
        stack.down()


def _free_ports(count: int) -> list[int]:
    """Free ports; all are held until the last one is found, so they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [opened.getsockname()[1] for opened in sockets]
