"""Finding and ending the processes of one stack only.

A process belongs to a stack if its environment says so. Airflow's tasks leave their process group and lose their
parents, so neither a group nor a tree contains them all, but they cannot lose their environment. Airflow hides it,
though, from everybody but root, once a process has run a task; such a process belongs to the stack whose session it is
in, which is supervisord's own.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

from face_import.errors import StackError
from face_import.stack import ending
from face_import.stack.housekeeping import remove_old_logs
from face_import.stack.layout import STACK_VARIABLE, SUPERVISORD, Layout

GRACE_S = 10.0
"""Between TERM and KILL: a shard takes up to four seconds to record the rows in flight."""

_HOPELESS_S = 20.0

_HIDDEN = "?"

_WORKER_TITLE = "airflow worker -- LocalExecutor"


def members(stack_id: str) -> list[psutil.Process]:
    """Live processes of this user that belong to the stack, except the caller and its ancestors."""
    marks = {process: _mark(process) for process in psutil.process_iter() if _is_ours(process)}
    carriers = {process.pid for process, mark in marks.items() if mark == stack_id}
    led = {session for session in map(_session, carriers) if session and _is_led(session, carriers)}
    # Of a zombie, nobody can read the environment.
    hidden = [process for process, mark in marks.items() if mark == _HIDDEN and alive(process)]
    found = carriers | {process.pid for process in hidden if _session(process.pid) in led}
    while children := {process.pid for process in hidden if process.pid not in found and _parent(process) in found}:
        found |= children
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in marks if process.pid in found - spared]


def end_members(stack_id: str, *, grace: float = GRACE_S) -> int:
    """End all processes of a stack: TERM, after `grace` seconds KILL, until none is left.

    Supervisord is signalled first, or it would restart the others.

    Returns:
        number of processes that were ended.

    Raises:
        StackError: a process cannot be killed.
    """
    start = time.monotonic()
    asked: set[psutil.Process] = set()
    # Include processes already signalled: one that hides its environment is found only while a visible sibling runs.
    while left := {*members(stack_id), *filter(alive, asked)}:
        elapsed = time.monotonic() - start
        if elapsed > grace + _HOPELESS_S:
            raise StackError(f"cannot end process {', '.join(str(process.pid) for process in left)}")
        if elapsed > grace:
            _signal(left, psutil.Process.kill)
        else:
            _signal(asked & _idle_workers(left), psutil.Process.kill)
            _signal(left - asked, psutil.Process.terminate)
        asked.update(left)
        psutil.wait_procs(left, timeout=0.2)
    return len(asked)


def alive(process: psutil.Process) -> bool:
    """Whether it is still running; in a container, a dead process may never be reaped."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def idle_orphans(stack_id: str) -> set[psutil.Process]:
    """Workers of a killed scheduler, waiting on a queue that nobody writes to any more.

    LocalExecutor's workers hold both ends of their queue, so they never see it close. One that is still running a task
    may finish it.
    """
    mine = members(stack_id)
    possible_parents = {process.pid for process in mine if not is_supervisord(process)}
    return {process for process in _idle_workers(mine) if _parent(process) not in possible_parents}


def busy_workers(stack_id: str) -> int:
    """Number of LocalExecutor's workers that have a task instance."""
    mine = members(stack_id)
    return len([process for process in mine if _is_worker(process)]) - len(_idle_workers(mine))


def _is_worker(process: psutil.Process) -> bool:
    return _command_line(process).startswith(_WORKER_TITLE)


def _idle_workers(processes: Iterable[psutil.Process]) -> set[psutil.Process]:
    """LocalExecutor's workers without a task, which would be a child; they ignore TERM."""
    return {process for process in processes if _is_worker(process) and not _children(process)}


def _is_ours(process: psutil.Process) -> bool:
    try:
        return bool(process.uids().real == os.getuid())
    except psutil.Error:
        return False


def _mark(process: psutil.Process) -> str:
    """Id of the stack in a process's environment, `_HIDDEN` if that is not readable, empty if there is none."""
    try:
        return process.environ().get(STACK_VARIABLE, "")
    except psutil.AccessDenied:
        return _HIDDEN
    except (psutil.Error, OSError):
        return ""


def _is_led(session: int, carriers: set[int]) -> bool:
    """Whether a session's leader is, or was before it died, a process of the stack, unlike that of a terminal."""
    return session in carriers or not psutil.pid_exists(session)


def _session(pid: int) -> int | None:
    """Process id of the leader of a process's session; None if the process has exited."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in sorted(processes, key=is_supervisord, reverse=True):
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue


def is_supervisord(process: psutil.Process) -> bool:
    """Whether it is a stack's supervisor."""
    return SUPERVISORD in _command_line(process)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


logger = logging.getLogger(__name__)

_LOOK_S = 0.5
_HOUSEKEEPING_S = 5.0


def guard(layout: Layout, *, owner: int | None = None) -> None:
    """Wait until the supervisor exits, then note it and end all processes of the stack.

    Meanwhile, every five seconds, end idle workers left behind by a killed scheduler, and remove old logs.

    Args:
        layout: where the stack lives.
        owner: process of `face-import up` in the foreground; its exit also ends the stack.
    """
    stack_id = layout.stack_id
    watched = _watched(stack_id, owner)
    orphans: set[psutil.Process] = set()
    housekeeping = time.monotonic()
    while watched and all(alive(process) for process in watched):
        time.sleep(_LOOK_S)
        if time.monotonic() - housekeeping > _HOUSEKEEPING_S:
            orphans = _end_idle_orphans(stack_id, orphans)
            remove_old_logs(layout)
            housekeeping = time.monotonic()
    ended = "face-import up" if watched and alive(watched[0]) else "the supervisor"
    ending.note(layout, f"{ended} was killed, and the guard ended all other processes")
    for process in watched[:1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()  # if only the owner died: an orderly shutdown would end the guard first
    end_members(stack_id)


def _end_idle_orphans(stack_id: str, seen_before: set[psutil.Process]) -> set[psutil.Process]:
    """End workers that were also idle at the last check: between two tasks, a worker briefly has no child."""
    orphans = idle_orphans(stack_id)
    for process in orphans & seen_before:
        logger.info("ending idle orphan worker pid=%s", process.pid)
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return orphans


def _watched(stack_id: str, owner: int | None) -> list[psutil.Process]:
    """The supervisor and the owner; empty if either has already exited."""
    try:
        supervisor = psutil.Process(os.getppid())
        if supervisor.environ().get(STACK_VARIABLE) != stack_id:
            return []
        return [supervisor, psutil.Process(owner)] if owner else [supervisor]
    except psutil.Error:
        return []
