"""The real API under gunicorn without Airflow, the command as a process, and a terminal for it."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.settings import Settings
from face_import.stack.supervisor import programs
from tests.real import CHECKOUT, COMMAND, answers, free_ports
from tests.waiting import until

MAX_SOURCE = 2_000_000


@dataclass(frozen=True)
class Shim:
    """The API's process over a catalogue that the test changes, as Airflow's tasks would."""

    settings: Settings
    catalogue: Catalogue
    environment: dict[str, str]

    def task(
        self,
        rows: int = 3,
        bad: Sequence[Outcome] = (),
        *,
        group: str = "staff",
        ends: TaskState = TaskState.COMPLETED,
        task_id: str = "",
    ) -> str:
        """A task of one shard in the state `ends`; its rows are handled unless it is only created."""
        task_id = task_id or new_task_id()
        config = TaskConfig(group, "faces.csv", Limits(), 10, Mode.SKIP)
        self.catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=rows)
        self.catalogue.plans.commit(task_id, [Shard(0, 1, rows, 0, 100, 1)], rows)
        if ends is not TaskState.CREATED:
            self.catalogue.tasks.start(task_id)
        if ends is TaskState.COMPLETED:
            self.finish(task_id, rows, bad)
        elif ends is TaskState.STOPPED:
            self.catalogue.tasks.halt(task_id, "a reason")
        return task_id

    def finish(self, task_id: str, rows: int, bad: Sequence[Outcome] = ()) -> None:
        """Give every row its outcome, and end the task."""
        numbers = range(1, rows + 1)
        outcomes = {n: Outcome(n, f"http://x/{n}.jpg", Code.OK, face_id=f"face-{n}") for n in numbers}
        outcomes |= {outcome.row: outcome for outcome in bad}
        assert self.catalogue.leases.take(task_id, 0, "me", 10)
        self.catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", tuple(outcomes.values())))
        assert self.catalogue.tasks.complete(task_id)

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run the command for this server."""
        environment = self.environment | variables
        return subprocess.run(
            [COMMAND, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def _shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shim]:
    home = tmp_path_factory.mktemp("shim") / "home"
    (port,) = free_ports(1)
    variables = {
        "FACE_IMPORT_HOME": str(home),
        "FACE_IMPORT_PORT": str(port),
        "FACE_IMPORT_AIRFLOW_URL": "http://127.0.0.1:9",
        "FACE_IMPORT_MAX_SOURCE_BYTES": str(MAX_SOURCE),
    }
    settings = Settings(home=home, port=port)
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "airflow_password").write_text("secret")
    migrate(settings.catalogue_url)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FACE_IMPORT_")}
    environment = {**clean, **variables, "COLUMNS": "160", "NO_PROXY": "", "no_proxy": ""}
    (program,) = (program for program in programs(settings) if program.name == "shim")
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(program.command, cwd=CHECKOUT, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
            catalogue = Catalogue.open(settings)
            yield Shim(settings, catalogue, environment)
            catalogue.engine.dispose()
        finally:
            process.terminate()


@pytest.fixture
def shim(_shim: Shim) -> Shim:
    """The server; it keeps the tasks of other tests, in other groups or under other ids."""
    return _shim


@dataclass
class Terminal:
    """A command on a terminal of its own, where Ctrl-C is a key."""

    process: "subprocess.Popen[bytes]"
    _fd: int
    _seen: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(self._fd, 65536):
                self._seen.append(chunk)

    @property
    def text(self) -> str:
        """What was written so far."""
        return b"".join(self._seen).decode(errors="replace")

    def expect(self, text: str) -> None:
        """Wait until this was written."""
        until(lambda: text in self.text)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def ends(self) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(60)


OnTerminal = Callable[..., Terminal]


@pytest.fixture
def on_terminal() -> Iterator[OnTerminal]:
    """Start a command on a terminal; `stdin` may be something else."""
    opened: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def start(environment: dict[str, str], *arguments: str, stdin: int | None = None) -> Terminal:
        ours, theirs = pty.openpty()
        opened.append(ours)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.cli.terminal", str(COMMAND), *arguments],
            cwd=CHECKOUT,
            env={**environment, "TERM": "xterm"},
            stdin=theirs if stdin is None else stdin,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        started.append(process)
        return Terminal(process, ours)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    for descriptor in opened:
        os.close(descriptor)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    """Three rows."""
    path = tmp_path / "faces.csv"
    path.write_text("uri,tag,description\n" + "".join(f"http://x/{n}.jpg,t,d\n" for n in range(1, 4)))
    return path
