"""The form for a new import: the preview, wrong fields beside which it says why, and the import itself."""

import io
import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api_shim.forms import CreateForm
from face_import.catalogue import Catalogue
from face_import.control import Control
from face_import.domain.models import LIMITS
from face_import.domain.reading import READING_FIELDS
from face_import.settings import Settings
from tests.unit.api.test_create import stored
from tests.unit.console.conftest import Get

KEY = re.compile(r'name="idempotency_key" value="([0-9a-f]{32})"')
HTMX = {"HX-Request": "true"}


def send(client: FlaskClient, file: bytes | None = b"http://x/1.jpg,t,d\n", **fields: str) -> TestResponse:
    """Send the form as a page with htmx does."""
    form: dict[str, object] = {"group_name": "staff", **fields}
    form["file"] = (io.BytesIO(file or b""), "faces.csv" if file is not None else "")
    return client.post("/new", data=form, headers=HTMX)


def preview(client: FlaskClient, file: bytes, **fields: str) -> str:
    """Choose a file, or change a menu of its preview."""
    form = {"file": (io.BytesIO(file), "f.csv"), **fields}
    return client.post("/new/preview", data=form).get_data(as_text=True)


def test_every_option_of_the_api_is_there(get: Get) -> None:
    """With its default and a sentence on it."""
    page = get("/new")
    for name, option in CreateForm.model_fields.items():
        if name == "source" or name in READING_FIELDS:
            continue  # for programs, people choose a file; and in the preview
        assert f'name="{name}"' in page
        assert f'id="{name}-hint"' in page
        if name in LIMITS.keys() | {"thread_num", "host_threads", "max_failed", "max_failed_percent"}:
            assert f'value="{option.default}" \n' in page or f'value="{option.default}" ' in page
    assert LIMITS.keys() <= set(CreateForm.model_fields)


def test_groups_are_suggested(client: FlaskClient, get: Get) -> None:
    """Those that were imported into, the latest first, also beside a wrong field; any other may be typed."""
    for group in ("staff", "guests", "staff"):
        send(client, group_name=group)
    for page in (get("/new"), send(client, group_name="No").text):
        assert re.findall(r'<option value="(\w+)">', page) == ["staff", "guests"]
        assert ' list="groups" ' in page


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"group_name": ""}, "3 to 32 characters"),
        ({"group_name": "No Group"}, "3 to 32 characters"),
        ({"pos_yaw": "181"}, "Must be at most 180."),
        ({"pos_pitch": "-1"}, "Must be at least 0."),
        ({"width": "wide"}, "Enter a whole number."),
        ({"height": "1.5"}, "Enter a whole number."),
        ({"blur_degree": "101"}, "Must be at most 100."),
        ({"thread_num": "-1"}, "Must be at least 0."),
        ({"thread_num": "201"}, "Must be at most 200."),
        ({"host_threads": "-1"}, "Must be at least 0."),
        ({"host_threads": "201"}, "Must be at most 200."),
        ({"max_failed": "-1"}, "Must be at least 0."),
        ({"max_failed_percent": "101"}, "Must be at most 100."),
        ({"fail_on_errors": "2"}, "Must be at most 1."),
        ({"mode": "2"}, "Choose one of the two options."),
        ({"alike": "1.5"}, "Must be at most 1."),
        ({"alike_tag": "much"}, "Enter a number."),
        ({"on_alike": "ignore"}, "Choose one of the two options."),
        ({"callback_url": "app.example.com"}, "Enter an address that begins with http:// or https://"),
        ({"callback_url": "https://x.example/" + "x" * 2048}, "At most 2048 characters."),
    ],
    ids=lambda field: str(field)[:60],
)
def test_a_wrong_field_is_explained(
    client: FlaskClient, settings: Settings, fields: dict[str, str], problem: str
) -> None:
    """Beside it, with what was typed everywhere, and nothing is stored."""
    answer = send(client, **{"pos_rol": "7", **fields})
    page, (name, typed) = answer.get_data(as_text=True), next(iter(fields.items()))
    assert answer.status_code == 400
    assert f'id="{name}-problem">{problem}' in page
    assert f'aria-describedby="{name}-hint {name}-problem" aria-invalid="true"' in page
    assert 'value="7"' in page
    assert name in {"mode", "fail_on_errors", "on_alike"} or f'value="{typed}"' in page
    assert "<html" not in page
    assert stored(settings) == []


def test_problems_are_chinese_for_chinese_readers(client: FlaskClient) -> None:
    """The form's own words are those of the page."""
    form = {"group_name": "staff", "pos_yaw": "181", "file": (io.BytesIO(b"http://x"), "f.csv")}
    answer = client.post("/new", data=form, headers={"Accept-Language": "zh-CN"})
    assert "不能大于 180。" in answer.get_data(as_text=True)
    assert answer.get_data(as_text=True).startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("file", "status", "problem"),
    [
        (None, 400, "Required."),
        (b'http://x/1,a,b\n"http://x/2,a,b\n', 400, "line 2: "),
        (b"", 400, "the file has no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 400, "PNG image"),
        (b"http://x/1.jpg,a,b\n" * 6000, 413, "larger than"),
        (b"http://x/1.jpg,a,b\n" * 70_000, 413, "The file is too large."),
    ],
    ids=["none", "open quote", "empty", "picture", "large", "huge"],
)
def test_a_refused_file_is_explained(
    client: FlaskClient, settings: Settings, file: bytes | None, status: int, problem: str
) -> None:
    """At the file's place, and nothing is stored."""
    answer = send(client, file)
    page = answer.get_data(as_text=True)
    assert answer.status_code == status
    assert problem in page.partition("#file-problem")[2].partition("</div>")[0]
    assert stored(settings) == []


def test_an_import_is_created(client: FlaskClient) -> None:
    """The page moves on to it, and it is as it was asked for."""
    answer = send(client, pos_yaw="30", thread_num="", host_threads="4", mode="1", then="")
    assert answer.status_code == 204
    task_id = answer.headers["HX-Redirect"].removeprefix("/tasks/")
    config = client.get(f"/v1/tasks/{task_id}/detail").json["config"]
    assert (config["pos_yaw"], config["thread_num"], config["host_threads"], config["mode"]) == (30, 10, 4, 1)


def test_what_failures_do_is_asked_for(client: FlaskClient) -> None:
    """A box that is ticked is 1, and stays ticked while another field is wrong."""
    asked = {"max_failed": "5", "max_failed_percent": "20", "fail_on_errors": "1"}
    page = send(client, group_name="No Group", **asked).get_data(as_text=True)
    assert 'name="fail_on_errors" value="1" checked' in page
    task_id = send(client, then="", **asked).headers["HX-Redirect"].removeprefix("/tasks/")
    config = client.get(f"/v1/tasks/{task_id}/detail").json["config"]
    assert (config["max_failed"], config["max_failed_percent"], config["fail_on_errors"]) == (5, 20, 1)


def test_comparisons_are_asked_for(client: FlaskClient, get: Get) -> None:
    """They are kept while another field is wrong, and the import's page has them."""
    asked = {"same_picture": "1", "alike": "0.6", "alike_tag": "0.45", "on_alike": "note"}
    page = send(client, group_name="No Group", **asked).get_data(as_text=True)
    assert 'name="on_alike" value="note" checked' in page
    assert 'value="0.6"' in page
    assert 'name="same_picture" value="1" checked' in page
    task_id = send(client, then="", **asked).headers["HX-Redirect"].removeprefix("/tasks/")
    page = get(f"/tasks/{task_id}")
    assert "<dt>Minimum score with the own tag</dt><dd>0.45</dd>" in page
    assert "import it with a note" in page


@pytest.mark.parametrize("name", ["host_threads", "max_failed", "max_failed_percent", "fail_on_errors", "alike"])
@pytest.mark.parametrize(("typed", "opened"), [("", False), ("0", False), ("4", True), ("-1", True)])
def test_options_that_few_need_are_folded(client: FlaskClient, name: str, typed: str, opened: bool) -> None:
    """Unless one of them is set: what is wrong with it has to be seen. Those about tags are folded by themselves."""
    page = send(client, group_name="No Group", **{name: typed}).get_data(as_text=True)
    options, limits, tags = re.findall(r"<details( open)?>", page)
    assert not limits
    assert (bool(options), bool(tags)) == (opened and name != "alike", opened and name == "alike")


def test_a_second_click_creates_no_second_import(client: FlaskClient, get: Get, settings: Settings) -> None:
    """Each rendered form has a key of its own: sent again it leads to the same import, and other content is refused."""
    keys = [KEY.findall(get("/new"))[0] for _ in range(2)]
    assert len(set(keys)) == 2
    first, again = (send(client, then="", idempotency_key=keys[0]).headers["HX-Redirect"] for _ in range(2))
    assert first == again
    other = send(client, b"http://x/2.jpg\n", then="", idempotency_key=keys[0])
    assert (other.status_code, "Reload the page for a new one." in other.text) == (409, True)
    assert send(client, then="", idempotency_key=keys[1]).headers["HX-Redirect"] != first
    assert len({path.parent for path in stored(settings)}) == 2


def test_a_second_click_finds_the_import_started(
    client: FlaskClient, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one has started it: the page does not say that it could not be started."""
    monkeypatch.setattr(Control, "start", lambda _self, task_id: catalogue.tasks.start(task_id))
    addresses = [send(client, then="start", idempotency_key="k1").headers["HX-Redirect"] for _ in range(2)]
    assert addresses[0] == addresses[1]
    assert "unstarted" not in addresses[0]


def test_an_import_that_cannot_be_started_is_kept(client: FlaskClient, get: Get) -> None:
    """Create and start with Airflow away: the import is there, and the page says what happened."""
    address = send(client, then="start").headers["HX-Redirect"]
    assert "could not be started" in get(address)


def test_the_preview_shows_what_was_understood(client: FlaskClient, settings: Settings) -> None:
    """Rows, encoding, columns, header, the first rows, and nothing is stored."""
    page = preview(client, "http://x/1.jpg,张三,b\n".encode("gb18030"))
    assert "data (no header row)" in page
    assert "recognised: GB18030" in page
    page = preview(client, b"tag,uri,id\n" + b"anna,http://x/1.jpg,7\n" * 20)
    for text in ("column names (header row)", "tag (name): tag", "<dd>20</dd>", "All lines were parsed."):
        assert text in page, text
    assert page.count("<td>anna</td>") == 8
    assert stored(settings) == []


def problems(page: str) -> list[tuple[str, list[str], str, str]]:
    """What is wrong with the rows of a preview: each problem with texts, number of rows, and lines."""
    item = r"<li>\s*<p><b>(\d+) rows?</b>: ([^<]+)</p>\s*<p [^>]+>Lines? ([^<]+)</p>(.*?)</li>"
    found = re.findall(item, page, re.DOTALL)
    return [(text, re.findall(r">([^<]+)</p>", examples), rows, lines) for rows, text, lines, examples in found]


def test_the_preview_lists_every_unreadable_line(client: FlaskClient) -> None:
    """By the file's line, with the reason."""
    rows = [
        b"http://x/1.jpg,a,b",
        b"",
        b",a,b",
        b"http://x/2.jpg,a,b,c,d",
        b"ftp://x/3.jpg,a,b",
        b"nonsense,a,b",
        b"C:\\4.jpg,a,b",
    ]
    page = preview(client, b"\n".join(rows))
    assert "5 rows cannot be imported" in page
    assert [(problem, rows, lines) for problem, _, rows, lines in problems(page)] == [
        ("no URI", "1", "3"),
        ("more values than columns", "1", "4"),
        ("FTP is not supported: put the image on a web server and write its https URL", "1", "5"),
        ("not a URI: use http, https or data", "1", "6"),
        ("a path on a computer, not a URL: put the image on a web server, or write it as a data URI", "1", "7"),
    ]
    assert "data-refused" not in page


def test_equal_problems_are_one_sentence(client: FlaskClient) -> None:
    """With their number, some of the texts, and all lines, those that follow each other together."""
    good, bad = b"http://x/1.jpg,a,b\n", b"nonsense,a,b\n"
    others = b"".join(b"nonsense-%d,a,b\n" % n for n in range(30))
    page = preview(client, good + bad * 200 + good + bad + good + others + b'nonsense,"a\nb",c\n\n' + bad + good + bad)
    assert "234 rows cannot be imported" in page
    texts = ["2: nonsense", "205: nonsense-0", "206: nonsense-1", "207: nonsense-2", "208: nonsense-3"]
    assert problems(page) == [("not a URI: use http, https or data", texts, "234", "2–201, 203, 205–238, 240")]
    assert "more follow" not in page


def test_a_page_has_not_endlessly_many_numbers(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that was made to have them, the last ones are counted."""
    monkeypatch.setattr("face_console.preview.MOST_STRETCHES", 50)
    page = preview(client, b"http://x,a,b\nnonsense,a,b\n" * 300)
    assert "300 rows cannot be imported" in page
    assert "98, 100; 250 more follow.</p>" in page


def test_a_file_of_which_nothing_can_be_imported_creates_nothing(client: FlaskClient) -> None:
    """The preview says so, and the page turns its buttons off; a single good row is enough."""
    page = preview(client, b"ftp://x/1.jpg,a,b\n,a,b\n")
    assert "No row of this file can be imported." in page
    assert 'role="alert" data-refused>' in page
    assert "data-refused" not in preview(client, b"ftp://x/1.jpg,a,b\nhttp://x/1.jpg,a,b\n")


def test_a_file_that_would_be_refused_says_so(client: FlaskClient) -> None:
    """With the line, before anything is sent for good."""
    page = preview(client, b'http://x/1,a,b\n"http://x/2,a,b\n')
    assert "would be rejected" in page
    assert "line 2: " in page
    assert "larger than" in preview(client, b"http://x/1.jpg,a,b\n" * 6000)
    assert "The file is too large." in preview(client, b"http://x/1.jpg,a,b\n" * 70_000)
    assert client.post("/new/preview", data={}).get_data() == b""
