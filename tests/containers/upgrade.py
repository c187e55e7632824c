"""From the release before to this checkout, in containers, as the guide says."""

import shutil
import subprocess

import yaml

from face_import.contract import TaskState
from face_import.settings import CHECKOUT
from tests.compose import ours
from tests.containers.daemon import Daemon
from tests.containers.images import run
from tests.containers.proofs import RESTARTED, complete
from tests.containers.stack import OVERRIDE, Stack, commands_of

RELEASE = "8ee3fe36a97f01742fdd0071a883ce35ca16a136"
"""The commit of 1.0.0."""
NOW = "face-import-now"
"""This checkout's image under a name that building the other does not take."""
ROWS = 300


def upgrade(stack: Stack, daemon: Daemon) -> None:
    """An import that runs under 1.0.0 and one that somebody has stopped: both are stopped then, and resume here."""
    run("docker", "tag", "face-import", NOW, env=daemon.environment)
    stack.compose("down", "--volumes")
    _go_back(stack)
    stack.set_up()
    stack.slow_down(8)
    running, stopped = (stack.create(name, ROWS) for name in ("running", "stopped"))
    for task in (running, stopped):
        stack.start(task)
        stack.progresses(task)
    stack.api("GET", f"{stopped}/stop")
    before = {task: stack.detail(task)["handled_num"] for task in (running, stopped)}

    _clear(stack, ".env")
    stack.copy_checkout()
    for line in commands_of("Upgrades", "docker compose build"):
        stack.shell(line)
    stack.all_healthy()
    details = {task: stack.detail(task) for task in before}
    assert {detail["state"] for detail in details.values()} == {TaskState.STOPPED}, details
    assert details[running]["last_error"].startswith(RESTARTED), details
    assert details[stopped]["last_error"] == "", details
    assert all(ROWS > detail["handled_num"] >= before[task] for task, detail in details.items()), details
    stack.slow_down(0)
    for task in before:
        stack.start(task)
    complete(stack, **dict.fromkeys(before, ROWS))


def _clear(stack: Stack, *kept: str) -> None:
    """Remove the files of one release, so that none of them is in another's image."""
    for path in stack.folder.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()
        elif path.is_dir() and path.name not in {"pictures", "tests"}:  # which the host of pictures has mounted
            shutil.rmtree(path)


def _go_back(stack: Stack) -> None:
    """Have the release's files in the project's folder, with its code on this checkout's packages.

    It was pinned to the same versions, but for those of its face services: these are this checkout's from the start.
    """
    _clear(stack)
    files = subprocess.run(("git", "archive", RELEASE), cwd=CHECKOUT, capture_output=True, check=True).stdout
    subprocess.run(("tar", "-x", "-C", stack.folder), input=files, check=True)
    dockerfile = (stack.folder / "Dockerfile").read_text()
    installs = "RUN python scripts/setup.py"
    assert installs in dockerfile
    copied = dockerfile.replace(installs, f"COPY --from={NOW} /opt/face-import/.venv .venv")
    (stack.folder / "Dockerfile").write_text(copied)
    override = yaml.safe_load(OVERRIDE)
    for name in ("face-info", "face-library"):
        override["services"][name] = {"image": NOW, "command": ours()[name]["command"]}
    text = yaml.safe_dump(override).replace(f"image: {NOW}", f"build: !reset null\n    image: {NOW}")
    (stack.folder / "docker-compose.override.yaml").write_text(text)
