"""Whole imports from the command line, on a real Airflow."""

from pathlib import Path

import pytest

from face_import.catalogue.reports import Overview
from face_import.contract import TaskState
from tests.doubles.process import FaceServices, ImageHost
from tests.integration.cli.conftest import OnTerminal
from tests.real import RealStack
from tests.waiting import until


def csv_of(path: Path, images: ImageHost, count: int, bad: frozenset[int] = frozenset()) -> str:
    """A file of so many rows with a picture each, without a face in those of `bad`; returns its path."""
    rows = [f"{images.image(n=n, **({'faces': []} if n in bad else {}))},t{n},d\n" for n in range(1, count + 1)]
    path.write_text("".join(rows))
    return str(path)


@pytest.mark.parametrize(("bad", "status"), [(frozenset[int](), 0), (frozenset({3, 7}), 3)], ids=["success", "partial"])
def test_an_import_from_upload_to_summary(
    stack: RealStack, images: ImageHost, tmp_path: Path, bad: frozenset[int], status: int
) -> None:
    """The exit status tells success from partial, the id comes first, and the log has what failed."""
    path = csv_of(tmp_path / "faces.csv", images, 40, bad)
    done = stack.run("import", path, "--group", "staff", "--thread-num", "5", "--watch", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    task_id, summary = done.stdout.splitlines()[:2]
    assert summary == f"completed{' with 2 failures' if bad else ''}: {40 - len(bad)} of 40 rows imported"
    lines = stack.run("log", task_id).stdout.splitlines()
    assert [int(line.split("\t")[0]) for line in lines] == sorted(bad)


def test_ctrl_c_stops_an_import_that_goes_on_later(
    stack: RealStack, services: FaceServices, images: ImageHost, tmp_path: Path, on_terminal: OnTerminal
) -> None:
    """Stopped on the terminal half-way, started and watched again, every row is added once."""
    services.control(delay_s=0.05)
    path = csv_of(tmp_path / "faces.csv", images, 400)
    terminal = on_terminal(stack.environment, "import", path, "--group", "interrupted", "--watch")
    (task_id,) = until(lambda: Overview(stack.catalogue.engine, ["interrupted"]).ids(state=TaskState.RUNNING))
    stack.api.handled(task_id, 20)
    terminal.type("\x03")
    terminal.expect("(s/l)")
    terminal.type("s\n")
    assert terminal.ends() == 1
    assert stack.api.detail(task_id)["state"] == TaskState.STOPPED
    stack.run("start", task_id)
    watched = stack.run("show", task_id, "--watch")
    assert "completed: 400 of 400 rows imported\n" in watched.stdout
    assert services.record()["most_adds_of_an_id"] == 1


def test_the_doctor_finds_a_running_stack_well(stack: RealStack) -> None:
    """Its ports are known as its own, and every process, service and the database are looked at."""
    found = stack.run("doctor").stdout
    assert f"FACE_IMPORT_PORT: {stack.settings.port} is used by this stack" in found
    assert "7 of 7 are healthy" in found
    assert found.count("responds\n") == 2
    assert "revision " in found
