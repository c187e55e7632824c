"""`face-import judge` against the real API."""

from face_import.contract import Code
from face_import.domain.models import Measurements, Outcome
from tests.integration.cli.conftest import Shim

ROWS = [
    Outcome(1, "http://x/1.jpg", Code.OK, measurements=Measurements(1, 0.9, 100, 100)),
    Outcome(2, "http://x/2.jpg", Code.OK, measurements=Measurements(1, 0.9, 60, 100)),
    Outcome(3, "http://x/3.jpg", Code.NO_FACE, "no face found", measurements=Measurements(faces=0)),
]


def test_rows_before_and_after(shim: Shim) -> None:
    """Each code with its rows as they are and as they would be."""
    task_id = shim.task(3, ROWS)
    done = shim.run("judge", task_id, "--width", "80")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 of 3 rows handled; judged by width 80\n")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert lines == [
        ["0", "imported", "2", "1"],
        ["201", "no face", "1", "1"],
        ["205", "face too narrow", "0", "1"],
    ]


def test_rows_that_were_not_measured_are_said(shim: Shim) -> None:
    """They are none of the codes."""
    done = shim.run("judge", shim.task(3, ROWS), "--blur-degree", "50")
    (line,) = (line for line in done.stdout.splitlines() if "not measured" in line)
    assert line.split("│")[-2].strip() == "2"


def test_new_limits_are_counted_first(shim: Shim) -> None:
    """What would happen, and that Airflow is needed for more."""
    task_id = shim.task(3, [Outcome(o.row, o.uri, o.code, "", f"id-{o.row}", o.measurements) for o in ROWS])
    done = shim.run("limits", task_id, "--width", "80", "--preview")
    assert (done.returncode, done.stdout) == (0, "0 to import, 1 to remove, 0 with another result\n")
    done = shim.run("limits", task_id, "--blur-degree", "50", "--preview")
    assert done.stderr == "2 not measured for these limits; they stay imported\n"
    assert shim.run("limits", task_id, "--width", "80").returncode == 1


def test_a_limit_that_cannot_be_is_a_usage_error(shim: Shim) -> None:
    """Before anything is asked."""
    assert shim.run("judge", "AAAAAAAAAAAA", "--pos-yaw", "181").returncode == 2
