"""The API as it is served: gunicorn on a free port, a migrated catalogue in a home of its own, no Airflow."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from face_import.catalogue.engine import migrate
from face_import.settings import Settings
from face_import.stack.layout import STACK_VARIABLE
from face_import.stack.supervisor import programs
from tests.doubles.process import end
from tests.memory import peak_bytes
from tests.real import CHECKOUT, answers, free_ports
from tests.waiting import until


class Shim:
    """The program `shim` of the stack, as a context manager.

    Args:
        home: its home.
        options: of gunicorn, beyond those of the stack.
        variables: `FACE_IMPORT_*` settings beyond home and ports.
    """

    def __init__(self, home: Path, *options: str, **variables: str) -> None:
        port, nobody = free_ports(2)
        self._variables = {
            "FACE_IMPORT_HOME": str(home),
            "FACE_IMPORT_PORT": str(port),
            "FACE_IMPORT_AIRFLOW_PORT": str(nobody),
            **variables,
        }
        fields = {name.removeprefix("FACE_IMPORT_").lower(): value for name, value in self._variables.items()}
        self.settings = Settings.model_validate(fields)
        self.url = f"http://127.0.0.1:{port}"
        self.log = home / "shim.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        migrate(self.settings.catalogue_url)
        (self.settings.home / "secrets").mkdir(exist_ok=True)
        (self.settings.home / "secrets" / "airflow_password").write_text("secret")
        (program,) = (p for p in programs(self.settings) if p.name == "shim")
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("FACE_IMPORT_") and n != STACK_VARIABLE}
        paths = os.pathsep.join((str(CHECKOUT / "plugins"), str(CHECKOUT)))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                (*program.command[:-1], *self._options, program.command[-1]),
                env=inherited | self._variables | {"PYTHONPATH": paths},
                stdout=log,
                stderr=log,
            )
        try:
            until(self._answers)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it, gracefully if it does so within some seconds."""
        assert self._process is not None
        end(self._process, 20)

    def worker(self) -> psutil.Process:
        """The only worker of gunicorn."""
        (pid,) = self.workers()
        return psutil.Process(pid)

    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers."""
        assert self._process is not None
        return [child.pid for child in psutil.Process(self._process.pid).children()]

    def peak_bytes(self) -> int:
        """Most memory the worker ever had."""
        return peak_bytes(self.worker().pid)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return answers(f"{self.url}/healthz")
