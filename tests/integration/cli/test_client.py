"""What a server may answer beside the truth, and what goes over the wire."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.formparser import parse_form_data
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from face_import.cli.client import Client
from face_import.cli.server import Server
from face_import.cli.upload import CHUNK_BYTES, File, Form
from face_import.cli.watch import Rate
from face_import.errors import ApiUnavailable, SourceError
from tests.integration.cli.conftest import Shim

KEY = "s3cret-key"
TASK_ID = "AAAAAAAAAAAA"
DETAIL = {
    "group_name": "staff",
    "config": {"thread_num": 10, "new_limit": 1},
    "total_num": 2,
    "handled_num": 2,
    "success_num": 2,
    "failed_num": 0,
    "errors": {},
    "state": 4,
    "last_error": "",
    "created_at": "2030-01-01T12:00:00.000+00:00",
    "started_at": None,
    "finished_at": None,
    "dag_run_id": TASK_ID,
    "newer_than_us": 1,
}


class Elsewhere:
    """A server that answers what a test wants, one answer after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.seen: list[Request] = []

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        """Answer, as WSGI has it."""
        self.seen.append(Request(environ))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(environ, start_response)


@pytest.fixture
def elsewhere() -> Iterator[tuple[Elsewhere, str]]:
    """The server and its URL."""
    app = Elsewhere()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield app, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def json_of(status: int, **body: object) -> Response:
    """An answer as JSON."""
    return Response(json.dumps(body), status, mimetype="application/json")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("<html>", 502), "returned 502, but is not a Face import API: check --url"),
        (Response("<html>", 404), "returned 404, but is not a Face import API"),
        (Response("hello", 200), "returned 200, but is not a Face import API"),
        (json_of(200, state=9), "returned 200, but is not a Face import API"),
        (json_of(401, error="no"), "rejects this API key: pass --key or set FACE_IMPORT_API_KEY"),
        (json_of(403, error="you may not"), "you may not"),
        (json_of(500, error="we are sorry"), "we are sorry"),
        (Response("", 301, {"Location": "https://x/"}), "pass the target address with --url"),
    ],
    ids=["gateway", "404", "text", "json", "401", "403", "500", "redirect"],
)
def test_a_strange_answer_is_one_line(
    shim: Shim, elsewhere: tuple[Elsewhere, str], answer: Response, said: str
) -> None:
    """What came is said in a line, without a traceback and without the key."""
    app, url = elsewhere
    app.answers = [answer]
    done = shim.run("show", TASK_ID, "--url", url, "--key", KEY)
    assert (done.returncode, done.stderr.count("\n"), KEY in done.stderr) == (1, 1, False)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "started\n"),
        ({"notice": "the DAG face_import\x1b[2J is paused"}, "the DAG face_import\\x1b[2J is paused\n"),
    ],
    ids=["runs", "waits"],
)
def test_what_a_started_import_waits_for_is_said(
    shim: Shim, elsewhere: tuple[Elsewhere, str], answer: dict[str, str], said: str
) -> None:
    """Or else a paused DAG looks like a slow import."""
    app, url = elsewhere
    app.answers = [json_of(200, **answer)]
    done = shim.run("start", TASK_ID, "--url", url, "--key", KEY)
    assert done.returncode == 0
    assert done.stderr.endswith(said)


@pytest.mark.parametrize("command", [["tasks", "--group", "staff"], ["log", TASK_ID]], ids=["tasks", "log"])
def test_an_answer_without_what_was_asked_for_is_one_line(
    shim: Shim, elsewhere: tuple[Elsewhere, str], command: list[str]
) -> None:
    """JSON of another program is not taken for an empty answer."""
    app, url = elsewhere
    app.answers = [json_of(200, logs=[{"row": "x"}])]
    done = shim.run(*command, "--url", url)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is not a Face import API" in done.stderr


def test_the_key_and_the_address_from_options_or_environment(shim: Shim, elsewhere: tuple[Elsewhere, str]) -> None:
    """Options win over variables; a netrc file does not win over the key; without a key none is sent."""
    app, url = elsewhere
    app.answers = [json_of(200, **DETAIL)]
    assert shim.run("show", TASK_ID, FACE_IMPORT_URL=f"{url}/", FACE_IMPORT_API_KEY=KEY).returncode == 0
    assert shim.run("show", TASK_ID, "--url", url, "--key", "2", FACE_IMPORT_API_KEY=KEY).returncode == 0
    assert shim.run("show", TASK_ID, "--url", url).returncode == 0
    assert [request.headers.get("Authorization") for request in app.seen] == [f"Bearer {KEY}", "Bearer 2", None]
    app.answers = [json_of(401)]
    assert "requires an API key" in shim.run("show", TASK_ID, "--url", url).stderr
    assert {request.path for request in app.seen} == {f"/v1/tasks/{TASK_ID}/detail"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--url", "http://user:pw@127.0.0.1:9"],
            "no server at http://127.0.0.1:9: start it with `face-import up`",
        ),
        (["--url", "127.0.0.1:9"], "must start with http:// or https://"),
        (["--url", "http://[::1"], "not a valid server address"),
        (["--url", "http://127.0.0.1:9", "--key", "geheim\n"], "only visible ASCII characters are allowed"),
    ],
    ids=["nobody", "no-scheme", "no-address", "no-key"],
)
def test_a_wrong_address_or_key_is_one_line(shim: Shim, options: list[str], said: str) -> None:
    """What to do is said; passwords and keys are not."""
    done = shim.run("show", TASK_ID, *options)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr
    assert not any(secret in done.stderr for secret in ("pw", "geheim"))


def test_a_proxy_that_cannot_be_used_is_one_line(shim: Shim, elsewhere: tuple[Elsewhere, str]) -> None:
    """It is the proxy that is named, not the server; on this machine there is none in between."""
    proxy = {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    done = shim.run("show", TASK_ID, "--url", "http://192.0.2.1:8000", **proxy)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the proxy of the environment cannot be used" in done.stderr
    app, url = elsewhere
    app.answers = [json_of(200, **DETAIL)]
    assert shim.run("show", TASK_ID, "--url", url, **proxy).returncode == 0


def test_watching_outlives_a_restart_of_the_api(shim: Shim, elsewhere: tuple[Elsewhere, str]) -> None:
    """A gateway's 502 and a 503 are asked again; the import goes on meanwhile."""
    app, url = elsewhere
    app.answers = [Response("", 502), json_of(503, error="away"), json_of(200, **DETAIL)]
    assert shim.run("show", TASK_ID, "--watch", "--url", url).returncode == 0


@pytest.mark.parametrize(("command", "option"), [("log", "--csv"), ("results", "-o")])
def test_a_download_that_breaks_off_leaves_the_file(
    shim: Shim, elsewhere: tuple[Elsewhere, str], tmp_path: Path, command: str, option: str
) -> None:
    """Half a file is never taken for a whole one."""
    app, url = elsewhere
    app.answers = [Response(iter([b"http://x/1.jpg,201,no face\r\n"]), headers={"Content-Length": "1000"})]
    target = tmp_path / "failed.csv"
    target.write_text("before")
    done = shim.run(command, TASK_ID, option, str(target), "--url", url)
    assert (done.returncode, f"{command} download interrupted" in done.stderr) == (1, True)
    assert (target.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", ["failed.csv"])


class Cut:
    """A server that receives requests and closes some connections without an answer.

    Args:
        cuts: how many, before it answers.
    """

    def __init__(self, cuts: int) -> None:
        self.cuts = cuts
        self.heads: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Handle one connection after the other, until the socket is closed."""
        with suppress(OSError):
            while True:
                self._handle(self._socket.accept()[0])

    def _handle(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as request:
            head = b"".join(iter(request.readline, b"\r\n"))
            request.read(int(re.findall(rb"Content-Length: (\d+)", head)[0]))
            self.heads.append(head)
            if len(self.heads) > self.cuts:
                body = json.dumps({"id": TASK_ID}).encode()
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def close(self) -> None:
        """Stop serving."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.mark.parametrize(("cuts", "tries"), [(0, 1), (2, 3), (9, 3)])
def test_a_lost_connection_repeats_the_create(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch, cuts: int, tries: int
) -> None:
    """A few times, each with the same key; then it is said that the connection was lost."""
    waits: list[float] = []
    monkeypatch.setattr("face_import.cli.client.time.sleep", waits.append)
    server = Cut(cuts)
    thread = Thread(target=server.serve)
    thread.start()
    try:
        with Client(Server.of(server.url, "")) as client:
            if cuts < tries:
                assert client.create({"group_name": "staff"}, File(csv_file), lambda _sent: None, "k").id == TASK_ID
            else:
                with pytest.raises(ApiUnavailable, match="lost"):
                    client.create({"group_name": "staff"}, File(csv_file), lambda _sent: None, "k")
    finally:
        server.close()
        thread.join()
    keys = [re.findall(rb"Idempotency-Key: (\S+)", head) for head in server.heads]
    assert (len(keys), len(waits)) == (tries, tries - 1)
    assert len(set(map(tuple, keys))) == 1


def test_a_create_that_reaches_nobody_is_not_repeated(monkeypatch: pytest.MonkeyPatch, csv_file: Path) -> None:
    """Nothing was sent, and waiting does not start a server."""
    monkeypatch.setattr("face_import.cli.client.time.sleep", lambda _s: pytest.fail("it waited"))
    with Client(Server.of("http://127.0.0.1:9", "")) as client, pytest.raises(ApiUnavailable, match="no server"):
        client.create({"group_name": "staff"}, File(csv_file), lambda _sent: None, "k")


def test_a_form_is_sent_in_pieces(tmp_path: Path) -> None:
    """As long as it says, in pieces, understood by a server, and the progress ends at the file's size."""
    content = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end"
    path = tmp_path / 'a "b".csv'
    path.write_bytes(content)
    progress: list[int] = []
    form = Form({"group_name": "staff", "width": "80"}, File(path), progress.append)
    pieces = list(form)
    assert sum(map(len, pieces)) == len(form)
    assert max(map(len, pieces)) <= CHUNK_BYTES
    assert progress[-1] == len(content)
    request = Request.from_values(method="POST", data=b"".join(pieces), content_type=form.content_type)
    _, fields, files = parse_form_data(request.environ)
    assert fields.to_dict() == {"group_name": "staff", "width": "80"}
    assert files["file"].read() == content


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    """Its length was promised; one that grows is sent as it was."""
    path = tmp_path / "faces.csv"
    path.write_bytes(b"x" * 1000)
    form = Form({}, File(path), lambda _count: None)
    path.write_bytes(b"x" * 2000)
    assert len(b"".join(form)) == len(form)
    path.write_bytes(b"x" * 10)
    with pytest.raises(SourceError, match="became shorter"):
        list(form)


def test_the_rate_forgets() -> None:
    """What was done before the watch does not count, and an outage lets the rate fall to nothing."""
    rate = Rate()
    assert rate.add(0.0, 5000) == 0.0
    assert rate.add(10.0, 5100) == 10.0
    assert rate.add(20.0, 5100) == 0.0
