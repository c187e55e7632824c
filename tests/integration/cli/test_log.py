"""The log as a table, as lines, and as a CSV file."""

import csv
import io
import subprocess
from pathlib import Path

import pytest
import requests

from face_import.contract import Code, TaskState
from face_import.domain.models import Outcome
from tests.integration.cli.conftest import OnTerminal, Shim
from tests.real import COMMAND

HOSTILE = 'http://x/\x1b[31m[red]\n"人脸"'
BAD = [
    Outcome(2, "http://x/2.jpg", Code.NO_FACE, "no face found"),
    Outcome(3, "=1+1", Code.URI_UNREACHABLE, "not a URI, they say"),
    Outcome(5, HOSTILE, Code.NO_FACE, "no face found"),
]


@pytest.fixture(scope="module")
def task_id(_shim: Shim) -> str:
    """A completed task of 2000 rows, three of them failed in an interesting way, and all from 100 on."""
    rest = [Outcome(row, f"http://x/{row}.jpg", Code.IMAGE_UNREADABLE, "x" * 50) for row in range(100, 2001)]
    return _shim.task(2000, [*BAD, *rest])


def test_lines_for_other_programs(shim: Shim, task_id: str) -> None:
    """All failures in row order over several pages, one a line, whatever stands in a URI."""
    lines = [line.split("\t") for line in shim.run("log", task_id).stdout.splitlines()]
    assert [int(row) for row, *_ in lines] == [2, 3, 5, *range(100, 2001)]
    assert lines[0] == ["2", "201", "http://x/2.jpg", "no face found"]
    assert lines[2][2] == 'http://x/\\x1b[31m[red]\\n"人脸"'
    only = shim.run("log", task_id, "--code", "201").stdout.splitlines()
    assert [line.partition("\t")[0] for line in only] == ["2", "5"]


def test_a_table_on_a_terminal(shim: Shim, on_terminal: OnTerminal, task_id: str) -> None:
    """Nothing of a URI is left out, and none of it is an instruction to the terminal."""
    terminal = on_terminal(shim.environment, "log", task_id, "--code", "201")
    terminal.expect("no face found")
    assert terminal.ends() == 0
    terminal.expect("[31m[red]\\n")
    assert "\x1b[31m" not in terminal.text


def test_a_csv_file_is_the_servers(shim: Shim, task_id: str, tmp_path: Path) -> None:
    """Byte for byte what the API offers for download, into a file or a pipe, and nothing beside it."""
    served = requests.get(f"http://127.0.0.1:{shim.settings.port}/v1/tasks/{task_id}/download_log", timeout=60).content
    target = tmp_path / "failed.csv"
    done = shim.run("log", task_id, "--csv", str(target))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"1904 rows written to {target}\n")
    assert target.read_bytes() == served
    assert [path.name for path in tmp_path.iterdir()] == ["failed.csv"]
    piped = subprocess.run(
        [COMMAND, "log", task_id, "--csv", "-"], env=shim.environment, capture_output=True, check=True, timeout=60
    )
    assert (piped.stdout, piped.stderr) == (served, b"")


def test_a_csv_file_of_one_code(shim: Shim, task_id: str) -> None:
    """The same format: formulas stay neutral, and a cell may have line ends."""
    text = shim.run("log", task_id, "--csv", "-", "--code", "201").stdout
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["http://x/2.jpg", "201", "no face found"],
        [HOSTILE, "201", "no face found"],
    ]
    assert shim.run("log", task_id, "--csv", "-", "--code", "101").stdout.startswith("'=1+1,101,")


def test_a_file_is_replaced_only_by_a_whole_one(shim: Shim, tmp_path: Path) -> None:
    """What was there stays when the log cannot be had, and nothing half-written is left."""
    target = tmp_path / "failed.csv"
    target.write_text("before")
    assert shim.run("log", "AAAAAAAAAAAA", "--csv", str(target)).returncode == 1
    assert (target.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", ["failed.csv"])
    nowhere = shim.run("log", shim.task(), "--csv", str(tmp_path / "no" / "file"))
    said = f"face-import: --csv: no such folder: {tmp_path / 'no'}\n"
    assert (nowhere.returncode, nowhere.stderr) == (1, said)


@pytest.mark.parametrize("options", ["", "--csv -"], ids=["lines", "csv"])
def test_a_reader_that_leaves_is_no_error(shim: Shim, task_id: str, options: str) -> None:
    """`| head` gets its line, and nobody hears of the rest."""
    shell = f"{COMMAND} log {task_id} {options} | head -n 1"
    done = subprocess.run(["bash", "-c", shell], env=shim.environment, capture_output=True, text=True, check=False)
    assert ("http://x/2.jpg" in done.stdout, done.stdout.count("\n"), done.stderr) == (True, 1, "")


def test_an_empty_log_is_empty(shim: Shim) -> None:
    """No failures, no lines."""
    done = shim.run("log", shim.task(ends=TaskState.RUNNING))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
