"""Starting and stopping the embedded stack."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version

import psutil

from face_import.errors import StackError
from face_import.private import write_private
from face_import.settings import Settings
from face_import.stack import ending, supervisor
from face_import.stack.checks import check_paths, check_start, check_variables, require
from face_import.stack.environment import launch, stack_environment
from face_import.stack.health import problems
from face_import.stack.layout import Layout, create_credentials
from face_import.stack.processes import end_members
from face_import.stack.supervisor import API_SERVER, Program, programs

_POLL_S = 0.25
_RESTARTS_TOLERATED = 2
_SHOWN = 2
Tell = Callable[[str], None]


class Stack:
    """The stack of one home.

    Args:
        settings: from the environment of the calling command. If the stack is already running, the addresses that it
            was started with take precedence.
    """

    def __init__(self, settings: Settings) -> None:
        self.layout = Layout.of(settings.home)
        self.settings = settings.model_copy(update={"home": self.layout.home})
        if supervisor.states(self.layout) is not None:
            self.settings = recall_addresses(self.settings, self.layout)

    def up(self, *, foreground: bool, tell: Tell = lambda _text: None) -> "subprocess.Popen[bytes] | None":
        """Start the stack and wait until it is healthy; if it is already running, start what is missing.

        Args:
            foreground: whether the stack ends with the calling process.
            tell: called with what is being waited for, several times a second.

        Returns:
            the new supervisor, or None if the stack was already running.

        Raises:
            ConfigError: a problem with the settings or the machine; nothing was started.
            StackError: a process did not become healthy; everything was stopped again.
        """
        require(check_variables())
        require(check_paths(self.settings))
        self.layout.create()
        with self._exclusively():
            if self._is_complete():
                listed = programs(self.settings)
                self._start(listed)
                self._await(listed, tell)
                return None
            end_members(self.layout.stack_id)
            require(check_start(self.settings))
            try:
                return self._begin(tell, owner=os.getpid() if foreground else None)
            except BaseException:
                end_members(self.layout.stack_id)
                raise

    def down(self) -> int:
        """Stop all processes of the stack, even if it is still starting.

        Returns:
            number of processes that were stopped.
        """
        if not self.layout.run.is_dir():
            return end_members(self.layout.stack_id)
        self._interrupt_starter()
        with self._exclusively():
            ended = end_members(self.layout.stack_id)
            ending.forget(self.layout)
            return ended

    def _begin(self, tell: Tell, *, owner: int | None) -> "subprocess.Popen[bytes]":
        environment = stack_environment(self.settings, self.layout)
        tell("preparing the databases")
        prepare(self.settings, self.layout, environment)
        listed = programs(self.settings, owner=owner)
        note_addresses(self.settings, self.layout)
        process = supervisor.begin(self.layout, listed, environment)
        self._await([program for program in listed if program.name == API_SERVER], tell, process)
        stop_active = [sys.executable, "-m", "face_import.cli", "stop-active"]
        tell("stopping the imports of the last run")
        run_steps(self.layout, environment, {"stop-active": stop_active})
        ending.expect_down(self.layout)
        self._start([program for program in listed if program.late])
        self._await(listed, tell, process)
        return process

    def _is_complete(self) -> bool:
        """Whether the stack is running and its start got past `stop-active`."""
        states = supervisor.states(self.layout)
        late = [program.name for program in programs(self.settings) if program.late]
        return states is not None and all(name in states and states[name].state != "STOPPED" for name in late)

    def _start(self, listed: Sequence[Program]) -> None:
        states = supervisor.states(self.layout) or {}
        for program in listed:
            if program.name in states and not states[program.name].alive:
                supervisor.start(self.layout, program.name)

    def _await(self, listed: Sequence[Program], tell: Tell, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Return when all of the listed programs are healthy.

        Raises:
            StackError: the time is up, a program keeps exiting, or the supervisor exited.
        """
        deadline = time.monotonic() + self.settings.start_timeout_s
        starts: dict[str, set[int]] = defaultdict(set)
        while True:
            states = supervisor.states(self.layout) or {}
            if not (found := problems(self.settings, listed, states)):
                return
            if process and process.poll() is not None:
                raise StackError(f"the supervisor exited\n{tail(self.layout, 'supervisord-output')}")
            for name in found:
                starts[name].add(states[name].started if name in states else 0)
            restless = [name for name in found if len(starts[name] - {0}) > _RESTARTS_TOLERATED]
            if restless or time.monotonic() > deadline:
                name = (restless or list(found))[0]
                limit = f"within {self.settings.start_timeout_s:g} s (FACE_IMPORT_START_TIMEOUT_S): {found[name]}"
                reason = "did not become healthy: keeps exiting" if restless else f"did not become healthy {limit}"
                raise StackError(f"{name} {reason}\n{tail(self.layout, name)}")
            tell(f"waiting for {_in_words(found)}")
            time.sleep(_POLL_S)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Hold the stack's lock, waiting for it if necessary."""
        with self.layout.lock.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            with suppress(OSError):  # `down` works on a full disk, too
                os.write(file.fileno(), str(os.getpid()).encode())
            try:
                yield
            finally:
                file.truncate(0)

    def _interrupt_starter(self) -> None:
        """Interrupt a command that is starting this stack."""
        with suppress(OSError, ValueError, psutil.Error), self.layout.lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                psutil.Process(int(file.read())).send_signal(signal.SIGTERM)


def _in_words(problems: Mapping[str, str]) -> str:
    """Some programs with their problems, and the number of the others: what fits into a line of a terminal."""
    shown = [f"{name} ({problem})" for name, problem in problems.items()][:_SHOWN]
    more = len(problems) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


_NOTED = {
    *("bind", "port", "airflow_port", "airflow_public_url", "services_port"),
    *("info_url", "library_url", "broker_url", "workers"),
}


def note_addresses(settings: Settings, layout: Layout) -> None:
    """Store the addresses of the stack that is being started."""
    write_private(layout.run / "addresses.json", settings.model_dump_json(include=_NOTED))


def recall_addresses(settings: Settings, layout: Layout) -> Settings:
    """The settings with the addresses of the running stack."""
    try:
        noted = json.loads((layout.run / "addresses.json").read_text())
    except (OSError, ValueError):
        return settings
    return settings.model_copy(update={name: value for name, value in noted.items() if name in _NOTED})


def prepare(settings: Settings, layout: Layout, environment: Mapping[str, str]) -> None:
    """Create secrets and migrate both databases to this release, in parallel.

    Airflow's migration takes seconds even if there is nothing to do, so the resulting revision is stored.

    Raises:
        StackError: a migration failed; contains the end of its output.
    """
    create_credentials(settings, layout)
    steps: dict[str, Sequence[str]] = {"migrate-catalogue": (sys.executable, "-m", "face_import.cli", "migrate")}
    noted, url = layout.airflow_home / "migrated-to", environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    if not (noted.exists() and noted.read_text() == _migrated_to(url)):
        steps["migrate-airflow"] = [sys.executable, "-m", "airflow", "db", "migrate"]
    run_steps(layout, environment, steps)
    if not settings.airflow_database_url:
        _use_wal(layout)
    write_private(noted, _migrated_to(url))


def run_steps(layout: Layout, environment: Mapping[str, str], steps: Mapping[str, Sequence[str]]) -> None:
    """Run commands in parallel, each with its own log.

    Raises:
        StackError: one of them failed; contains the end of its output.
    """
    running = {}
    for name, command in steps.items():
        with layout.log_of(name).open("wb") as output:
            running[name] = launch(command, environment, output)
    failed = [name for name, process in running.items() if process.wait() != 0]
    if failed:
        raise StackError(f"{failed[0]} failed\n{tail(layout, failed[0])}")


def tail(layout: Layout, program: str, *, lines: int = 15) -> str:
    """The last lines of a program's log, with its path."""
    path = layout.log_of(program)
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    return "\n".join(["  " + line for line in text.splitlines()[-lines:]] + [f"  ({path})"])


def _migrated_to(url: str) -> str:
    """Airflow's release and its database's revision."""
    from face_import.catalogue.engine import revision  # noqa: PLC0415 - the database's packages are slow to import

    return f"{version('apache-airflow-core')} {revision(url)}"


def _use_wal(layout: Layout) -> None:
    """Let readers and the writer of Airflow's database work concurrently; the mode is stored in the file."""
    with closing(sqlite3.connect(layout.airflow_database)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StackError(f"{layout.airflow_database}: this file system does not support SQLite's WAL (mode {mode})")
