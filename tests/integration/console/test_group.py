"""A group's page and its search by picture, with the doubles of the face services."""

import asyncio
import io
import json
import logging
import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import face_console
from api_shim.slots import SEARCHES, SIZES, Slots
from api_shim.uploads import IN_MEMORY
from face_console import search as searching
from face_import.audit import AuditLog
from face_import.catalogue import Catalogue
from face_import.clients.services import LibraryService
from face_import.contract import Code
from face_import.domain.identity import made_face_id
from face_import.domain.models import Face, Outcome, OutcomeBatch
from face_import.domain.uri import to_data_uri
from face_import.keys import KeyFile
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.images import make_image
from tests.doubles.process import FaceServices, ImageHost
from tests.unit.console.conftest import Get, token_of

FACE = Face(pts=((0, 0), (1, 0), (1, 1), (0, 1)))
HTMX = {"HX-Request": "true"}
RECURRING = """
imports:
- {name: nightly, schedule: "0 3 * * *", source: "https://x/a.csv?secret=1", group: staff}
- {name: later, schedule: {asset: "face-import://groups/staff"}, source: "https://x/b.csv", group: guests}
- {name: broken, group: staff}
"""
Fill = Callable[..., None]
Search = Callable[..., TestResponse]


@pytest.fixture
def settings(tmp_path: Path, services: FaceServices) -> Settings:
    """Settings with the doubles, and small bounds."""
    return Settings(
        home=tmp_path / "home",
        fetch_allow=("127.0.0.0/8",),
        info_url=services.url,
        library_url=services.url,
        max_image_bytes=2 * IN_MEMORY,
        max_image_pixels=10**6,
    )


@pytest.fixture
def fill(settings: Settings) -> Fill:
    """Put faces into a group of the library, by their ids: tag, and what the picture's spec has."""

    def put(group: str, faces: dict[str, tuple[str, dict[str, Any]]]) -> None:
        async def add() -> None:
            async with LibraryService(settings) as library:
                await library.ensure_group(group, 1000)
                for face_id, (tag, spec) in faces.items():
                    await library.add(group, face_id, to_data_uri(make_image(spec)), tag, f"about {tag}", FACE)

        asyncio.run(add())

    return put


@pytest.fixture
def search(client: FlaskClient) -> Search:
    """Search for a picture, as a page with htmx does; `data` is another file's bytes."""

    def send(
        group: str = "staff", *, data: bytes | None = None, headers: dict[str, str] = HTMX, **spec: Any
    ) -> TestResponse:
        file = make_image(spec) if data is None else data
        return client.post(f"/groups/{group}", data={"picture": (io.BytesIO(file), "a.jpg")}, headers=headers)

    return send


def test_a_group_shows_what_is_known_of_it(
    get: Get, fill: Fill, settings: Settings, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """Its size by the library, its imports by the catalogue, its recurring ones by their file; never their sources."""
    fill("staff", {f"id-{n}": ("Ada" if n % 2 else "Grace", {"n": n}) for n in range(5)})
    task = make_task()
    catalogue.tasks.stop(make_task().id)
    outcomes = (Outcome(1, "http://x", Code.OK, "", "a"), Outcome(2, "http://x", Code.NO_FACE))
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    settings.recurring_imports.write_text(RECURRING)
    page = get("/groups/staff")
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    assert facts == {
        "Faces in the group": "5",
        "Different tags": "2",
        "Capacity": "1,000",
        "Rows imported": "1",
        "Rows failed": "1",
    }
    assert '<a href="/?group=staff&amp;exact=1">2 imports</a>' in page
    assert re.findall(r'state=(\d)">(\w+): <b>(\d)', page) == [("2", "Running", "1"), ("3", "Stopped", "1")]
    assert re.findall(r"/dags/(\w+)", page) == ["recurring_nightly"]
    assert "0 3 * * * (UTC)" in page
    assert "secret" not in page
    assert "after each event of face-import://groups/staff" in get("/groups/guests")
    assert "库中人脸数" in get("/groups/staff", language="zh")


def test_lists_and_imports_lead_to_their_group(get: Get, make_task: MakeTask) -> None:
    """From the list, and from the pages of an import; a frame in Airflow stays one."""
    task = make_task()
    for page in ("/", f"/tasks/{task.id}", f"/tasks/{task.id}/limits"):
        assert 'href="/groups/staff"' in get(page), page
    assert 'href="/groups/staff?embed=1"' in get(f"/tasks/{task.id}?embed=1")
    assert 'action="/groups/staff?embed=1#search"' in get("/groups/staff?embed=1")


def test_the_file_of_recurring_imports_may_be_anything(get: Get, settings: Settings, make_task: MakeTask) -> None:
    """A file that cannot be read, or is none, tells of no recurring import; a changed one is read again."""
    make_task()
    for content in (b"imports: [", b"\xff\xfe", b"", RECURRING.encode()):
        settings.recurring_imports.write_bytes(content)
        assert ("nightly" in get("/groups/staff")) is (content == RECURRING.encode())
    settings.recurring_imports.unlink()
    assert "nightly" not in get("/groups/staff")


@pytest.mark.parametrize("group", ["nobody", "No", "st%00aff", "staff/", "staff/x", "%E5%91%98%E5%B7%A5", "x" * 300])
def test_a_group_that_is_nowhere_is_not_found(
    get: Get, search: Search, make_task: MakeTask, services: FaceServices, group: str
) -> None:
    """By its page and by a search; a name that cannot be one is not even looked for."""
    make_task()
    get(f"/groups/{group}", status=404)
    assert search(group).status_code == 404
    assert services.record()["violations"] == []


def test_a_group_may_be_on_one_side_only(get: Get, fill: Fill, make_task: MakeTask) -> None:
    """One that others fill has no imports, and one whose first import has not begun has no faces."""
    fill("others", {"a": ("Ada", {})})
    assert "There are no imports into this group." in get("/groups/others")
    make_task(running=False)
    page = get("/groups/staff")
    assert "The face library does not have this group." in page
    assert "Faces in the group" not in page


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 503, "text": "busy"}, "library service: 503 busy"),
        ({"action": "reset"}, "library service: no answer"),
        ({"action": "hang"}, "library service: no answer within 0.3 s"),
        ({"status": 404, "text": "404 page not found"}, ""),
        ({"status": 200, "body": "[]"}, ""),
        ({"status": 200, "body": "{}"}, ""),
    ],
    ids=["503", "reset", "hang", "no such question", "malformed", "nothing"],
)
def test_a_library_that_does_not_say_its_size(
    get: Get,
    make_task: MakeTask,
    services: FaceServices,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fault: dict[str, Any],
    told: str,
) -> None:
    """Leaves the rest of the page as it is, within a short time. One that cannot say it is not blamed for that."""
    if fault.get("action") == "hang":
        monkeypatch.setattr(searching, "SIZE_S", 0.3)
    make_task()
    services.control(faults=[{"kind": "size", **fault}])
    page = get("/groups/staff")
    assert "Faces in the group" not in page
    assert "1 import</a>" in page
    assert told in page
    assert ("The face library service is not answering." in page) is bool(told)


def test_a_person_is_found(
    search: Search, fill: Fill, images: ImageHost, services: FaceServices, *, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """The most similar faces, best first, with what the library has of them, and with the row that each comes from."""
    task = make_task()
    of_task = made_face_id(task.id, 7)
    fill(
        "staff",
        {
            "stranger": ("Bob", {"person": "Bob"}),
            of_task: ("Ada", {"person": "Ada", "n": 1}),
            "own-id": ("", {"person": "Ada", "n": 2}),
        },
    )
    catalogue.leases.take(task.id, 0, "me", 10)
    rows = (
        Outcome(7, images.image(person="Ada", n=1), Code.OK, "", of_task),
        Outcome(8, "", Code.OK, "", "own-id"),
    )
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", rows))
    answer = search(person="Ada", alike=0.7125, n=1)
    assert answer.status_code == 200
    page = answer.text
    assert "Probably yes: 2 faces of the group have a score of 0.45 or more." in page
    assert re.findall(r"<b>([\d.]+)</b><span class=\"source\">([^<]+)", page) == [
        ("0.7125", "same person, probably"),
        ("0.7125", "same person, probably"),
        ("0", "below 0.45"),
    ]
    assert re.findall(r'<b>(\w*)</b><span class="source">([\w-]+)</span></td>', page) == [
        ("Ada", of_task),
        ("", "own-id"),
        ("Bob", "stranger"),
    ]
    assert page.count("about Ada") == 1
    assert re.findall(r'<img src="([^"]+)', page)[0] == f"/console/thumbnail/{task.id}/7"
    assert [f'href="/tasks/{task.id}/rows?row={row}"' in page for row in (7, 8, 9)] == [True, True, False]
    assert page.count("no import known here") == 1
    record = services.record()
    assert record["violations"] == []
    assert record["groups"] == {"staff": 3}, "a search adds nothing"
    assert "很可能在：库中有 2 张人脸" in search(person="Ada", headers=HTMX | {"Accept-Language": "zh"}).text


def test_the_best_ten_are_shown(search: Search, fill: Fill) -> None:
    """Of many that are similar."""
    fill("staff", {f"id-{n}": ("Ada", {"person": "Ada", "n": n}) for n in range(14)})
    assert search(person="Ada").text.count("about Ada") == 10


def test_somebody_else_is_not_found(search: Search, fill: Fill) -> None:
    """The most similar faces are shown all the same; an empty group has none."""
    fill("staff", {"a": ("Ada", {"person": "Ada"})})
    page = search(person="Grace").text
    assert "Probably not: no face of the group has a score of 0.45 or more." in page
    assert page.count("below 0.45") == 1
    fill("empty", {})
    assert "found nothing to compare it with" in search("empty").text


def test_of_several_faces_the_largest_is_searched_for(search: Search, fill: Fill) -> None:
    """The page says so, and draws where they are."""
    fill("staff", {"a": ("Ada", {})})
    boxes = [[10, 10, 60, 70], [100, 20, 200, 140], [210, 10, 260, 90]]
    page = search(faces=[{"box": box} for box in boxes]).text
    assert "There are 3 faces in this picture. The largest one, of 100 × 120 pixels, was searched for." in page
    assert page.count("<rect") == 3
    assert re.findall(r'<rect class="chosen" x="([\d.]+)" y="([\d.]+)"', page) == [("100.0", "20.0")]
    assert "<rect" not in search(faces=[{"box": boxes[0]}]).text
    assert search(faces=[{"box": boxes[0]}] * 300).text.count("<rect") <= 51


def test_a_picture_without_a_face_is_told_so(search: Search, fill: Fill, services: FaceServices) -> None:
    """That is an answer, and the library is not asked."""
    fill("staff", {"a": ("Ada", {})})
    answer = search(faces=[])
    assert (answer.status_code, "No face was found in this picture." in answer.text) == (200, True)
    assert "search" not in services.record()["by_kind"]


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (b"", 400, "Choose a picture."),
        (b"hello, world", 400, "cannot be read as a picture"),
        (make_image()[:2000], 400, "cannot be read as a picture"),
        (make_image(size=(1001, 1000)), 400, "FACE_IMPORT_MAX_IMAGE_PIXELS"),
        (bytes(2 * IN_MEMORY + 1), 413, "at most 0.954 MiB"),
        (bytes(2 * IN_MEMORY + 2**21), 413, "at most 0.954 MiB"),
    ],
    ids=["empty", "text", "cut off", "pixels", "bytes", "many bytes"],
)
def test_what_is_no_picture_is_refused(
    search: Search, fill: Fill, services: FaceServices, *, data: bytes, status: int, told: str
) -> None:
    """In words, within the bounds that images have everywhere; no service gets it."""
    fill("staff", {"a": ("Ada", {})})
    answer = search(data=data)
    assert (answer.status_code, told in answer.text) == (status, True)
    assert 'role="alert"' in answer.text
    assert services.record()["by_kind"].keys() == {"create", "add"}


def test_a_form_without_a_picture_is_refused(client: FlaskClient, fill: Fill) -> None:
    """Also one that is none, or has a text instead of a file."""
    fill("staff", {"a": ("Ada", {})})
    for form in ({}, {"picture": "text"}, {"other": (io.BytesIO(b"x"), "a.jpg")}):
        answer = client.post("/groups/staff", data=form, headers=HTMX)
        assert (answer.status_code, "Choose a picture." in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ({"status": 503, "text": "busy"}, 503, "The %s service is not answering. Try again later."),
        ({"action": "reset"}, 503, "The %s service is not answering. Try again later."),
        ({"action": "hang"}, 503, "no answer within 1.5 s"),
        ({"status": 200, "body": "[]"}, 502, "malformed answer"),
        ({"status": 401, "text": "token <b>expired"}, 502, "token &lt;b&gt;expired"),
        ({"status": 400, "text": "cannot decode image"}, 400, "The %s service has refused."),
        ({"status": 400, "text": "\ud800 odd"}, 502, "? odd"),
    ],
    ids=["503", "reset", "hang", "malformed", "denied", "picture", "surrogate"],
)
@pytest.mark.parametrize(("kind", "service"), [("detect", "face info"), ("search", "face library")])
def test_services_that_do_not_do_their_part(
    search: Search,
    fill: Fill,
    services: FaceServices,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fault: dict[str, Any],
    status: int,
    told: str,
    kind: str,
    service: str,
) -> None:
    """Are named, with what they say; none of it is a failure of ours."""
    if fault.get("action") == "hang":
        monkeypatch.setattr(searching, "CALL_S", 1.5)  # the other service has to answer in time
    fill("staff", {"a": ("Ada", {})})
    services.control(faults=[{"kind": kind, **fault}])
    answer = search()
    assert answer.status_code == status, answer.text
    assert (told % service if "%s" in told else told) in answer.text


def test_what_a_library_finds_may_be_hostile(search: Search, fill: Fill, services: FaceServices) -> None:
    """Markup, half characters, missing and endless texts, ids that are none; all are shown as texts."""
    fill("staff", {"a": ("Ada", {})})
    nasty = {"score": 0.9, "id": "<script>\ud800\0", "tag": "<b>\udfff", "desc": {"x": 1}}
    others = [{"score": 7, "id": 12}, {"score": 0.2, "id": None, "tag": "t" * 9000, "desc": "d" * 9000}]
    found = {"search_results": [{"faces": [{"faces": [nasty, *others]}]}]}
    services.control(faults=[{"kind": "search", "status": 200, "body": json.dumps(found)}])
    answer = search()
    assert answer.status_code == 200
    assert "&lt;script&gt;?" in answer.text
    assert "<script>" not in answer.text
    assert len(answer.text) < 9000
    assert re.findall(r"<b>([\d.]+)</b><span", answer.text) == ["7", "0.9", "0.2"]


def test_without_scripts_the_page_has_the_result(client: FlaskClient, fill: Fill, services: FaceServices) -> None:
    """Below the form that it came from; what is wrong is there as well."""
    fill("staff", {"a": ("Ada", {"person": "Ada"})})
    del client.environ_base["HTTP_X_CSRF_TOKEN"]
    page = client.get("/groups/staff", headers={"Accept": "text/html"})
    for spec, told, status in (({"person": "Ada"}, "Probably yes: 1 face", 200), (None, "Choose a picture.", 400)):
        file = (io.BytesIO(b"" if spec is None else make_image(spec)), "a.jpg")
        form = {"csrf_token": token_of(page), "picture": file}
        answer = client.post("/groups/staff", data=form, headers={"Accept": "text/html"})
        assert (answer.status_code, told in answer.text) == (status, True)
        assert answer.text.index("Faces in the group") < answer.text.index('id="picture"') < answer.text.index(told)
    before = services.record()["calls"]
    stale = client.post("/groups/staff", data={"picture": (io.BytesIO(make_image()), "a.jpg")})
    assert (stale.status_code, services.record()["calls"]) == (403, before)


def test_a_picture_is_neither_stored_nor_logged(
    search: Search, fill: Fill, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even for the time of the search, where another large upload goes to the disk."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a picture on the disk")

    fill("staff", {"a": ("Ada", {"person": "Ada"})})
    picture = make_image({"person": "Ada"}) + bytes(IN_MEMORY)
    before = {path for path in settings.home.rglob("*") if path.is_file()}
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with caplog.at_level(logging.DEBUG):
        assert "Probably yes" in search(data=picture).text
    assert {path for path in settings.home.rglob("*") if path.is_file()} <= before
    assert [record.message for record in caplog.records if "base64" in record.message or "JFIF" in record.message] == []


@pytest.mark.usefixtures("client")  # its catalogue
def test_keys_of_other_groups_learn_nothing(
    settings: Settings, fill: Fill, services: FaceServices, tmp_path: Path
) -> None:
    """Neither of a group that exists nor of one that does not. The audit log has no search, but those refused."""
    fill("staff", {"a": ("Ada", {"person": "Ada"})})
    fill("guests", {"a": ("Ada", {"person": "Ada"})})
    keys = KeyFile(tmp_path / "keys.json")
    limited = keys.add("bob", ("guests", "crew"))
    app = face_console.create_app(settings.model_copy(update={"api_keys_file": keys.path}))
    bob = app.test_client()
    bob.environ_base |= {"HTTP_AUTHORIZATION": f"Bearer {limited}", "HTTP_ACCEPT": "text/html"}
    calls = services.record()["calls"]
    for group in ("staff", "nobody"):
        form = {"picture": (io.BytesIO(make_image({"person": "Ada"})), "a.jpg")}
        assert bob.get(f"/groups/{group}").status_code == 403
        assert bob.post(f"/groups/{group}", data=form).status_code == 403
    assert services.record()["calls"] == calls
    assert bob.get("/groups/guests").status_code == 200
    form = {"picture": (io.BytesIO(make_image({"person": "Ada"})), "a.jpg")}
    assert "Probably yes" in bob.post("/groups/guests", data=form).text
    told = [json.loads(line) for line in AuditLog.of(settings).path.read_text().splitlines()]
    assert [(entry["group"], entry["status"]) for entry in told] == [("staff", 403)] * 2 + [("nobody", 403)] * 2
    suggested = re.findall(r'<option value="([\w-]+)">', bob.get("/new").text)
    assert {"guests", "crew"} <= set(suggested)
    assert "staff" not in suggested


def test_searches_side_by_side_are_bounded(search: Search, get: Get, fill: Fill, services: FaceServices) -> None:
    """One too many is told so, and leaves the services alone; each gives its place back, however it ends."""
    fill("staff", {"a": ("Ada", {})})
    for _ in range(SEARCHES.number + 1):
        assert search().status_code == 200
        assert search(data=b"x").status_code == 400
    with taken(SEARCHES):
        before = services.record()["calls"]
        answer = search()
        assert (answer.status_code, "Too much at once" in answer.text) == (503, True)
        assert answer.headers["Retry-After"]
        assert services.record()["calls"] == before
        assert "Faces in the group" in get("/groups/staff")
    for _ in range(SIZES.number + 1):
        assert "Faces in the group" in get("/groups/staff")
    with taken(SIZES):
        assert "The face library is asked by many others at the moment." in get("/groups/staff")
        assert search().status_code == 200


def taken(slots: Slots) -> ExitStack:
    """All of these slots, until the end of the context."""
    stack = ExitStack()
    for _ in range(slots.number):
        slots._take()
        stack.callback(slots._free.release)
    return stack
