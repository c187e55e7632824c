"""docker-compose.yaml run for real, from nothing to nothing: `make test-containers` (docs/how-to/deployment.md).

    python -m tests.containers

Installs Debian's Docker if it is missing, and runs a daemon of its own, with images that stand in for those of a
registry. Exit status 0 if everything held, 1 if something did not, 2 if no daemon can run here. Everything but the
packages is removed then.
"""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from tests.containers import daemon, disk, images, proofs, upgrade
from tests.containers.stack import Stack

LIMIT_S = 75 * 60
"""Enough for a machine of two processors that is busy with other work."""
Result = TypeVar("Result")
began = time.monotonic()


def main() -> int:
    """Run all steps."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(LIMIT_S)
    folder = Path(tempfile.mkdtemp(prefix="face-import-containers-", dir="/var/tmp"))  # /tmp may be in memory
    try:
        step("Debian's packages", images.install_programs, folder)
        step("Compose", images.install_compose, folder)
        with daemon.running(folder) as docker:
            prove(docker)
    except daemon.Unavailable as reason:
        sys.stderr.write(f"no Docker daemon can run here: {reason}\n")
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    proofs.tell(f"{_now()} everything held, and everything is removed")
    return 0


def prove(docker: daemon.Daemon) -> None:
    """All steps with a daemon; the containers are removed whatever happens."""
    for tag, what in images.STANDINS.values():
        proofs.tell(f"stand-in for {tag}: {what}")
    step("stand-ins", images.make_standins, docker)
    stack = Stack(docker)
    stack.prepare()
    try:
        step("the guide's first start, with the image's build", proofs.first_start, stack)
        proofs.tell(step("image", proofs.check_image, docker))
        step("confined", proofs.confined, stack)
        step("log-in", proofs.log_in_to_airflow, stack)
        step("kills and more workers in mid-import", proofs.kill_each, stack)
        step("full disk in mid-import", disk.full_disk, stack, docker)
        task = step("restarts in mid-import", proofs.restarts, stack, docker)
        step("backup and restore", proofs.backup_and_restore, stack, task)
        step("stop", proofs.ends_in_time, stack)
        step("upgrade", upgrade.upgrade, stack, docker)
    finally:
        stack.ends()


def step(name: str, run: Callable[..., Result], *arguments: object) -> Result:
    """Run one, and say so."""
    proofs.tell(f"{_now()} {name}: {(run.__doc__ or '').splitlines()[0]}")
    return run(*arguments)


def _now() -> str:
    return f"[{time.monotonic() - began:5.0f} s]"


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit("took too long" if number == signal.SIGALRM else "ended by a signal")


if __name__ == "__main__":
    sys.exit(main())
