"""What has to hold of the stack in containers: each function is a step, and its docstring what it proves."""

import re
import sys

import requests

from face_import.contract import TaskState
from face_import.settings import CHECKOUT
from scripts.sbom import pins
from tests.containers.daemon import Daemon
from tests.containers.images import run
from tests.containers.stack import Stack, commands_of
from tests.waiting import until

ROWS = 2000
PACKAGES = """
import re
from importlib.metadata import distributions
found = {re.sub("[-_.]+", "-", one.name).lower(): one.version for one in distributions()}
del found["face-import"]
print(*(f"{name}=={number}" for name, number in found.items()))
"""
"""Prints what is installed, as requirements.txt has it."""
RESTARTED = "Face import was restarted"


def tell(what: str) -> None:
    """Say what happens next."""
    sys.stdout.write(f"    {what}\n")
    sys.stdout.flush()


def check_image(daemon: Daemon) -> str:
    """The image has its own user, the packages of `make sbom`, no compiler, no trace of what pip was told; its size."""
    inside = "id -u; command -v gcc cc ld uv || true; test -w /opt/face-import && echo writable || true"
    image = ("docker", "run", "--rm", "--network", "none", "face-import", "sh", "-c")
    said = run(*image, inside, env=daemon.environment).split()
    assert said == ["50000"], said
    packages = set(run(*image, f"python -c '{PACKAGES}'", env=daemon.environment).split())
    pinned = {f"{name}=={number}" for name, number in pins((CHECKOUT / "requirements.txt").read_text())}
    assert len(packages) > 100
    assert packages <= pinned, packages - pinned
    history = run("docker", "history", "--no-trunc", "face-import", env=daemon.environment)
    assert "PIP_" not in history
    return run("docker", "image", "ls", "--format", "{{.Size}}", "face-import", env=daemon.environment).strip()


def first_start(stack: Stack) -> None:
    """The guide's first block, line by line, brings it up; everything is healthy."""
    stack.set_up()
    stack.all_healthy()


def confined(stack: Stack) -> None:
    """Secrets can be written by nobody who stays, and face services reach neither the databases nor the world."""
    inside = (
        "touch /var/lib/face-import/secrets/x 2>/dev/null && echo wrote; touch /opt/x 2>/dev/null && echo wrote; true"
    )
    for service in ("shim", "airflow-worker", "keeper", "airflow-api-server"):
        assert stack.compose("exec", "-T", service, "sh", "-c", inside) == "", service
    servers = "postgres/5432 redis/6379 minio/9000 images/9000"
    reach = f"for at in {servers}; do exec 3<>/dev/tcp/$at && echo $at; done 2>/dev/null; true"
    assert stack.compose("exec", "-T", "face-info", "bash", "-c", reach) == ""
    assert "images/9000" in stack.compose("exec", "-T", "airflow-worker", "bash", "-c", reach)


def log_in_to_airflow(stack: Stack) -> None:
    """FAB's user `admin` logs in with the password from the secrets, and with no other."""
    where = "/var/lib/face-import/secrets/airflow_admin_password"
    password = stack.compose("exec", "-T", "airflow-api-server", "cat", where).strip()
    for given, status in ((password, 201), ("admin", 401)):
        body = {"username": "admin", "password": given}
        assert requests.post(stack.airflow("auth/token"), json=body, timeout=60).status_code == status


def kill_each(stack: Stack) -> None:
    """`kill -9` of every kind of server and two workers more: nothing is lost, nothing is there twice."""
    stack.slow_down(1)
    task = stack.create("killed", ROWS)
    stack.start(task)
    stack.progresses(task, 50)
    for name in ("airflow-scheduler-1", "airflow-api-server-1", "redis-1", "postgres-1"):
        tell(f"kill -9 {name} at {stack.detail(task)['handled_num']} rows")
        stack.kill(name)
        stack.progresses(task)
    scale(stack)
    stack.progresses(task)
    tell(f"kill -9 airflow-worker-1 at {stack.detail(task)['handled_num']} rows")
    stack.kill("airflow-worker-1")
    stack.slow_down(0)
    complete(stack, **{task: ROWS})


def scale(stack: Stack) -> None:
    """The guide's line for more workers makes two, and no other container anew."""
    before = {name: one["Id"] for name, one in stack.containers().items()}
    (line,) = commands_of("Containers", "docker compose up --detach --no-deps --scale")
    stack.shell(line.replace("airflow-worker=4", "airflow-worker=3"))
    after = {name: one["Id"] for name, one in stack.containers().items()}
    assert after.keys() - before.keys() == {"airflow-worker-2", "airflow-worker-3"}
    assert {name: after[name] for name in before} == before


def complete(stack: Stack, **rows: int) -> None:
    """Imports end with each row imported once, and the library has the faces of all imports and no others."""
    until(lambda: all(stack.detail(task)["state"] != TaskState.RUNNING for task in rows), 1500, 3)
    for task, number in rows.items():
        detail = stack.detail(task)
        assert detail["state"] == TaskState.COMPLETED, detail
        assert (detail["handled_num"], detail["success_num"], detail["failed_num"]) == (number, number, 0), detail
    assert stack.faces() == sum(stack.detail(task)["success_num"] for task in stack.tasks())


def stopped_by_restart(stack: Stack, task: str) -> None:
    """A running import becomes stopped once Airflow's api-server is up, says why, and resumes where it was."""
    until(lambda: stack.detail(task)["state"] == TaskState.STOPPED, 420, 2)
    detail = stack.detail(task)
    assert detail["last_error"].startswith(RESTARTED), detail
    stack.all_healthy()
    stack.start(task)
    stack.progresses(task)
    assert stack.detail(task)["handled_num"] >= detail["handled_num"]


def restarts(stack: Stack, daemon: Daemon, rows: int = 1000) -> str:
    """One service's restart and an `up` beside it stop nothing; the daemon's does, and `down` and `up`."""
    stack.slow_down(8)
    task = stack.create("restarted", rows)
    stack.start(task)
    stack.progresses(task)
    for words in (("restart", "shim"), ("restart", "airflow-scheduler"), ("up", "--detach")):
        tell(f"{' '.join(words)} at {stack.detail(task)['handled_num']} rows")
        stack.compose(*words)
        stack.progresses(task)
        assert stack.detail(task)["state"] in {TaskState.RUNNING, TaskState.COMPLETED}
    tell(f"the daemon ends and starts at {stack.detail(task)['handled_num']} rows")
    daemon.stop()
    daemon.start()
    stopped_by_restart(stack, task)
    tell(f"down and up at {stack.detail(task)['handled_num']} rows")
    stack.compose("down")
    stack.compose("up", "--detach")
    stopped_by_restart(stack, task)
    stack.slow_down(0)
    return task


def backup_and_restore(stack: Stack, task: str, rows: int = 1000) -> None:
    """The guide's backup, `down --volumes`, and its restore: the import goes on, and each row is there once."""
    for line in commands_of("Backup and restore", "docker compose exec -T postgres pg_dump"):
        stack.shell(line)
    stopped_at = stack.detail(task)["handled_num"]
    stack.compose("down", "--volumes")
    for line in commands_of("Backup and restore", "docker compose run --rm --no-deps -T --user root"):
        stack.shell(line)
    stack.all_healthy()
    detail = stack.detail(task)
    assert detail["handled_num"] <= stopped_at, detail
    if detail["state"] == TaskState.STOPPED:
        stack.start(task)
    complete(stack, **{task: rows})


def ends_in_time(stack: Stack) -> None:
    """`stop` takes no longer than the longest grace period, and no container had to be killed but those that may."""
    stack.compose("stop")
    killed = {n: one["State"]["ExitCode"] for n, one in stack.containers().items() if one["State"]["ExitCode"] == 137}
    assert not {name for name in killed if not re.match(r"images|airflow-worker", name)}, killed
