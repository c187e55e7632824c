"""The page of rows: a search of the file and of what became of its rows."""

import csv
import io
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue
from face_import.contract import MAX_ROW, Code, Reason
from face_import.control import Control
from face_import.domain.failed_rows import FailedRows
from face_import.domain.models import Measurements, Nearest, Outcome, OutcomeBatch
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_results import run
from tests.unit.console.conftest import Create, Fail, Get

FILE = (
    "照片,姓名,工号\n"
    "https://x/1.jpg,Ann,e-1\n"
    "https://ann:pass-word@x/2.jpg?sig=secret,Bob <b>,e-2\n"
    "https://x/3.jpg,Cem,e-3\n"
    f"https://x/{'long-' * 40}4.jpg,Ann,e-4\n"
).encode()


@pytest.fixture
def rows_page(create: Create, catalogue: Catalogue, settings: Settings) -> str:
    """The page of an import whose last row is not handled."""
    task_id = create(FILE, columns='{"uri": "照片", "tag": "姓名", "id": "工号"}').get_json()["id"]
    outcomes = [
        Outcome(1, "", Code.OK, face_id="e-1"),
        Outcome(2, "", Code.URI_UNREACHABLE, "404 Not Found", reason=Reason.NOT_FOUND),
        Outcome(3, "", Code.NO_FACE, "no face found"),
    ]
    run(catalogue, settings, task_id, outcomes)
    return f"/tasks/{task_id}/rows"


def found(page: str) -> list[int]:
    """Numbers of the rows on a page."""
    return [int(number) for number in re.findall(r'form="picked" name="row" value="(\d+)"', page)]


def way(page: str, before: str) -> str:
    """The address of the one link with some text before it in the page's source; empty if there is none."""
    found = re.findall(rf'{before} ?href="([^"]+)"', page)
    assert len(found) < 2, found
    return "".join(found).replace("&amp;", "&")


def picked(page: str) -> tuple[list[int], str, str]:
    """The rows that are selected on a page, those that are on others, and what the page says of their number."""
    here = re.findall(r'form="picked" name="row" value="(\d+)" checked', page)
    elsewhere = re.findall(r'type="hidden" name="row" value="([^"]+)"', page)
    (said,) = re.findall(r'role="status" class="hint"[^>]*>([^<]*)<', page)
    return [int(number) for number in here], "".join(elsewhere), said


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", [1, 2, 3, 4]),
        ("q=ann", [1, 2, 4]),
        ("q=E-3", [3]),
        ("q=not+found", [2]),
        ("row=2-3", [2, 3]),
        ("row=4", [4]),
        ("code=0", [1]),
        ("code=201&q=x/3", [3]),
        ("q=nobody", []),
    ],
)
def test_rows_are_found(get: Get, rows_page: str, query: str, rows: list[int]) -> None:
    """By number, result, and any text of the row or its message, in any case."""
    assert found(get(f"{rows_page}?{query}")) == rows


def test_a_row_says_whose_it_is(get: Get, rows_page: str) -> None:
    """Name and id, what became of it, its image if there may be one, and the whole URI on demand, without secrets."""
    page = get(rows_page)
    for text in ("<b>Ann</b>", "Bob &lt;b&gt;", ">e-2<", "404 Not Found", "not processed yet", "imported"):
        assert text in page, text
    assert re.findall(r"/console/thumbnail/[^/]+/(\d+)", page) == ["1", "3"]
    assert f"<code>https://x/{'long-' * 40}4.jpg</code></details>" in page
    assert page.count("<details>") == 1
    for secret in ("pass-word", "secret"):
        assert secret not in page
    assert "尚未处理" in get(rows_page, language="zh")


@pytest.fixture
def doubtful(create: Create, catalogue: Catalogue, settings: Settings) -> tuple[str, str]:
    """Two imports into a group: faces, and then rows that resemble those, each other, and somebody else's."""
    first, second = (create(FILE).get_json()["id"] for _ in range(2))
    run(catalogue, settings, first, [Outcome(row, "https://x/1.jpg", Code.OK, face_id=f"e-{row}") for row in (1, 2)])
    outcomes = [
        Outcome(1, "https://x/1.jpg", Code.ALIKE, "looks like e-2 (Bob), 0.8126", nearest=Nearest("e-2", 0.81256)),
        Outcome(2, "https://x/2.jpg", Code.OK, "looks like …", face_id=f"{second}-2", nearest=Nearest("<b>", 0.7)),
        Outcome(3, "https://x/3.jpg", Code.UNLIKE_TAG, "unlike …", nearest=Nearest(f"{second}-2", 0.25)),
    ]
    run(catalogue, settings, second, outcomes)
    return first, second


def test_a_doubtful_row_is_shown_beside_the_face_that_it_resembles(get: Get, doubtful: tuple[str, str]) -> None:
    """With the score, and a link to that face's row; in words, if nobody knows its image."""
    first, second = doubtful
    page = get(f"/tasks/{second}/rows")
    pairs = [
        (re.findall(r"/console/thumbnail/([^/]+/\d+)", pair), re.findall(r'href="([^"]+)"', pair))
        for pair in re.findall(r'<figure class="pair">(.*?)</figure>', page, re.DOTALL)
    ]
    assert pairs == [
        ([f"{second}/1", f"{first}/2"], [f"/tasks/{first}/rows?row=2"]),
        ([f"{second}/3", f"{second}/2"], [f"/tasks/{second}/rows?row=2"]),
    ]
    for text in (f">Row 2 of import {first}<", "Score 0.8126 ·", ">Row 2</a>", "Score 0.25 ·"):
        assert text in page, text
    assert "Most similar face: &lt;b&gt;, score 0.7. No import on record has added it" in page
    assert "分数 0.25 ·" in get(f"/tasks/{second}/rows", language="zh")
    log = get(f"/tasks/{second}")
    assert log.count('<figure class="pair">') == 2
    assert f"/console/thumbnail/{first}/2" in log


def test_an_import_that_was_deleted_shows_no_images(get: Get, doubtful: tuple[str, str], catalogue: Catalogue) -> None:
    """Its face is still in the group, and is named."""
    first, second = doubtful
    catalogue.tasks.mark_deleted(first)
    page = get(f"/tasks/{second}/rows?row=1")
    assert "Most similar face: e-2, score 0.8126." in page
    assert first not in page


def test_a_long_search_goes_on(get: Get, rows_page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks at a part of a large file; a link goes on from there with the same query."""
    monkeypatch.setattr("face_import.results.MOST_ROWS", 2)
    page = get(f"{rows_page}?q=cem")
    assert "No matching rows up to row 2." in page
    after = get(way(page, 'rel="next"'))
    assert found(after) == [3]
    assert (way(after, 'rel="next"'), way(after, 'class="button"')) == ("", f"{rows_page}?q=cem")


@pytest.mark.parametrize("row", ["0", "9-3", "x", "-1", "1-2-3", "9" * 100])
def test_rows_that_cannot_be_are_explained(get: Get, rows_page: str, row: str) -> None:
    """Beside what was typed."""
    page = get(f"{rows_page}?row={row}", status=400)
    assert 'role="alert">Enter numbers, or ranges such as 12-40.<' in page
    assert f'value="{row}"' in page


def test_a_file_that_is_not_read_yet_has_no_rows(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """The page says so; other people's imports are 404, as everywhere."""
    task = make_task(rows=0, running=False)
    assert "The file has not been read yet" in get(f"/tasks/{task.id}/rows")
    get("/tasks/AAAAAAAAAAAA/rows", status=404)


def test_selected_rows_are_shown_and_downloaded(client: FlaskClient, get: Get, rows_page: str) -> None:
    """Whatever became of them, without scripts, and nothing but these."""
    assert found(get(f"{rows_page}?row=4&row=1&row=2")) == [1, 2, 4]
    answer = client.get(f"{rows_page}.csv?row=4&row=1")
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    records = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    assert [(record["工号"], record["row"], record["code"]) for record in records] == [
        ("e-1", "1", "0"),
        ("e-4", "4", ""),
    ]


def test_selected_rows_are_retried(
    client: FlaskClient, get: Get, catalogue: Catalogue, rows_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed ones of them, once the import has ended: by the buttons of the rows and of the log."""
    task_id = rows_page.split("/")[2]
    asked: list[FailedRows] = []
    monkeypatch.setattr(Control, "retry", lambda _, __, wanted: asked.append(wanted) or wanted.spans[0][0] - 1)
    for page in (rows_page, f"/tasks/{task_id}"):
        assert "Retry selected" not in get(page)
    catalogue.tasks.stop(task_id)
    for page in (rows_page, f"/tasks/{task_id}"):
        (address,) = re.findall(r'formmethod="post" formaction="([^"]+)">Retry selected<', get(page))
    assert "Retry selected" in get(f"/tasks/{task_id}/live?mark=2-1-0-0")
    retried = client.post(address, data={"row": ["3", "2"]})
    assert (retried.status_code, retried.location) == (303, f"/tasks/{task_id}")
    none = client.post(address, data={"row": "1"}, headers={"Accept": "text/html"})
    assert (none.status_code, "None of the selected rows has failed." in none.text) == (400, True)
    assert [wanted.spans for wanted in asked] == [((2, 3),), ((1, 1),)]


@pytest.mark.parametrize(("row", "words"), [("", "Select rows first."), ("x", "is not a row number")])
def test_no_selection_is_not_all_rows(
    client: FlaskClient, rows_page: str, row: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is retried and nothing is downloaded, and the answer says why."""
    monkeypatch.setattr(Control, "retry", lambda *_: pytest.fail("retried"))
    page = {"Accept": "text/html"}
    data = {"row": row} if row else {}
    for answer in (
        client.get(f"{rows_page}.csv", query_string=data, headers=page),
        client.post(f"{rows_page}/retry", data=data, headers=page),
    ):
        assert (answer.status_code, words in answer.text) == (400, True)
    assert client.get(f"{rows_page}/retry").status_code == 405


def test_the_token_goes_into_no_address(get: Get, catalogue: Catalogue, rows_page: str) -> None:
    """The form of a selection is sent by GET but for the button that changes something, which has the token."""
    catalogue.tasks.stop(rows_page.split("/")[2])
    (form,) = re.findall(r'<form id="picked".*?</form>', get(f"{rows_page}?embed=1"), re.DOTALL)
    assert re.findall(r'<(\w+)[^>]+name="csrf_token"[^>]+formmethod="(\w+)"', form) == [("button", "post")]
    assert 'name="embed" value="1"' in form
    assert "retry?embed=1" in form


def test_the_log_says_whose_rows_failed(get: Get, rows_page: str) -> None:
    """Names and ids are those of the file, as on the page of rows; the rows can be selected."""
    page = get(rows_page.removesuffix("/rows"))
    assert found(page) == [2, 3]
    for text in ("Bob &lt;b&gt;", ">e-2<", "<b>Cem</b>", ">e-3<", "404 Not Found"):
        assert text in page, text
    assert "secret" not in page


def test_a_log_is_shown_without_its_file(get: Get, make_task: MakeTask, fail: Fail) -> None:
    """What the ledger has of the rows."""
    task = make_task()
    fail(task, (Code.NO_FACE, "http://x/1.jpg", "no face found"))
    page = get(f"/tasks/{task.id}")
    assert (found(page), "http://x/1.jpg" in page, "no face found" in page) == ([1], True, True)


@pytest.fixture
def faces_page(create: Create, catalogue: Catalogue, settings: Settings) -> str:
    """The page of the imported ones of 30 rows, of which every tenth has failed."""
    file = "uri,tag,description,id\n" + "".join(f"http://x/{n}.jpg,Tag {n},d,id-{n}\n" for n in range(1, 31))
    task_id = create(file.encode()).get_json()["id"]
    measured = [Measurements(1, n / 100, 100 + n, 120 + n, -n / 2, n - 15.5, 0.25, n) for n in range(31)]
    outcomes = [
        Outcome(n, f"http://x/{n}.jpg", Code.OK, face_id=f"id-{n}", measurements=measured[n])
        if n % 10
        else Outcome(n, f"http://x/{n}.jpg", Code.NO_FACE, "no face found")
        for n in range(1, 31)
    ]
    run(catalogue, settings, task_id, outcomes)
    return f"/tasks/{task_id}/imported"


def test_imported_rows_are_shown_with_their_faces(get: Get, faces_page: str) -> None:
    """A bounded number of them, each with its picture, whose it is, what was measured, and the way to its row."""
    page = get(faces_page)
    rows = [n for n in range(1, 31) if n % 10]
    assert found(page) == rows[:25]
    assert re.findall(r"/console/thumbnail/[^/]+/(\d+)\?face=1", page) == [str(n) for n in rows[:25]]
    assert page.count('loading="lazy"') == 25
    first = page[page.index('class="portraits"') : page.index('value="2"')]
    for text in (
        "Tag 1<",
        ">id-1<",
        "0.01",
        "101 × 121 px",
        "-0.5°",
        "-14°",
        "0.2°",
        "<dt>Blur</dt><dd>1</dd>",
        "?row=1",
    ):
        assert text in first, text
    assert found(get(way(page, 'rel="next"'))) == rows[25:]
    assert "已入库" in get(faces_page, language="zh")


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("sort=-blur", [29, 28, 27]),
        ("sort=yaw", [15, 16, 14]),
        ("q=tag+2&sort=-score", [29, 28, 27]),
        ("row=3,10,12", [3, 12]),
        ("row=10", []),
    ],
)
def test_faces_are_searched_and_sorted(get: Get, faces_page: str, query: str, rows: list[int]) -> None:
    """As all rows are; failed ones are never among them."""
    assert found(get(f"{faces_page}?{query}"))[:3] == rows


def test_sorted_rows_go_on_where_a_page_ends(get: Get, faces_page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all that was sorted, and then through the rows after it; the page says how far the order goes."""
    monkeypatch.setattr("face_import.results.MOST_ROWS", 26)
    pages, address = [], f"{faces_page.removesuffix('imported')}rows?sort=-score"
    while address:
        page = get(address)
        pages.append(found(page))
        assert ("The rows up to row 26 are sorted." in page) == (len(pages) < 3)
        address = way(page, 'rel="next"')
    measured = [n for n in range(26, 0, -1) if n % 10]
    assert pages == [[*measured, 10], [20], [29, 28, 27, 30]]


def test_failed_rows_are_found_by_their_kind(get: Get, faces_page: str) -> None:
    """Beside their codes; a result that does not exist is explained."""
    page = faces_page.replace("imported", "rows")
    assert found(get(f"{page}?code=failed&sort=-code")) == [10, 20, 30]
    assert found(get(f"{page}?code=unhandled")) == []
    for query in ("code=none", "sort=uri", "skip=-1", "q=" + "x" * 101):
        assert 'role="alert"' in get(f"{page}?{query}", status=400), query


@pytest.mark.parametrize(
    ("sort", "titles", "shown"),
    [
        ("", {"Row": ("ascending", ""), "Result": ("", "code")}, [1, 2, 3]),
        ("code", {"Row": ("", ""), "Result": ("ascending", "-code")}, [1, 2, 3]),
        ("-code", {"Row": ("", ""), "Result": ("descending", "code")}, [10, 20, 30]),
        ("-score", {"Row": ("", ""), "Result": ("", "code")}, [29, 28, 27]),
    ],
)
def test_columns_are_sorted_by_their_titles(
    get: Get, faces_page: str, sort: str, titles: dict[str, tuple[str, str]], shown: list[int]
) -> None:
    """One way first and then the other, of the same search, from its first row, with what is selected."""
    page = get(faces_page.replace("imported", f"rows?q=tag&row=1-30&after=0&picked=7&sort={sort}"))
    assert found(page)[:3] == shown
    links = re.findall(r'<th role="columnheader"[^>]*?(?: aria-sort="(\w+)")?><a href="([^"]+)">(Row|Result)<', page)
    ways = {title: (given, dict(parse_qsl(urlsplit(unescape(address)).query))) for given, address, title in links}
    for title, (given, then) in titles.items():
        query = {"q": "tag", "row": "1-30", "picked": "7"} | ({"sort": then} if then else {})
        assert ways[title] == (given, query)
    assert "<th" not in get(f"{faces_page}?sort={sort}")


def test_a_selection_goes_along_to_other_pages(get: Get, faces_page: str) -> None:
    """Its rows are selected where they are shown, may be changed there, and are the others' meanwhile."""
    page = get(f"{faces_page}?picked=3&picked=5,28,30")  # row 30 has failed, so it is none of these
    assert picked(page) == ([3, 5], "28,30", "3 rows selected")
    after = get(way(page, 'rel="next"'))
    assert picked(after) == ([28], "3,5,30", "3 rows selected")
    assert picked(get(way(after, 'class="button"')))[0] == [3, 5]
    assert picked(get(way(after, 'id="pick-none" class="quiet"'))) == ([], "", "")
    assert picked(get(f"{faces_page}?picked=3"))[2] == "1 row selected"
    assert "已选 3 行" in get(f"{faces_page}?picked=3,5,28", language="zh")
    get(f"{faces_page}?picked=x", status=400)


def test_all_rows_that_match_are_selected(client: FlaskClient, get: Get, faces_page: str) -> None:
    """As their result and a range, however many there are; rows can be taken out again on any page."""
    page = get(faces_page)
    assert "Select all 27 matching rows" in page
    every = get(way(page, '<p class="every"><a'))
    assert picked(every) == ([n for n in range(1, 28) if n % 10], "10,20,28-", "27 rows selected")
    assert 'class="every"' not in every
    assert picked(get(way(every, 'rel="next"'))) == ([28, 29], "1-27,30-", "27 rows selected")
    records = client.get(f"{faces_page.replace('imported', 'rows.csv')}?code=0&row=9-").text.splitlines()
    assert len(records) == 1 + 19  # a header, and those of rows 9 to 30 that have not failed


def test_all_rows_with_a_text_are_selected_by_their_numbers(
    get: Get, faces_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as a search looks, which the page says; rows in too many places cannot be carried along."""
    rows = faces_page.replace("imported", "rows")
    page = get(f"{rows}?q=tag&sort=-score")
    assert "Select all matching rows" in page
    assert picked(get(way(page, '<p class="every"><a')))[2] == "30 rows selected"
    monkeypatch.setattr("face_import.results.MOST_ROWS", 28)
    page = get(f"{rows}?q=tag&every=1")
    assert (picked(page)[1:], "up to row 28." in page) == (("26-28", "28 rows selected"), True)
    assert "第 28 行" in get(f"{rows}?q=tag&every=1", language="zh")
    assert picked(get(f"{rows}?q=nobody&every=1")) == ([], "", "")
    assert picked(get(f"{rows}?q=nobody&picked=3")) == ([], "3", "1 row selected")
    monkeypatch.setattr("face_console.picking.MOST", 10)
    page = get(f"{rows}?q=1.jpg&every=1")  # rows 1, 11 and 21
    assert picked(page)[2] == "3 rows selected"
    page = get(f"{rows}?q=0.jpg&code=failed&every=1&row=10,20")
    assert picked(page) == ([10, 20], "", "2 rows selected")
    page = get(f"{rows}?picked=1,3,5,7,9,11")
    assert (picked(page), 'role="alert">These are too many rows' in page) == (([], "", ""), True)


def test_all_rows_of_the_log_are_selected(
    client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its filter, which the retry has, too: by code, and not by the numbers of all rows."""
    asked: list[FailedRows] = []
    monkeypatch.setattr(Control, "retry", lambda _, __, wanted: asked.append(wanted) or 1)
    task = make_task(rows=40)
    fail(task, *[(Code.NO_FACE, "http://x", "none")] * 30, (Code.YAW, "http://x", "far"))
    page = get(f"/tasks/{task.id}?code=201")
    assert "Select all 30 matching rows" in page
    every = get(way(page, '<p class="every"><a').removesuffix("#log"))
    assert picked(every) == (list(range(1, 26)), "26-", "30 rows selected")
    after = get(way(every, 'id="after-log" class="button" rel="next"').removesuffix("#log"))
    assert picked(after) == (list(range(26, 31)), "1-25,31-", "30 rows selected")
    assert '<input type="hidden" name="code" value="201">' in after
    assert '<input type="hidden" name="code" value="failed">' in get(f"/tasks/{task.id}")
    rows = f"/tasks/{task.id}/rows"
    for code in ("201", "failed", ""):
        assert client.post(f"{rows}/retry", data={"row": ["1-25,31-", "27"], "code": code}).status_code == 303
    spans = ((1, 25), (27, 27), (31, MAX_ROW))
    assert asked == [FailedRows((Code.NO_FACE,), spans=spans), *[FailedRows(spans=spans)] * 2]
    for code in ("unhandled", "0", "999"):
        assert client.post(f"{rows}/retry", data={"row": "1-", "code": code}).status_code == 400
    assert len(asked) == 3


def test_a_dry_run_and_an_undo_have_other_tabs(
    get: Get, create: Create, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Rows of a dry run have passed; those of an undo are no faces of the group."""
    dry = create(FILE, dry_run="1", columns='{"uri": "照片", "tag": "姓名"}').get_json()["id"]
    assert ">Passed</a>" in get(f"/tasks/{dry}")
    task = make_task(rows=1)
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "http://x", Code.OK, face_id="f"),)))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    undo = catalogue.undoing.begin(task.id, "undo-of-task")
    assert (f"/tasks/{task.id}/imported" in get(f"/tasks/{task.id}"), "/imported" in get(f"/tasks/{undo.id}")) == (
        True,
        False,
    )
