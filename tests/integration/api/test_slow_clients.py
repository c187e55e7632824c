"""The API as it is served, while clients hold on to it: others are answered, and nobody holds on for ever (ADR 22)."""

import re
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

import pytest
import requests

from api_shim.slots import DOWNLOADS, UPLOADS
from face_import.catalogue import Catalogue, TaskConfig
from face_import.contract import Code, Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.keys import KeyFile
from tests.integration.api.slow_clients import (
    FORM,
    FORM_END,
    Clients,
    answer,
    begins,
    chunk,
    create_head,
    dripping,
    head,
    is_held,
)
from tests.shim import Shim
from tests.waiting import until

IMPATIENT = ("--worker-class", "tests.integration.api.deadlines.Impatient")
PATIENT = ("--worker-class", "tests.integration.api.deadlines.Patient")
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
HALF_A_LOGIN = (
    head("POST", "/login", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 500") + b"key="
)
HALF_AN_UPLOAD = create_head("Content-Length: 1000000") + FORM + b"http://x/1.jpg,t,d\n"
ROWS = 12_000
CALLS = 100


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shim]:
    """As the stack starts it, but for deadlines: whoever holds on does so until the test ends."""
    with Shim(tmp_path_factory.mktemp("served") / "home", *PATIENT) as shim:
        yield shim


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shim]:
    """The same with short deadlines."""
    with Shim(tmp_path_factory.mktemp("impatient") / "home", *IMPATIENT) as shim:
        yield shim


@pytest.fixture
def clients(shim: Shim) -> Iterator[Clients]:
    """Clients of the first."""
    with Clients(shim.url) as clients:
        yield clients


@pytest.fixture
def tried(impatient: Shim) -> Iterator[Clients]:
    """Clients of the second."""
    with Clients(impatient.url) as clients:
        yield clients


@pytest.fixture(scope="module")
def failed(shim: Shim) -> str:
    """A task with a log of 7 MB: more than any buffers take."""
    catalogue, task_id = Catalogue.open(shim.settings), new_task_id()
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=ROWS)
    catalogue.plans.commit(task_id, [Shard(0, 1, ROWS, 0, 100, 1)], ROWS)
    catalogue.tasks.start(task_id)
    assert catalogue.leases.take(task_id, 0, "me", 60)
    outcomes = tuple(
        Outcome(row, f"http://x/{row}.jpg", Code.IMAGE_UNREADABLE, "x" * 600) for row in range(1, ROWS + 1)
    )
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", outcomes))
    assert catalogue.tasks.complete(task_id)
    catalogue.engine.dispose()
    return task_id


def p99(session: requests.Session, url: str) -> float:
    """Of the seconds that a call takes, all of which succeed."""
    times = []
    for _ in range(CALLS):
        began = time.monotonic()
        assert session.get(url, timeout=20).status_code == 200
        times.append(time.monotonic() - began)
    return quantiles(times, n=100)[-1]


def create(shim: Shim, rows: int) -> requests.Response:
    """An upload, as fast as it can be."""
    file = {"file": ("faces.csv", b"http://images.example.org/1.jpg,tag,text\n" * rows)}
    return requests.post(f"{shim.url}/v1/tasks/create", data={"group_name": "staff"}, files=file, timeout=20)


def stored(shim: Shim) -> list[Path]:
    """Files in the storage of sources, and of uploads that are under way."""
    folders = (shim.settings.home / "storage", shim.settings.home / "tmp")
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_control_is_answered_while_slow_clients_hold_on(shim: Shim, clients: Clients, failed: str) -> None:
    """200 half heads, 200 half logins, 50 uploads that trickle, 20 who do not read, and 50 who do not go."""
    detail = f"{shim.url}/v1/tasks/{failed}/detail"
    task_id = create(shim, 1).json()["id"]
    with requests.Session() as session:
        quick = p99(session, detail)
        heads = [clients.sends(HALF_A_HEAD) for _ in range(200)]
        logins = [clients.sends(HALF_A_LOGIN) for _ in range(200)]
        uploads = [clients.sends(HALF_AN_UPLOAD) for _ in range(50)]
        path = f"/v1/tasks/{failed}/download_log"
        readers = [clients.sends(head("GET", path), receive_buffer=2**16) for _ in range(20)]
        for _ in range(50):
            clients.sends(head("GET", "/healthz", "Connection: close"))
        with dripping(uploads, 0.5):
            assert [begins(reader) for reader in readers] == [b"HTTP/1.1 200"] * 20
            assert p99(session, detail) < max(20 * quick, 2)
            assert requests.get(f"{shim.url}/healthz", timeout=5).status_code == 200
            assert requests.get(f"{shim.url}/v1/tasks/{task_id}/stop", timeout=5).status_code == 409
            assert requests.get(f"{shim.url}/console/static/console.css", timeout=5).status_code == 200
            assert create(shim, 5000).status_code == 200
            assert all(map(is_held, [*heads, *logins, *uploads]))
        rest = requests.get(f"{shim.url}{path}", timeout=20).text
    assert rest.count("\n") == ROWS


def test_uploads_beyond_their_places_are_told_so(shim: Shim) -> None:
    """Sixty-four are received at once; the next is 503 at once, and has a place when others have left."""
    with Clients(shim.url) as others:
        tried = [others.sends(HALF_AN_UPLOAD) for _ in range(UPLOADS.number + 1)]
        (told,) = until(lambda: [client for client in tried if not is_held(client)])
        assert begins(told) == b"HTTP/1.1 503"
        refused = create(shim, 5000)
        assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "5")
        assert refused.json()["error"].startswith("64 uploads are in progress")
        assert create(shim, 1).status_code == 200, "a small file is no upload to wait for"
        assert sum(map(is_held, tried)) == UPLOADS.number
    until(lambda: create(shim, 5000).status_code == 200)


def test_downloads_beyond_their_places_are_told_so(shim: Shim, clients: Clients, failed: str) -> None:
    """The same for those who read a log slowly."""
    path = f"/v1/tasks/{failed}/download_log"
    with Clients(shim.url) as others:
        readers = [others.sends(head("GET", path), receive_buffer=2**16) for _ in range(DOWNLOADS.number)]
        assert {begins(reader) for reader in readers} == {b"HTTP/1.1 200"}
        assert begins(clients.sends(head("GET", path))) == b"HTTP/1.1 503"
        assert requests.get(f"{shim.url}/v1/tasks/{failed}/detail", timeout=5).status_code == 200
    until(lambda: requests.get(f"{shim.url}{path}", timeout=20).status_code == 200)
    for _ in range(2 * DOWNLOADS.number):
        assert requests.head(f"{shim.url}{path}", timeout=5).status_code == 200, "these keep no place"


@pytest.mark.parametrize("drip_s", [0.2, 60], ids=["drips", "stops"])
@pytest.mark.parametrize(
    "sent", [HALF_A_HEAD, HALF_A_LOGIN, head("GET", "/healthz") + HALF_A_HEAD], ids=["head", "form", "second head"]
)
def test_a_request_that_does_not_come_is_ended(tried: Clients, sent: bytes, drip_s: float) -> None:
    """Head and small body have one deadline, however they come, and whatever was answered before."""
    client = tried.sends(sent)
    with dripping([client], drip_s):
        assert answer(client).rpartition(b"HTTP/1.1 ")[2].startswith(b"408 ")


def test_a_connection_without_a_request_is_closed(tried: Clients) -> None:
    """Nobody has to be told anything."""
    assert answer(tried.sends(b"")) == b""


@pytest.mark.parametrize("drip_s", [0.2, 60], ids=["trickles", "stops"])
@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_ended(impatient: Shim, tried: Clients, length: str, drip_s: float) -> None:
    """Below the least rate patience runs out: 408, and nothing is kept."""
    piece = b"a" if "Content-Length" in length else chunk(b"a")
    form = FORM if "Content-Length" in length else chunk(FORM)
    client = tried.sends(create_head(length) + form)
    with dripping([client], drip_s, piece):
        said = answer(client)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in said
    assert stored(impatient) == []


def test_a_slow_upload_that_goes_on_succeeds(tried: Clients) -> None:
    """It takes three times as long as the longest pause may."""
    row = b"http://images.example.org/1.jpg,tag," + b"x" * 1000 + b"\n"
    client = tried.sends(create_head("Transfer-Encoding: chunked", "Connection: close") + chunk(FORM))
    began = time.monotonic()
    with dripping([client], 0.3, chunk(row)):
        until(lambda: time.monotonic() > began + 6)
    client.sendall(chunk(FORM_END) + chunk(b""))
    assert answer(client).startswith(b"HTTP/1.1 200 ")


def test_a_reader_who_stops_is_left(failed: str, shim: Shim) -> None:
    """The thread is free again after a time: the download ends in the middle."""
    with Shim(shim.settings.home, *IMPATIENT) as served, Clients(served.url) as clients:
        download = head("GET", f"/v1/tasks/{failed}/download_log")
        readers = [clients.sends(download, receive_buffer=2**16) for _ in range(DOWNLOADS.number)]
        assert {begins(reader) for reader in readers} == {b"HTTP/1.1 200"}
        until(lambda: connections(served) == 0)
        assert all(answer(reader).count(b"\n") < ROWS for reader in readers)
        assert "Traceback" not in served.log.read_text()


def test_a_client_that_leaves_in_the_middle_leaves_nothing(impatient: Shim) -> None:
    """No task, no file, no traceback."""
    before = requests.post(f"{impatient.url}/v1/tasks/list", json={"group_name": "staff"}, timeout=5).json()
    with Clients(impatient.url) as clients:
        for length, form in (("Content-Length: 1000000", FORM), ("Transfer-Encoding: chunked", chunk(FORM))):
            clients.sends(create_head(length) + form)
        until(lambda: connections(impatient) == 2)
    until(lambda: connections(impatient) == 0)
    assert requests.post(f"{impatient.url}/v1/tasks/list", json={"group_name": "staff"}, timeout=5).json() == before
    assert "Traceback" not in impatient.log.read_text()


def connections(shim: Shim) -> int:
    """How many the server has."""
    return sum(connection.status != "LISTEN" for connection in shim.worker().net_connections("tcp"))


@contextmanager
def few_files() -> Iterator[None]:
    """What is started now begins with a low limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_there_is_room_for_who_comes(tmp_path: Path) -> None:
    """At the limit of connections the one that is waited for longest makes room."""
    with ExitStack() as stack:
        with few_files():
            shim = stack.enter_context(Shim(tmp_path / "home", "--worker-connections", "250"))
        clients = stack.enter_context(Clients(shim.url))
        first = clients.sends(HALF_A_HEAD)
        held = [clients.sends(HALF_A_HEAD) for _ in range(400)]
        assert answer(first) == b""
        assert requests.get(f"{shim.url}/healthz", timeout=5).status_code == 200
        assert is_held(held[-1])
        assert 200 < connections(shim) <= 250


def test_who_is_idle_longest_makes_room(tmp_path: Path) -> None:
    """If nobody is waited for, it is a connection that is kept for another request."""
    options = ("--threads", "1", "--worker-connections", "20")
    with Shim(tmp_path / "home", *options) as shim, Clients(shim.url) as clients:
        until(lambda: connections(shim) == 0)
        request = head("GET", "/healthz")
        idle = []
        for _ in range(19):
            idle.append(clients.sends(request))
            assert begins(idle[-1]) == b"HTTP/1.1 200"
        assert begins(clients.sends(request)) == b"HTTP/1.1 200"
        assert answer(idle[0]).endswith(b"}\n")
        assert idle[1].recv(2**16).endswith(b"}\n")
        idle[1].sendall(request)
        assert begins(idle[1]) == b"HTTP/1.1 200"


def test_it_ends_within_seconds(tmp_path: Path) -> None:
    """Whoever holds on is not waited for."""
    with Shim(tmp_path / "home") as shim, Clients(shim.url) as clients:
        for sent in (HALF_A_HEAD, HALF_A_LOGIN, HALF_AN_UPLOAD):
            clients.sends(sent)
        until(lambda: connections(shim) == 3)
        began = time.monotonic()
        shim.end()
        assert time.monotonic() - began < 12


def test_an_answer_reaches_who_is_still_sending(tmp_path: Path) -> None:
    """Without a key an upload is refused unread, and the client that sends it to its end learns why."""
    keys = KeyFile(tmp_path / "keys.json")
    keys.add("somebody", None)
    size = 30_000_000
    with (
        Shim(tmp_path / "home", FACE_IMPORT_API_KEYS_FILE=str(keys.path)) as shim,
        Clients(shim.url) as clients,
    ):
        client = clients.sends(create_head(f"Content-Length: {size}") + b"x" * size)
        assert answer(client).startswith(b"HTTP/1.1 401 ")
        assert stored(shim) == []


def test_who_asks_first_is_told_to_go_on(tried: Clients) -> None:
    """Curl asks before it sends a large file."""
    form = FORM + b"http://x/1.jpg,t,d\n" + FORM_END
    asked = create_head(f"Content-Length: {len(form)}", "Expect: 100-continue", "Connection: close")
    client = tried.sends(asked)
    assert begins(client, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(form)
    assert answer(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head("GET", "/healthz") + b"nonsense\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (head("GET", "/healthz", "Content-Length: 1", "Content-Length: 2"), b"400"),
        (head("POST", "/login", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n", b"400"),
        (head("GET", "/healthz", "X-Large: " + "x" * 9000), b"431"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X-Many: x\r\n" * 7000, b"431"),
    ],
    ids=["pipelined", "bare LF", "empty", "two lengths", "length and chunks", "field", "line", "endless head"],
)
def test_a_request_that_is_none_is_refused_at_once(shim: Shim, clients: Clients, sent: bytes, status: bytes) -> None:
    """As gunicorn does; never 500."""
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer(clients.sends(sent)))[-1] == status
    assert "Traceback" not in shim.log.read_text()
