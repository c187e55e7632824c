"""import --photos against the real API: what arrives, and that nothing is uploaded or stored twice."""

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from PIL import Image
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from face_import.catalogue.reports import Overview
from face_import.domain.data_uri import decode_data_uri
from tests.integration.cli.conftest import OnTerminal, Shim
from tests.integration.cli.test_client import DETAIL, TASK_ID, json_of

NAMES = ("7_Ann Lee.jpg", "8_李娜.jpg", "9_Bob.jpg")
SUMMARY = {**DETAIL, "id": TASK_ID, "attempts": 0}


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A folder of three photos and two other files."""
    folder = tmp_path / "team"
    folder.mkdir()
    for n, name in enumerate(NAMES):
        Image.new("L", (8, 8), n).save(folder / name)
    (folder / "notes.txt").write_text("hello")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


def ids(shim: Shim, group: str) -> list[str]:
    """The group's tasks."""
    return Overview(shim.catalogue.engine, [group]).ids()


def test_photos_arrive_as_rows(shim: Shim, team: Path) -> None:
    """One for each, with what its name says, the file and the very bytes; the others are said, with the reason."""
    done = shim.run("import", "--photos", str(team), "--group", "rows", "--names", "{id}_{tag}", "--dry-run")
    task_id = done.stdout.strip()
    assert "3 photos, 0.0 MB\n" in done.stderr
    assert "left out 1 file (text, not an image): notes.txt\n" in done.stderr
    assert "left out 1 file (hidden, or a file of the system): .DS_Store\n" in done.stderr
    assert "read as UTF-8, separated by commas, with a header: uri=uri, tag=tag, id=id; ignored: file\n" in done.stderr
    assert shim.catalogue.tasks.get(task_id).config.source == "upload: team.csv"
    text = shim.run("results", task_id, "--rows", "unhandled").stdout
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [(row["id"], row["tag"], row["file"]) for row in rows] == [
        ("7", "Ann Lee", NAMES[0]),
        ("8", "李娜", NAMES[1]),
        ("9", "Bob", NAMES[2]),
    ]
    assert [decode_data_uri(row["uri"], 10**6) for row in rows] == [(team / name).read_bytes() for name in NAMES]


def test_a_repeated_command_uploads_nothing(shim: Shim, team: Path, tmp_path: Path) -> None:
    """Whatever state the import is in; other photos or options, or a delete, make a new one."""
    command = ("import", "--group", "again", "--photos")
    first = shim.run(*command, str(team)).stdout.strip()
    packed = tmp_path / "team.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.write(team / name, name)
    repeated = shim.run(*command, str(packed))  # Airflow is away: the first command could not start it either
    assert (repeated.returncode, repeated.stdout.strip()) == (1, first)
    assert f"uploaded before: import {first}, created; " in repeated.stderr
    assert "the task was created, start it with" in repeated.stderr
    shim.catalogue.tasks.start(first)
    running = shim.run(*command, str(team))
    assert (running.returncode, running.stdout.strip()) == (0, first)
    assert f"{first}, running; " in running.stderr
    assert "it cannot be started" in running.stderr
    assert ids(shim, "again") == [first]
    assert shim.run(*command, str(team), "--width", "80").stdout.strip() != first
    shim.run("delete", first)
    third = shim.run(*command, str(team)).stdout.strip()
    assert (first in ids(shim, "again"), third in ids(shim, "again")) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--photos", "nothing"], 2, "does not exist"),
        (["--photos", "team", "faces.csv"], 2, "either a FILE or"),
        ([], 2, "either a FILE or"),
        (["--photos", "team", "--sheet", "1"], 2, "are for a FILE"),
        (["--photos", "team", "--separator", ";"], 2, "are for a FILE"),
        (["--photos", "team", "--names", "{name}"], 2, "{name} is none of"),
        (["--photos", "faces.csv"], 1, "neither a folder nor a readable zip file"),
        (["--photos", "empty"], 1, "no photo to import in"),
        (["--photos", "team", "--names", "{tag}/*"], 1, "no photo to import in"),
    ],
)
def test_what_cannot_be_imported_is_said(
    *,
    shim: Shim,
    team: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    """Before anything is uploaded, in words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "faces.csv").write_text("http://x/1.jpg,t,d\n")
    done = shim.run("import", "--group", "wrong", *arguments)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (status, "", False)
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert ids(shim, "wrong") == []


class Slow:
    """A server that receives an upload and does not answer it, and knows afterwards what it has stored.

    Args:
        stored: the tasks that it lists.
    """

    def __init__(self, *stored: dict[str, object]) -> None:
        self.received = Event()
        self.over = Event()
        self.sizes: list[int] = []
        self._stored = stored

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        """Answer, as WSGI has it."""
        request = Request(environ)
        answer = Response("", 503)
        if request.path.endswith("/list"):
            answer = json_of(200, ids=[], tasks=self._stored if self.sizes else [], total_count=0)
        elif request.path.endswith("/create"):
            self.sizes.append(len(request.get_data(cache=False)))
            self.received.set()
            self.over.wait(60)
        return answer(environ, start_response)


@pytest.fixture
def serve() -> Iterator[object]:
    """Serve applications on ports of their own; the URL of each."""
    started = []

    def start(app: Slow) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        started.append((app, server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for app, server, thread in started:
        app.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ([SUMMARY], f"interrupted; import {TASK_ID} was created and not started; start it with: face-import start"),
        ([], "interrupted; nothing was started, but the server may still store the file"),
    ],
    ids=["stored", "not-yet"],
)
def test_ctrl_c_while_the_server_reads(  # type: ignore[no-untyped-def]
    *, shim: Shim, team: Path, on_terminal: OnTerminal, serve, stored: list[dict[str, object]], said: str
) -> None:
    """Everything was sent: the server is asked what became of it."""
    url = serve(app := Slow(*stored))
    terminal = on_terminal(shim.environment, "import", "--photos", str(team), "--group", "staff", "--url", url)
    assert app.received.wait(60)
    terminal.type("\x03")
    assert terminal.ends() == 130
    terminal.expect(said)
    assert "Traceback" not in terminal.text


def test_an_upload_that_breaks_off_stores_nothing(shim: Shim, team: Path) -> None:
    """The server is away before its end."""
    done = shim.run("import", "--photos", str(team), "--group", "staff", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout, "no server at http://127.0.0.1:9" in done.stderr) == (1, "", True)
    file = shim.run("import", str(team / "notes.txt"), "--group", "staff", "--url", "http://127.0.0.1:9")
    assert (file.returncode, file.stderr.endswith("; nothing was stored\n")) == (1, True)
