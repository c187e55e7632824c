"""Both services under the real server with the real engine."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from face_console.search import search, size_of
from face_import.settings import Settings
from face_services import runner
from face_services.app import create_app
from face_services.engine import EMBEDDING_SIZE, Image
from face_services.store import KnownFace, Store
from tests.face_services import photographs
from tests.face_services.fakes import Engines
from tests.face_services.pictures import GREEN, coloured, data_uri, encoded, uri_of
from tests.face_services.serving import DEADLINE_SECONDS, Server, gunicorn

DETECT = "/v1/eval/facex-detect"
GROUPS = "/v1/face/groups"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both services with the real engine."""
    home = tmp_path_factory.mktemp("library")
    server = serve(home)
    try:
        yield server
    finally:
        server.end()


def serve(home: Path) -> Server:
    """Starts both services on the library in that folder."""
    database = str(home / "library.db")
    return gunicorn("face_services.app:create_app()", home / "server.log", FACE_SERVICES_DATABASE=database)


def jpeg(picture: Image) -> str:
    """A picture as an import would send it."""
    return data_uri(encoded(picture, "JPEG", quality=92))


@pytest.mark.slow
def test_an_import_and_a_search_from_end_to_end(server: Server) -> None:
    """Detect, pose and add as an import does; then the mirrored picture finds its person and nobody else."""
    server.call(f"{GROUPS}/crew", {"config": {"capacity": 100}})
    for name, who in {"collins": photographs.astronaut(), "hopper": photographs.hopper()}.items():
        uri = jpeg(who)
        _, found = server.call(DETECT, {"data": {"uri": uri}})
        (detection,) = found["result"]["detections"]
        box = {"pts": detection["pts"]}
        _, measured = server.call("/v1/eval/facex-pose", {"data": {"uri": uri, "attribute": {"detections": [box]}}})
        assert len(measured["result"]["landmarks"][0]["pos"]) == 3
        image = {"id": name, "uri": uri, "tag": name, "desc": "", "bounding_box": box}
        status, added = server.call(f"{GROUPS}/crew/add", {"image": image, "params": {"reject_bad_face": False}})
        assert (status, added["id"], added["face_number"]) == (200, name, 1)
    wanted = [jpeg(photographs.mirrored(photographs.hopper())), jpeg(photographs.photographer())]
    _, answer = server.call(f"{GROUPS}/crew/search", {"images": wanted, "threshold": 0.45, "limit": 5})
    hopper, stranger = answer["search_results"]
    assert [match["id"] for match in hopper["faces"][0]["faces"]] == ["hopper"]
    assert stranger["faces"][0]["faces"] == []


@pytest.mark.slow
def test_the_console_finds_a_person(server: Server, tmp_path: Path) -> None:
    """By another picture of hers, and nobody else; it knows how many faces there are."""
    url = f"http://127.0.0.1:{server.port}"
    settings = Settings(home=tmp_path, info_url=url, library_url=url)
    astronaut, hopper = photographs.astronaut(), photographs.hopper()
    server.call(f"{GROUPS}/moon", {"config": {"capacity": 0}})
    image = {"id": "", "uri": jpeg(astronaut), "tag": "Collins", "desc": ""}
    server.call(f"{GROUPS}/moon/add", {"image": image})
    assert size_of(settings, "moon") == (1, 1, 0)

    def found(picture: Image) -> tuple[int, list[str]]:
        searched = search(settings, "moon", encoded(picture, "JPEG", quality=92))
        return len(searched.faces), [match.tag for match in searched.matches if match.same_person]

    assert found(photographs.mirrored(astronaut)) == (1, ["Collins"])
    assert found(hopper) == (1, [])
    assert found(photographs.faceless("grass")) == (0, [])


@pytest.mark.slow
def test_many_clients_at_once_all_get_the_right_answer(server: Server) -> None:
    """Forty requests of eight clients, faces and none mixed, are each answered as if alone."""
    one, none = jpeg(photographs.astronaut()), jpeg(photographs.faceless("grass"))
    two = jpeg(np.hstack([photographs.astronaut()] * 2))

    def count(uri: str) -> int:
        status, answer = server.call(DETECT, {"data": {"uri": uri}})
        assert status == 200
        return len(answer["result"]["detections"])

    asked = [one, none, two, one] * 10
    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(count, asked)) == [1, 0, 2, 1] * 10


@pytest.mark.slow
def test_one_id_added_from_many_clients_is_there_once(server: Server) -> None:
    """Six clients add the same id at once: one is told its id, five that it exists."""
    server.call(f"{GROUPS}/race", {"config": {}})
    body = {"image": {"id": "a", "uri": jpeg(photographs.astronaut())}}
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: server.call(f"{GROUPS}/race/add", body), range(6)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 5
    assert server.call(f"{GROUPS}/race")[1]["count"] == 1


@pytest.mark.slow
def test_a_client_that_sends_too_much_reads_its_error(server: Server) -> None:
    """A body above the limit gets its 413 instead of a broken pipe."""
    status, answer = server.call(DETECT, b" " * (33 * 2**20))
    assert (status, answer["code"]) == (413, 413)


@pytest.mark.slow
def test_health_is_told_while_many_requests_wait(server: Server) -> None:
    """While thirty adds wait for each other /healthz waits for none of them."""
    server.call(f"{GROUPS}/busy", {"config": {}})
    body = {"image": {"uri": jpeg(photographs.astronaut())}}
    took = []
    started = time.monotonic()
    with ThreadPoolExecutor(30) as clients:
        adds = [clients.submit(server.call, f"{GROUPS}/busy/add", body) for _ in range(30)]
        while not all(add.done() for add in adds):
            began = time.monotonic()
            assert server.call("/healthz") == (200, {"status": "ok"})
            took.append(time.monotonic() - began)
    assert max(took) < (time.monotonic() - started) / 3
    assert len(took) > 5
    assert {add.result()[0] for add in adds} == {200}


@pytest.mark.slow
def test_another_engines_library_ends_the_server_with_a_line(tmp_path: Path) -> None:
    """Nobody searches a library of another engine: the server says what to do, without a traceback."""
    store = Store(tmp_path / "library.db")
    store.create("crew", 0)
    store.add("crew", KnownFace("a", "", None, [], 0.9), np.ones(EMBEDDING_SIZE, np.float32))
    with sqlite3.connect(tmp_path / "library.db") as database:
        database.execute("UPDATE about SET engine = 'Another 1'")
    assert serve(tmp_path).process.wait(timeout=DEADLINE_SECONDS) != 0
    log = (tmp_path / "server.log").read_text()
    assert "was made with Another 1" in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_an_answered_add_survives_a_kill(tmp_path: Path) -> None:
    """A server killed right after its answer has the face when it is started again, and finds it."""
    face = jpeg(photographs.astronaut())
    killed = serve(tmp_path)
    try:
        killed.call(f"{GROUPS}/crew", {"config": {}})
        assert killed.call(f"{GROUPS}/crew/add", {"image": {"id": "collins", "uri": face}})[0] == 200
    finally:
        killed.kill()
    again = serve(tmp_path)
    try:
        assert again.call(f"{GROUPS}/crew")[1]["count"] == 1
        _, answer = again.call(f"{GROUPS}/crew/search", {"images": [face, jpeg(photographs.faceless("cat"))]})
        herself, cat = answer["search_results"]
        assert [match["id"] for match in herself["faces"][0]["faces"]] == ["collins"]
        assert cat == {"faces": []}
    finally:
        again.end()


@pytest.mark.slow
def test_a_wrong_setting_is_one_line_and_the_end(tmp_path: Path) -> None:
    """The server says which variable is wrong and ends."""
    log = tmp_path / "server.log"
    server = gunicorn("face_services.app:create_app()", log, FACE_SERVICES_ENGINES="many")
    assert server.process.wait(timeout=DEADLINE_SECONDS) != 0
    assert log.read_text() == "face services: FACE_SERVICES_ENGINES must be a whole number from 1 to 64, not 'many'\n"


@pytest.mark.parametrize(("service", "served", "missing"), [("info", DETECT, GROUPS), ("library", GROUPS, DETECT)])
def test_each_service_runs_alone(
    tmp_path: Path, make_client: Callable[..., FlaskClient], service: str, served: str, missing: str
) -> None:
    """An application of one service has its paths, /healthz, and not the other's; info needs no database."""
    client = make_client((service,))
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get(served).status_code in {200, 405}
    assert client.get(missing).status_code == 404
    assert any(tmp_path.rglob("library.db")) == (service == "library")


def test_an_unknown_service_is_refused() -> None:
    """A misspelt name is told at the start."""
    with pytest.raises(ValueError, match="no such service: infos"):
        create_app(["infos"])


def test_a_full_queue_is_said_at_once(make_client: Callable[..., FlaskClient], engines: Engines) -> None:
    """One request at work and one place taken: the next is answered 503 with Retry-After, and /healthz answers."""
    engines.held = threading.Event()
    client = make_client(engines=1, queue=1)
    body = {"data": {"uri": uri_of(coloured(GREEN))}}
    with ThreadPoolExecutor(1) as clients:
        working = clients.submit(client.application.test_client().post, DETECT, json=body)
        try:
            assert engines.started.acquire(timeout=DEADLINE_SECONDS)
            with client.application.extensions[runner.EXTENSION].place():
                refused = client.post(DETECT, json=body)
            assert client.get("/healthz").json == {"status": "ok"}
        finally:
            engines.held.set()
    assert (refused.status_code, refused.json["code"], refused.headers["Retry-After"]) == (503, 503, "1")
    assert working.result().status_code == 200
    assert client.post(DETECT, json=body).status_code == 200
