"""Ends the stack when its supervisor dies, however it dies.

Runs under supervisord like any other program, which starts it again should it be killed.
"""

import logging
import os
import time
from contextlib import suppress

import psutil

from face_import.stack.layout import STACK_VARIABLE
from face_import.stack.members import alive, end_members, idle_orphans

logger = logging.getLogger(__name__)

_LOOK_S = 0.5
_HOUSEKEEPING_S = 5.0


def guard(stack_id: str, *, owner: int | None = None) -> None:
    """Wait for the end of the supervisor, then end every process of the stack; return when all are gone.

    Until then, every five seconds, end the idle workers that a killed scheduler left behind.

    Args:
        stack_id: mark of the stack.
        owner: process of `face-import up` in the foreground, whose death ends the stack too.
    """
    watched = _watched(stack_id, owner)
    orphans: set[psutil.Process] = set()
    housekeeping = time.monotonic()
    while watched and all(alive(process) for process in watched):
        time.sleep(_LOOK_S)
        if time.monotonic() - housekeeping > _HOUSEKEEPING_S:
            orphans = _end_idle_orphans(stack_id, orphans)
            housekeeping = time.monotonic()
    for process in watched[:1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()  # where only the owner died: an orderly shutdown would end the guard first
    end_members(stack_id)


def _end_idle_orphans(stack_id: str, seen_before: set[psutil.Process]) -> set[psutil.Process]:
    """End those that were idle on the last look, too: between two tasks a worker has no child for a moment."""
    orphans = idle_orphans(stack_id)
    for process in orphans & seen_before:
        logger.info("ending idle orphan worker pid=%s", process.pid)
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return orphans


def _watched(stack_id: str, owner: int | None) -> list[psutil.Process]:
    """The supervisor and the owner; empty when either is gone already."""
    try:
        supervisor = psutil.Process(os.getppid())
        if supervisor.environ().get(STACK_VARIABLE) != stack_id:
            return []
        return [supervisor, psutil.Process(owner)] if owner else [supervisor]
    except psutil.Error:
        return []
