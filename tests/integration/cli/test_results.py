"""Results as a file, which is imported again."""

import csv
import io
from pathlib import Path

import pytest
import requests

from face_import.contract import Code, Reason
from face_import.domain.models import Outcome, Shard
from face_import.sources import Storage
from tests.integration.cli.conftest import Shim

FILE = "uri,tag,dept\n" + "".join(f'http://x/{n}.jpg,人{n},"=a\nb;c"\n' for n in range(1, 2001))
BAD = [
    Outcome(2, "", Code.NO_FACE, "no face found"),
    Outcome(3, "", Code.URI_UNREACHABLE, "404 Not Found", reason=Reason.NOT_FOUND),
    *(Outcome(row, "", Code.URI_UNREACHABLE, "timed out", reason=Reason.TIMEOUT) for row in range(1000, 2001)),
]


@pytest.fixture(scope="module")
def task_id(_shim: Shim) -> str:
    """A completed task of 2000 rows, about half of them failed."""
    url = f"http://127.0.0.1:{_shim.settings.port}/v1/tasks/create"
    answer = requests.post(url, data={"group_name": "results"}, files={"file": FILE.encode()}, timeout=60)
    task_id = str(answer.json()["id"])
    index = Storage.of(_shim.settings).index(task_id)
    assert index is not None
    _shim.catalogue.plans.commit(task_id, [Shard(0, 1, 2000, index.blocks[0].start, index.size, 2)], 2000)
    _shim.catalogue.tasks.start(task_id)
    _shim.finish(task_id, 2000, BAD)
    return task_id


def test_a_file_of_results_is_the_servers(shim: Shim, task_id: str, tmp_path: Path) -> None:
    """Byte for byte, into a file or a pipe; the number of rows is said."""
    target = tmp_path / "failed.csv"
    done = shim.run("results", task_id, "--rows", "failed", "-o", str(target))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"1003 rows written to {target}\n")
    url = f"http://127.0.0.1:{shim.settings.port}/v1/tasks/{task_id}/download_rows"
    assert target.read_bytes() == requests.get(url, timeout=60).content
    assert [path.name for path in tmp_path.iterdir()] == ["failed.csv"]
    for options in ((), ("-o", "-"), ("-o", "/dev/stdout")):
        assert shim.run("results", task_id, *options).stdout == target.read_text()


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ("--rows all", 2000),
        ("--rows imported", 997),
        ("--rows unhandled", 0),
        ("--code 201", 1),
        ("--reason not_found", 1),
        ("--code 101 --reason timeout", 1001),
        ("--rows all --row 1,7-9,1999-", 6),
    ],
)
def test_rows_are_selected(shim: Shim, task_id: str, options: str, rows: int) -> None:
    """As by the API."""
    done = shim.run("results", task_id, *options.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(csv.reader(io.StringIO(done.stdout, newline="")))) == rows + 1


def test_results_are_imported_as_they_are(shim: Shim, task_id: str, tmp_path: Path) -> None:
    """Their columns are those of the file they come from."""
    target = tmp_path / "failed.csv"
    assert shim.run("results", task_id, "--output", str(target)).returncode == 0
    done = shim.run("import", str(target), "--group", "results")
    assert "with a header: uri=uri, tag=tag; ignored: dept\n" in done.stderr


def test_a_file_is_replaced_only_by_whole_results(shim: Shim, task_id: str, tmp_path: Path) -> None:
    """A refusal is one line, and leaves what was there."""
    target = tmp_path / "failed.csv"
    target.write_text("before")
    done = shim.run("results", task_id, "--rows", "unhandled", "--code", "101", "-o", str(target))
    assert (done.returncode, done.stderr) == (1, "face-import: code: no unhandled row has code 101\n")
    assert (target.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", ["failed.csv"])
    nowhere = shim.run("results", task_id, "-o", str(tmp_path / "no" / "file"))
    assert (nowhere.returncode, nowhere.stderr) == (1, f"face-import: -o: no such folder: {tmp_path / 'no'}\n")
    assert shim.run("results", task_id, "--rows", "some").returncode == 2
