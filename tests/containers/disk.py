"""The disk of all volumes, full in the middle of an import."""

import os
import time

from tests.containers.daemon import Daemon
from tests.containers.images import run
from tests.containers.proofs import complete, tell
from tests.containers.stack import Stack, form
from tests.disks import BALLAST, fill, make_room
from tests.waiting import until

LEFT_BYTES = 100 * 2**20
"""Less than the mark below which nothing new begins, and enough for what is in progress."""
NEXT_LOG_FILE = "psql --username face_import --quiet --command 'SELECT txid_current(), pg_switch_wal()' face_import"


def full_disk(stack: Stack, daemon: Daemon, rows: int = 600) -> None:
    """Rows wait on a disk that is almost full, a full one ends PostgreSQL; with room all goes on by itself."""
    assert daemon.volumes.is_mount(), "this would fill another disk"
    stack.slow_down(2)
    task = stack.create("full", rows)
    stack.start(task)
    stack.progresses(task)
    free = os.statvfs(daemon.volumes)
    ballast = str(daemon.volumes / BALLAST)
    tell(f"{LEFT_BYTES >> 20} MiB are left on the volumes' disk at {stack.detail(task)['handled_num']} rows")
    try:
        run("fallocate", "--length", str(free.f_bavail * free.f_frsize - LEFT_BYTES), ballast)
        until(lambda: "is almost full" in stack.detail(task)["notice"], 60, 1)
        until(lambda: _stands_still(stack, task), 120)
        _refuses_new_ones(stack)
        tell(f"not a byte is left at {stack.detail(task)['handled_num']} rows")
        fill(daemon.volumes)
        _broker_takes_messages(stack)
        until(lambda: not _succeeds(stack, "postgres", NEXT_LOG_FILE), 120)
        _refuses_new_ones(stack)
    finally:
        make_room(daemon.volumes)
    stack.progresses(task)
    stack.slow_down(0)
    complete(stack, **{task: rows})
    stack.all_healthy()


def _refuses_new_ones(stack: Stack) -> None:
    """`create` says that the disk is full, whatever else is away."""

    def answer() -> tuple[int, str] | None:
        response = stack.ask("POST", "create", **form("refused", 1))
        return None if response is None else (response.status_code, response.json()["code"])

    assert until(answer, 60, 1) == (503, "disk_full")


def _stands_still(stack: Stack, task: str, seconds: float = 5) -> bool:
    """Whether no row is handled for longer than one takes."""
    before, end = stack.detail(task)["handled_num"], time.monotonic() + seconds
    while time.monotonic() < end:
        if stack.detail(task)["handled_num"] != before:
            return False
        time.sleep(0.5)
    return True


def _broker_takes_messages(stack: Stack) -> None:
    """Redis cannot save what it has, and goes on all the same."""
    _succeeds(stack, "redis", "redis-cli bgsave")
    until(lambda: _succeeds(stack, "redis", "redis-cli info persistence | grep --quiet last_bgsave_status:err"), 60, 1)
    assert _succeeds(stack, "redis", "redis-cli setex probe 1 1 | grep --quiet OK")


def _succeeds(stack: Stack, service: str, line: str) -> bool:
    """Whether a line of shell does in a service's container."""
    try:
        stack.compose("exec", "-T", service, "sh", "-c", line)
    except RuntimeError:
        return False
    return True
