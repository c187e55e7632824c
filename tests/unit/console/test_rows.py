"""The page of rows: a search of the file and of what became of its rows."""

import re

import pytest

from face_import.catalogue import Catalogue
from face_import.contract import Code, Reason
from face_import.domain.models import Nearest, Outcome
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_results import run
from tests.unit.console.conftest import Create, Get

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
    return [int(number) for number in re.findall(r'data-label="Row">(\d+)<', page)]


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
    (address,) = re.findall(r'rel="next" href="([^"]+)"', page)
    assert found(get(address.replace("&amp;", "&"))) == [3]


@pytest.mark.parametrize("row", ["0", "9-3", "x", "-1", "1-2-3", "9" * 100])
def test_rows_that_cannot_be_are_explained(get: Get, rows_page: str, row: str) -> None:
    """Beside what was typed."""
    page = get(f"{rows_page}?row={row}", status=400)
    assert 'role="alert">Enter a number, or a range such as 12-40.<' in page
    assert f'value="{row}"' in page


def test_a_file_that_is_not_read_yet_has_no_rows(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """The page says so; other people's imports are 404, as everywhere."""
    task = make_task(rows=0, running=False)
    assert "The file has not been read yet" in get(f"/tasks/{task.id}/rows")
    get("/tasks/AAAAAAAAAAAA/rows", status=404)
