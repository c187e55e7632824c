"""Supervisord's configuration, and real supervisors with small programs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from face_import.cli.terminal import NOT_RUNNING
from face_import.settings import CHECKOUT, Settings
from face_import.stack import ending, supervisor
from face_import.stack.environment import stack_environment
from face_import.stack.layout import Layout
from face_import.stack.processes import alive, end_members, members
from face_import.stack.supervisor import Program, programs
from tests.real import AS_A_USER
from tests.unit.stack.conftest import face_import, make_settings
from tests.waiting import until

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
DESERTER = (
    sys.executable,
    "-c",
    "import os, time; os.fork() or (os.setsid(), os.fork() and os._exit(0)); time.sleep(600)",
)
"""Has a grandchild that left its session, group and parent, as Airflow's tasks may."""
STUBBORN = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)")
HIDDEN = (sys.executable, "-c", "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); time.sleep(600)")
"""Keeps its environment from all but root (PR_SET_DUMPABLE), as Airflow's workers do."""
HIDDEN_AND_SLOW = (*HIDDEN[:2], "import signal; signal.signal(15, lambda *_: (time.sleep(1), exit())); " + HIDDEN[2])
"""Needs a second to end, as a shard does that writes its last rows."""
PARENT = (
    sys.executable,
    "-c",
    "import subprocess, sys, time; [subprocess.Popen(sys.argv[n : n + 3]) for n in (1, 4)]; time.sleep(600)",
)
"""Of two programs of three words each."""
NAMED = "import sys; from face_import.stack.processes import members; print(*(p.pid for p in members(sys.argv[1])))"
ENDED = "import sys; from face_import.stack.processes import end_members; print(end_members(sys.argv[1]))"
GUARD = (sys.executable, "-m", "face_import.cli", "guard")
CAST = [
    Program("guard", GUARD),
    Program("sleeper", SLEEPER),
    Program("deserter", DESERTER),
    Program("late", SLEEPER, late=True),
]
NAMES = [
    "100% of it %(here)s",
    "a #b ;c\u3000#d",
    """it's a "home" \\ here""",
    " 项目/" * 3 + "项目",
    "/".join(["a rather long name of a folder"] * 9),
    "a:b=c,d?e&f{g}[h]*~",
]
PROCESSES = 5  # supervisord, guard, sleeper, deserter and its grandchild


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Layout]:
    """A second home, side by side with the first."""
    layout = Layout.of(tmp_path / "other")
    layout.create()
    yield layout
    end_members(layout.stack_id, grace=0)


def begin(layout: Layout, cast: list[Program] = CAST) -> int:
    """Start a supervisor and return its process id once all of its programs run."""
    environment = stack_environment(make_settings(layout.home), layout)
    process = supervisor.begin(layout, cast, environment)
    expected = {program.name for program in cast if not program.late}

    def all_run() -> bool:
        states = supervisor.states(layout) or {}
        return {name for name, state in states.items() if state.state == "RUNNING"} == expected

    until(all_run, 20)
    return process.pid


def test_configuration_is_what_supervisord_reads(settings: Settings, layout: Layout) -> None:
    """Each program is there, restarts by itself, logs to a rotated file of the home, and late ones wait."""
    listed = programs(settings)
    config = RawConfigParser(inline_comment_prefixes=(";", "#"))
    config.read_string(supervisor.render(listed))
    assert config["unix_http_server"]["chmod"] == "0700"
    for program in listed:
        section = config[f"program:{program.name}"]
        assert section["autorestart"] == "true"
        assert section["autostart"] == str(not program.late).lower()
        assert section["stopasgroup"] == section["killasgroup"] == "true"
        assert (layout.run / section["stdout_logfile"]).resolve() == layout.log_of(program.name)
    assert {program.name for program in listed if program.late} == {"scheduler", "keeper"}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Programs get their arguments as they were meant, and work in the checkout; the supervisor answers."""
    layout = Layout.of(tmp_path / name)
    layout.create()
    file = layout.home / layout.home.name
    write = (
        f"import os, time; open({str(file)!r}, 'w').write(os.getcwd()); print('written', flush=True); time.sleep(600)"
    )
    try:
        begin(layout, [Program("writer", (sys.executable, "-c", write))])
        until(lambda: file.exists() and file.read_text() == str(CHECKOUT), 20)
        until(lambda: layout.log_of("writer").read_text() == "written\n", 20)
    finally:
        end_members(layout.stack_id, grace=0)


def test_a_stack_is_known_without_its_socket(layout: Layout) -> None:
    """Somebody's cleaner may have removed it; the stack runs on, and the next `up` must not take it for gone."""
    begin(layout)
    before = supervisor.states(layout) or {}
    layout.socket.unlink()
    found = supervisor.states(layout) or {}
    assert {name: state.pid for name, state in found.items()} == {
        name: state.pid for name, state in before.items() if state.alive
    }
    end_members(layout.stack_id, grace=0)
    assert supervisor.states(layout) is None


def test_a_killed_program_comes_back(layout: Layout) -> None:
    """The guard too: it is a program like any other."""
    begin(layout)
    before = supervisor.states(layout) or {}
    for name in ("guard", "sleeper"):
        os.kill(before[name].pid, signal.SIGKILL)

    def back() -> bool:
        now = supervisor.states(layout) or {}
        return all(now[name].alive and now[name].pid != before[name].pid for name in ("guard", "sleeper"))

    until(back, 20)


def test_a_late_program_starts_when_told(layout: Layout) -> None:
    """It waits for `stop-active`."""
    begin(layout)
    supervisor.start(layout, "late")
    until(lambda: (supervisor.states(layout) or {})["late"].state == "RUNNING", 20)


def test_killing_the_supervisor_ends_everything_and_nothing_else(layout: Layout, other: Layout) -> None:
    """Kill -9 leaves no process of this stack, not even one outside its group; the stack beside it runs on.

    `status` says what has happened.
    """
    pid = begin(layout)
    ending.expect_down(layout)
    begin(other)
    until(lambda: len(members(layout.stack_id)) == PROCESSES, 20)
    neighbours = {process.pid for process in members(other.stack_id)}
    os.kill(pid, signal.SIGKILL)
    until(lambda: not members(layout.stack_id), 20)
    assert {process.pid for process in members(other.stack_id)} >= neighbours
    told = face_import(Settings(home=layout.home), "status")
    assert told.returncode == NOT_RUNNING
    assert "the supervisor was killed" in told.stdout


def test_the_death_of_the_owner_ends_everything(layout: Layout) -> None:
    """The foreground command may be killed, too."""
    with psutil.Popen(SLEEPER) as owner:
        begin(layout, [Program("guard", (*GUARD, "--owner", str(owner.pid))), *CAST[1:]])
        ending.expect_down(layout)
        owner.kill()
        owner.wait()
    until(lambda: not members(layout.stack_id), 20)
    assert "face-import up was killed" in ending.unexpected_end(layout)


def test_ending_kills_what_does_not_listen(layout: Layout) -> None:
    """TERM first, KILL after the grace, and the count of what was ended."""
    begin(layout, [Program("stubborn", STUBBORN), Program("sleeper", SLEEPER)])
    assert end_members(layout.stack_id, grace=1.0) == 3
    assert not members(layout.stack_id)
    assert end_members(layout.stack_id) == 0


def test_leftovers_without_a_supervisor_are_found(layout: Layout) -> None:
    """What a crashed stack left is ended by the next `up` or `down`."""
    environment = stack_environment(make_settings(layout.home), layout)
    with ExitStack() as stack:
        leftover = stack.enter_context(psutil.Popen(SLEEPER, env=environment, start_new_session=True))
        stranger = stack.enter_context(psutil.Popen(SLEEPER))
        stack.callback(stranger.kill)
        until(lambda: members(layout.stack_id), 20)
        assert end_members(layout.stack_id) == 1
        assert not leftover.is_running()
        assert stranger.is_running()


def as_a_user(code: str, layout: Layout) -> str:
    """What Python code prints that is given the stack's mark and none of root's rights."""
    command = (*AS_A_USER, sys.executable, "-c", code, layout.stack_id)
    return subprocess.run(command, cwd=CHECKOUT / "plugins", capture_output=True, text=True, check=True).stdout


def test_processes_that_hide_their_environment_are_found(layout: Layout) -> None:
    """By the session that they share with the stack's first process, also when it has died; a stranger's is not."""
    environment = stack_environment(make_settings(layout.home), layout)
    first = (*AS_A_USER, *PARENT, *HIDDEN, *SLEEPER)

    def named() -> set[int]:
        return set(map(int, as_a_user(NAMED, layout).split()))

    with (
        subprocess.Popen((*AS_A_USER, *HIDDEN), start_new_session=True) as stranger,
        subprocess.Popen(first, env=environment, start_new_session=True) as parent,
        ExitStack() as stack,
    ):
        stack.callback(stranger.kill)
        stack.callback(parent.kill)
        until(lambda: len(psutil.Process(parent.pid).children()) == 2, 20)
        everybody = {parent.pid, *(child.pid for child in psutil.Process(parent.pid).children())}
        until(lambda: named() == everybody, 20)
        parent.kill()
        parent.wait()
        until(lambda: named() == everybody - {parent.pid}, 20)


def test_the_end_is_awaited_of_those_that_hide_their_environment(layout: Layout) -> None:
    """Also when all by which they were known have ended before them."""
    environment = stack_environment(make_settings(layout.home), layout)
    first = (*AS_A_USER, *PARENT, *HIDDEN_AND_SLOW, *SLEEPER)
    with subprocess.Popen(first, env=environment, start_new_session=True) as parent, ExitStack() as stack:
        stack.callback(parent.kill)
        until(lambda: len(as_a_user(NAMED, layout).split()) == 3, 20)
        children = psutil.Process(parent.pid).children()
        assert as_a_user(ENDED, layout).strip() == "3"
        assert not any(map(alive, children))
