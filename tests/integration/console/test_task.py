"""One import's page: numbers, charts, what can be done, the log and its pictures, and hostile texts."""

import io
import re
from base64 import b64encode

import pytest
from flask.testing import FlaskClient
from PIL import Image

from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.domain.models import Change, Limits, Outcome, OutcomeBatch, Shard
from face_import.domain.uri import display
from tests.conftest import MakeTask
from tests.doubles.images import make_image
from tests.doubles.process import ImageHost
from tests.hosts import unavailable
from tests.unit.console.conftest import Create, Fail, Get

HOSTILE = "<script>alert(1)</script>'\"&"


def test_an_import_shows_what_became_of_its_rows(get: Get, make_task: MakeTask, fail: Fail) -> None:
    """Numbers, codes with their meaning, limits in force, and the way into Airflow."""
    task = make_task(limits=Limits(pos_yaw=30, width=50))
    fail(task, (Code.NO_FACE, "http://x/1.jpg", "no face found"), (Code.OK, "http://x/2.jpg", ""))
    page = get(f"/tasks/{task.id}")
    for text in ("2 of 10 rows", "20%", "no face found", "30°", "50 px", f"/dags/face_import/runs/{task.id}"):
        assert text in page, text
    assert "没有人脸" in get(f"/tasks/{task.id}", language="zh")


def test_an_import_of_changes_shows_them(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """In both languages, also while it runs; other imports have no such line."""
    task = make_task(entry="nightly")
    catalogue.leases.take(task.id, 0, "me", 10)
    outcomes = tuple(Outcome(n, "http://x", Code.OK, change=Change.CHANGED) for n in (1, 2))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    for page in (f"/tasks/{task.id}", f"/tasks/{task.id}/live"):
        assert "0 new, 2 changed, 0 unchanged, 0 no longer listed" in get(page)
        assert "变更 2 行" in get(page, language="zh")
    assert "unchanged" not in get(f"/tasks/{make_task().id}")


def test_hostile_texts_stay_texts(client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail) -> None:
    """Markup in a URI, a message, a file's name, a tag or a filter is shown, not run."""
    task = make_task()
    fail(task, (Code.NO_FACE, HOSTILE, HOSTILE))
    form = {"group_name": "staff", "file": (io.BytesIO(b"http://x,t,d\n"), f"{HOSTILE}.csv")}
    made = client.post("/v1/tasks/create", data=form).json["id"]
    file = {"file": (io.BytesIO(f"nonsense{HOSTILE},{HOSTILE},d\n".encode()), "x.csv")}
    preview = client.post("/new/preview", data=file).get_data(as_text=True)
    pages = [get(f"/tasks/{task.id}"), get(f"/tasks/{made}"), get("/"), preview]
    pages += [get(f"/{path}", status=status) for path, status in (("?group=<script>", 200), ("runs/<script>", 404))]
    pages.append(get("/?deleted=<script>alert(1)</script>"))
    for page in pages:
        assert "&lt;script&gt;" in page
        assert "<script>" not in page


def test_secrets_of_a_url_are_not_shown(client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail) -> None:
    """Neither the log nor the preview has the user, password and query of a row's URI; the file for download has."""
    task = make_task()
    signed, other = "https://ann:pass-word@x.org/1.jpg?sig=secret", "sftp://ann:pass-word@x.org/2.jpg?sig=secret"
    fail(task, (Code.URI_UNREACHABLE, signed, "404"), (Code.NO_FACE, "data:image/png;base64,AAAA", ""))
    file = {"file": (io.BytesIO(f"{signed},t,d\n{other},t,d\n".encode()), "x.csv")}
    log, preview = get(f"/tasks/{task.id}"), client.post("/new/preview", data=file).get_data(as_text=True)
    for page in (log, preview):
        assert "x.org/1.jpg" in page
        assert "pass-word" not in page
        assert "secret" not in page
    assert "data:image/png;base64,AAAA" in log
    assert signed in client.get(f"/v1/tasks/{task.id}/download_log").text


def test_the_log_is_filtered_and_paged(get: Get, make_task: MakeTask, fail: Fail) -> None:
    """By code, 25 rows at a time; a code without rows is no filter."""
    task = make_task(rows=100)
    fail(task, *[(Code.NO_FACE if n % 2 else Code.YAW, f"http://x/{n}.jpg", f"row-{n};") for n in range(1, 61)])
    first = get(f"/tasks/{task.id}")
    assert [f"row-{n};" in first for n in (1, 25, 26)] == [True, True, False]
    second = get(f"/tasks/{task.id}?page=2&code=203")
    assert [f"row-{n};" in second for n in (50, 52, 60, 51)] == [False, True, True, False]
    assert "row-1;" in get(f"/tasks/{task.id}?code=302")
    assert "row-60;" in get(f"/tasks/{task.id}?page=999")


def test_the_log_is_narrowed_to_a_shard(get: Get, make_task: MakeTask, fail: Fail) -> None:
    """Airflow's shards link to their rows; a shard that does not exist narrows nothing."""
    task = make_task(shards=2)
    fail(task, (Code.NO_FACE, "http://x/1.jpg", "row-1;"))
    assert "row-1;" in get(f"/tasks/{task.id}?shard=0")
    other = get(f"/tasks/{task.id}?shard=1")
    assert ("Showing rows 11 to 20 only." in other, "row-1;" in other) == (True, False)
    assert "row-1;" in get(f"/tasks/{task.id}?shard=9")


def test_the_log_is_downloaded_as_it_is_shown(client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail) -> None:
    """The button's file has all rows, not those of a page, and only those of the code and the shard that are chosen."""
    task = make_task(shards=2, rows=60)
    fail(task, *[(Code.NO_FACE if n % 2 else Code.YAW, "=http://x", f"row-{n}") for n in range(1, 61)])
    for chosen, rows in (("", 60), ("?code=203", 30), ("?code=9", 60), ("?shard=0&code=201", 30), ("?shard=9", 60)):
        (address,) = re.findall(r'href="([^"]+)" download', get(f"/tasks/{task.id}{chosen}"))
        answer = client.get(address.replace("&amp;", "&"))
        assert len(answer.text.splitlines()) == rows, chosen
        assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="{task.id}')
        assert answer.text.startswith("'=http://x,20")
    assert "download>" not in get(f"/tasks/{task.id}?shard=1")


def test_only_what_is_possible_is_offered(get: Get, catalogue: Catalogue, make_task: MakeTask, fail: Fail) -> None:
    """A button for what the state allows, and no other."""

    def buttons(task_id: str) -> list[str]:
        page = get(f"/tasks/{task_id}")
        return [name for name in ("Start", "Stop", "Resume") if f">{name}</button>" in page]

    task = make_task(rows=1, running=False)
    assert buttons(task.id) == ["Start"]
    catalogue.tasks.start(task.id)
    assert buttons(task.id) == ["Stop"]
    catalogue.tasks.halt(task.id, "")
    assert buttons(task.id) == ["Resume"]
    catalogue.tasks.start(task.id)
    fail(task, (Code.NO_FACE, "http://x", ""))
    assert catalogue.tasks.complete(task.id)
    assert buttons(task.id) == []
    assert "disabled>Change" in get(f"/tasks/{task.id}")


def test_an_import_is_stopped_and_deleted(client: FlaskClient, get: Get, make_task: MakeTask) -> None:
    """Each leads to the page that shows it; what cannot be done says why, above everything that stays as it was."""
    task = make_task()
    assert client.post(f"/tasks/{task.id}/stop").location == f"/tasks/{task.id}"
    again = client.post(f"/tasks/{task.id}/stop", headers={"Accept": "text/html"})
    assert again.status_code == 409
    assert "it cannot be stopped" in again.get_data(as_text=True)
    started = client.post(f"/tasks/{task.id}/start", headers={"Accept-Language": "zh"})
    assert started.status_code == 503
    assert "Airflow 没有响应" in started.get_data(as_text=True)
    gone = client.post(f"/tasks/{task.id}/delete?embed=1")
    assert gone.location == "/?deleted=staff&embed=1"
    assert "was deleted" in get(gone.location)
    assert client.post(f"/tasks/{task.id}/stop").status_code == 404


@pytest.mark.parametrize("path", ["start", "stop", "delete", "concurrency"])
def test_nothing_is_done_by_a_link(client: FlaskClient, make_task: MakeTask, path: str) -> None:
    """What changes something takes POST only."""
    assert client.get(f"/tasks/{make_task().id}/{path}").status_code == 405


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("0", "Must be at least 1."),
        ("201", "Must be at most 200."),
        ("many", "Enter a whole number."),
        ("", "Enter a whole number."),
    ],
)
def test_wrong_threads_are_explained(client: FlaskClient, make_task: MakeTask, typed: str, problem: str) -> None:
    """Beside the field, with what was typed."""
    answer = client.post(f"/tasks/{make_task().id}/concurrency", data={"thread_num": typed})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert f'role="alert">{problem}<' in page
    assert f'value="{typed}" aria-invalid="true"' in page


def test_threads_are_changed(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """The catalogue has the new number."""
    task = make_task()
    assert client.post(f"/tasks/{task.id}/concurrency", data={"thread_num": "33"}).status_code == 303
    assert catalogue.tasks.get(task.id).config.thread_num == 33


def test_a_bound_on_each_host_is_shown(client: FlaskClient, get: Get, create: Create) -> None:
    """Among the options, in both languages; without one there is no such line."""
    bounded, other = (create(host_threads=number).json["id"] for number in ("3", "0"))
    assert "<dt>Concurrency per image host</dt><dd>3</dd>" in get(f"/tasks/{bounded}")
    assert "<dt>单个图片服务器的并发数</dt><dd>3</dd>" in get(f"/tasks/{bounded}", language="zh")
    assert "Concurrency per image host" not in get(f"/tasks/{other}")


def test_what_failures_do_is_shown(get: Get, create: Create) -> None:
    """Among the options, as far as they do anything."""
    asked, other = (
        create(max_failed=most, max_failed_percent=share, fail_on_errors=fails).json["id"]
        for most, share, fails in (("2000", "20", "1"), ("0", "", "0"))
    )
    shown = get(f"/tasks/{asked}")
    assert "<dt>Maximum failed rows</dt><dd>2,000</dd>" in shown
    assert "<dt>Maximum share of failed rows</dt><dd>20 %</dd>" in shown
    assert "<dt>Fail the Airflow run if rows failed</dt><dd>yes</dd>" in shown
    assert "<dt>失败比例上限</dt><dd>20 %</dd>" in get(f"/tasks/{asked}", language="zh")
    assert "failed rows" not in get(f"/tasks/{other}")


def test_the_hosts_that_an_import_waits_for_are_shown(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Why, how many rows, when the next try is; in both languages, on the page and in its updates, until it stops."""
    task = make_task()
    assert "unavailable" not in get(f"/tasks/{task.id}")
    unavailable(catalogue, task.id, reason="503 <b>Service</b> Unavailable", retry_in_s=90)
    for page in (f"/tasks/{task.id}", f"/tasks/{task.id}/live"):
        shown = get(page)
        assert "An image host is unavailable" in shown
        assert "Waiting for img.example.com (503 &lt;b&gt;Service&lt;/b&gt; Unavailable), next try in 1 minute" in shown
        assert "812 rows" in shown
        assert "正在等待 img.example.com（503 " in get(page, language="zh")
    catalogue.tasks.stop(task.id)
    assert "An image host" not in get(f"/tasks/{task.id}")


def test_many_hosts_are_counted(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Three are named; where a hundred are listed there may be more."""
    task, other = make_task(), make_task()
    for n in range(5):
        unavailable(catalogue, task.id, f"http://h{n}.example.com", rows=(n + 1,), retry_in_s=-1)
    for n in range(101):
        unavailable(catalogue, other.id, f"http://h{n}.example.com")
    page = get(f"/tasks/{task.id}")
    assert re.findall(r"Waiting for (h\d)", page) == ["h4", "h3", "h2"]
    for text in ("5 image hosts are unavailable", "trying now: 5 rows", "2 more hosts"):
        assert text in page
    page = get(f"/tasks/{other.id}")
    for text in ("100+ image hosts are unavailable", "97+ more hosts"):
        assert text in page


def test_what_moves_leaves_the_focus_alone(client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail) -> None:
    """Buttons are sent again only when others are needed; new failures are announced; a deleted import reloads."""
    task = make_task()
    fail(task, (Code.NO_FACE, "http://x", ""))
    same = get(f"/tasks/{task.id}/live?mark=2-1-0-0&failed=1")
    assert "1 of 10 rows" in same
    assert "<button" not in same
    assert "new rows in the log" not in same
    client.post(f"/tasks/{task.id}/stop")
    changed = get(f"/tasks/{task.id}/live?mark=2-1-0-0&failed=0")
    assert 'id="start"' in changed
    assert "new rows in the log" in changed
    assert 'hx-trigger="load' in changed  # of a log that is still empty: nobody reads it yet
    client.post(f"/tasks/{task.id}/delete")
    assert client.get(f"/tasks/{task.id}/live").headers["HX-Refresh"] == "true"


def test_a_failed_rows_picture_is_small_and_new(
    client: FlaskClient, make_task: MakeTask, fail: Fail, images: ImageHost
) -> None:
    """It is ours, not the bytes it came as, and the browser keeps it for itself for a while."""
    task = make_task()
    fail(task, (Code.NO_FACE, f"{images.url}/ok/1.jpg", ""))
    answer = client.get(f"/console/thumbnail/{task.id}/1")
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert (picture.format, max(picture.size), picture.info.get("comment")) == ("JPEG", 160, None)
    assert answer.headers["Cache-Control"] == "private, max-age=600"
    assert "ETag" not in answer.headers


@pytest.mark.parametrize(
    "uri",
    [
        "{host}/text",
        "{host}/status/404",
        "{host}/huge?bytes=9000000",
        "{host}/broken",
        "http://10.0.0.1/x.jpg",
        "file:///etc/passwd",
        "nonsense",
    ],
)
def test_what_cannot_be_shown_has_a_placeholder(
    client: FlaskClient, make_task: MakeTask, fail: Fail, images: ImageHost, uri: str
) -> None:
    """No page and no error, but a drawing: also for addresses that may not be fetched."""
    task = make_task()
    fail(task, (Code.NO_FACE, uri.format(host=images.url), ""))
    answer = client.get(f"/console/thumbnail/{task.id}/1")
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")


def test_a_shortened_uri_is_read_from_the_source(
    client: FlaskClient, catalogue: Catalogue, create: Create, fail: Fail
) -> None:
    """The ledger has only its beginning; the picture is that of its row."""
    uris = [f"data:image/jpeg;base64,{b64encode(make_image(size=size)).decode()}" for size in ((40, 20), (20, 40))]
    task_id = create("\n".join(f'"{uri}",t,d' for uri in uris).encode()).json["id"]
    catalogue.plans.commit(task_id, [Shard(0, 1, 2, 0, 10**5, 1)], 2)
    catalogue.tasks.start(task_id)
    catalogue.leases.take(task_id, 0, "me", 10)
    shown = (display(uris[0].ljust(2000)), display("http://x/".ljust(2000, "a")))
    outcomes = tuple(Outcome(n, uri, Code.NO_FACE) for n, uri in enumerate(shown, 1))
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", outcomes))
    for row, size in ((1, (40, 20)), (2, (20, 40))):
        with Image.open(io.BytesIO(client.get(f"/console/thumbnail/{task_id}/{row}").data)) as picture:
            assert picture.size == size


def test_only_handled_rows_have_pictures(client: FlaskClient, make_task: MakeTask, fail: Fail) -> None:
    """The console fetches nothing that this import has not fetched before."""
    task, other = make_task(), make_task()
    fail(task, (Code.NO_FACE, "http://x", ""), (Code.OK, "http://x", ""))
    for row in (1, 2):
        assert client.get(f"/console/thumbnail/{task.id}/{row}").status_code == 200, row
    for path in (f"{task.id}/3", f"{task.id}/0", f"{other.id}/1", f"{task.id}/99999999999", "AAAAAAAAAAAA/1"):
        assert client.get(f"/console/thumbnail/{path}").status_code == 404, path
