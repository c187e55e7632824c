"""Results: every row as it is in the file and what became of it, as a file to import again, and as pages."""

import csv
import io
from collections.abc import Sequence

import pytest
from flask.testing import FlaskClient

from api_shim.results_csv import results_csv
from face_import.catalogue import Catalogue, Selection
from face_import.contract import Code, Reason, Rows
from face_import.domain.models import Measurements, Outcome, OutcomeBatch
from face_import.domain.planning import plan_shards
from face_import.domain.reading import RESULT_COLUMNS
from face_import.domain.uri import display
from face_import.errors import TaskNotFound
from face_import.results import Results
from face_import.settings import Settings
from face_import.sources import Storage
from tests.unit.api.conftest import Create

FILE = (
    b"uri,tag,dept,description\n"
    b"http://x/1.jpg,Ann,Sales,d\n"
    b"http://x/2.jpg,Bob\n"
    b"\n"
    b'http://x/3.jpg,Cem,"a\nb",d,,more\n'
    b"http://x/4.jpg,=1+1,'=2,'\tx\n"
    b"http://x/5.jpg,Eve,Sales,d\n"
)
OUTCOMES = [
    Outcome(1, "", Code.OK, face_id="f-1", measurements=Measurements(faces=1, score=0.5, width=80, pitch=-3.5)),
    Outcome(2, "", Code.URI_UNREACHABLE, "404 Not Found", reason=Reason.NOT_FOUND),
    Outcome(3, "", Code.SYSTEM, "=6 cells; 4 columns"),
    Outcome(4, "", Code.NO_FACE, "no face found"),
]


@pytest.fixture
def task_id(client: FlaskClient, create: Create, catalogue: Catalogue, settings: Settings) -> str:
    """A running task of `FILE`, of which the last row is not handled yet."""
    task_id = create(FILE).get_json()["id"]
    run(catalogue, settings, task_id, OUTCOMES)
    return str(task_id)


def run(catalogue: Catalogue, settings: Settings, task_id: str, outcomes: Sequence[Outcome]) -> None:
    """Plan and start a task, and give rows their outcomes."""
    index = Storage.of(settings).index(task_id)
    assert index is not None
    shards = plan_shards(index, 1)
    catalogue.plans.commit(task_id, shards, index.rows)
    catalogue.tasks.start(task_id)
    for shard in shards:
        assert catalogue.leases.take(task_id, shard.number, "me", 10)
        batch = tuple(o for o in outcomes if shard.first_row <= o.row <= shard.last_row)
        catalogue.ledger.write(OutcomeBatch(task_id, shard.number, "me", batch))


def download(client: FlaskClient, task_id: str, **query: object) -> bytes:
    """A file of results."""
    answer = client.get(f"/v1/tasks/{task_id}/download_rows", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.data


def table(data: bytes) -> list[list[str]]:
    """Records of a file of results, without its mark."""
    text = data.decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:], newline="")))


def test_the_file_has_all_cells_and_what_became_of_each_row(client: FlaskClient, task_id: str) -> None:
    """Our columns stand below their titles in every row, whatever number of cells it has."""
    header, *rows = table(download(client, task_id, rows="all"))
    nothing = [""] * 8
    assert header == ["uri", "tag", "dept", "description", *RESULT_COLUMNS]
    assert rows == [
        ["http://x/1.jpg", "Ann", "Sales", "d", "1", "2", "0", "", "", "f-1", "1", "0.5", "80", "", "-3.5", "", "", ""],
        ["http://x/2.jpg", "Bob", "", "", "2", "3", "101", "not_found", "404 Not Found", "", *nothing],
        ["http://x/3.jpg", "Cem", "a\nb", "d", "3", "5", "303", "", "'=6 cells; 4 columns", "", *nothing, "", "more"],
        ["http://x/4.jpg", "'=1+1", "''=2", "''\tx", "4", "7", "201", "", "no face found", "", *nothing],
        ["http://x/5.jpg", "Eve", "Sales", "d", "5", "8", "", "", "", "", *nothing],
    ]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [2, 3, 4]),
        ({"rows": "failed"}, [2, 3, 4]),
        ({"rows": "imported"}, [1]),
        ({"rows": "unhandled"}, [5]),
        ({"rows": "failed", "code": 201}, [4]),
        ({"rows": "all", "code": 303}, [3]),
        ({"rows": "all", "code": 0}, [1]),
        ({"rows": "imported", "code": 0}, [1]),
        ({"reason": "not_found"}, [2]),
        ({"rows": "all", "reason": "not_found", "code": 101}, [2]),
        ({"reason": "not_found", "code": 201}, []),
        ({"reason": "timeout"}, []),
        ({"code": "", "reason": ""}, [2, 3, 4]),
        ({"row": "4,1-2"}, [2, 4]),
        ({"row": "4,1-2,5-", "rows": "all"}, [1, 2, 4, 5]),
        ({"row": "2-3", "code": 303}, [3]),
        ({"row": "9", "rows": "all"}, []),
    ],
    ids=str,
)
def test_rows_are_selected_by_what_became_of_them(
    client: FlaskClient, task_id: str, query: dict[str, object], rows: list[int]
) -> None:
    """By the kind of outcome, the code and the reason; a file without rows has its header."""
    assert [int(record[4]) for record in table(download(client, task_id, **query))[1:]] == rows


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("rows=failed&code=0", "code: no failed row has code 0"),
        ("rows=imported&code=101", "code: no imported row has code 101"),
        ("rows=unhandled&code=101", "code: no unhandled row has code 101"),
        ("rows=unhandled&reason=timeout", "reason: only failed rows have one"),
        ("rows=all&code=0&reason=timeout", "reason: only failed rows have one"),
        ("rows=some", "rows: "),
        ("code=999", "code: "),
        ("reason=bad", "reason: "),
        ("row=2,x", "row: 'x' is not a row number or a range such as 12-40"),
        ("kode=101", "kode: "),
    ],
)
def test_a_wrong_selection_is_explained(client: FlaskClient, task_id: str, query: str, words: str) -> None:
    """Also one that no row can match."""
    answer = client.get(f"/v1/tasks/{task_id}/download_rows?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert answer.get_json()["error"].startswith(words)


def test_a_task_that_has_read_no_file_has_no_rows_yet(client: FlaskClient, create: Create) -> None:
    """A URL is read at the start."""
    form = {"group_name": "staff", "source": "https://example.com/faces.csv"}
    made = client.post("/v1/tasks/create", data=form, content_type="multipart/form-data")
    task_id = made.get_json()["id"]
    for path in ("download_rows", "rows"):
        answer = client.get(f"/v1/tasks/{task_id}/{path}")
        assert (answer.status_code, answer.get_json()["code"]) == (409, "wrong_state")


def test_rows_of_a_created_task_are_unhandled(client: FlaskClient, create: Create) -> None:
    """Before it is planned, too."""
    task_id = create(FILE).get_json()["id"]
    assert len(table(download(client, task_id, rows="unhandled"))) == 6
    assert len(table(download(client, task_id, rows="all"))) == 6
    assert len(table(download(client, task_id, rows="failed"))) == 1


def test_a_deleted_task_is_not_taken_for_one_without_outcomes(
    client: FlaskClient, catalogue: Catalogue, settings: Settings, task_id: str
) -> None:
    """A download of a task that is deleted meanwhile breaks off."""
    results = Results(catalogue, Storage.of(settings), task_id)
    pieces = results_csv(results, Selection(Rows.ALL))
    next(pieces)
    catalogue.tasks.mark_deleted(task_id)
    with pytest.raises(TaskNotFound):
        next(pieces)


def test_results_are_imported_as_they_are(
    client: FlaskClient, create: Create, catalogue: Catalogue, settings: Settings, task_id: str
) -> None:
    """The rows have the cells that they had, and our columns are none of theirs, nor doubled by another round."""
    before = cells_of(settings, task_id)
    for _ in range(2):
        made = create(download(client, task_id, rows="all"))
        assert made.status_code == 200, made.text
        task_id = made.get_json()["id"]
        source = client.get(f"/v1/tasks/{task_id}/detail").get_json()["source"]
        assert source["columns"] == {"uri": "uri", "tag": "tag", "description": "description"}
        assert source["ignored"] == ["dept"]
        assert cells_of(settings, task_id) == before
        run(catalogue, settings, task_id, OUTCOMES)
    assert table(download(client, task_id))[0].count("face_id") == 1


def test_failed_rows_alone_are_imported_again(client: FlaskClient, create: Create, task_id: str) -> None:
    """Though none of them could be: each of them fails again, instead of the file."""
    for query in ({"code": 303}, {"code": 101}, {"code": 201}):
        made = create(download(client, task_id, **query))
        assert made.status_code == 200, made.text
    nothing = create(download(client, task_id, reason="timeout"))
    assert nothing.get_json()["error"] == "file: the file has no rows below its header"


def test_what_a_spreadsheet_saves_of_results_is_still_recognised(
    client: FlaskClient, create: Create, settings: Settings, task_id: str
) -> None:
    """With another separator, another encoding, and empty cells up to the longest row."""
    records = table(download(client, task_id, rows="all"))
    longest = max(map(len, records))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";").writerows([*record, *[""] * (longest - len(record))] for record in records)
    made = create(text.getvalue().encode("utf-16"))
    assert made.status_code == 200, made.text
    assert padded(cells_of(settings, made.get_json()["id"])) == padded(cells_of(settings, task_id))


def test_results_whose_columns_were_changed_are_refused(create: Create) -> None:
    """A column of somebody's behind ours, another order, one missing: `face_id` is not to be read as an id."""
    header = ",".join(("uri", *RESULT_COLUMNS))
    changed = (f"{header},dept", header.replace("row,line", "line,row"), header.removesuffix(",blur"), header.upper())
    for titles in changed:
        refused = create(f"{titles}\nhttp://x/1.jpg,a,b,c,d,e,f,g,h\n".encode())
        assert (refused.status_code, refused.json["code"]) == (400, "invalid_source")
        assert "'row' to 'blur'" in refused.json["error"]
    plain = create(b"uri,row,code,message,face_id\nhttp://x/1.jpg,1,2,3,4\n")
    assert plain.status_code == 200, "names that any file may have"


def test_a_file_without_a_header_gets_one(client: FlaskClient, create: Create, settings: Settings) -> None:
    """Of our names, and numbers for columns that are none of ours."""
    plain = create(b"http://x/1.jpg,Ann\nhttp://x/2.jpg\n").get_json()["id"]
    assert table(download(client, plain, rows="all"))[0][:4] == ["uri", "tag", "description", "row"]
    chosen = create(b"7,http://x/1.jpg,Ann,x,y\n", columns='{"uri": 2, "tag": 3, "id": 1}').get_json()["id"]
    data = download(client, chosen, rows="all")
    assert table(data)[0][:6] == ["id", "uri", "tag", "column 4", "column 5", "row"]
    again = create(data).get_json()["id"]
    assert client.get(f"/v1/tasks/{again}/detail").get_json()["source"]["columns"] == {
        "uri": "uri",
        "tag": "tag",
        "id": "id",
    }
    assert cells_of(settings, again) == cells_of(settings, chosen)


def test_the_header_is_the_files_own(client: FlaskClient, create: Create) -> None:
    """Below a table's title, with what spreadsheets make of titles, and untitled columns between."""
    task_id = create('Staff 2030\n"照片\n(URL)",,=cmd,姓名\nhttp://x/1.jpg,a,b,c\n'.encode()).get_json()["id"]
    assert table(download(client, task_id, rows="all"))[0][:5] == ["照片\n(URL)", "", "'=cmd", "姓名", "row"]


def cells_of(settings: Settings, task_id: str) -> list[list[str]]:
    """All cells of all rows of a task's file."""
    storage = Storage.of(settings)
    index = storage.index(task_id)
    assert index is not None
    with storage.opened(task_id, index) as source:
        width = len(source.titles())
        found = [cells for batch in source.batches(range(1, index.rows + 1)) for _, cells in batch]
    return [cells + [""] * (width - len(cells)) for cells in found]


def padded(rows: list[list[str]]) -> list[list[str]]:
    """Rows with as many cells as the longest one has."""
    longest = max(map(len, rows))
    return [cells + [""] * (longest - len(cells)) for cells in rows]


def found(client: FlaskClient, task_id: str, **query: object) -> tuple[list[int], str | None]:
    """Numbers of the rows of a page, and where the next one begins."""
    answer = client.get(f"/v1/tasks/{task_id}/rows", query_string=query)
    assert answer.status_code == 200, answer.text
    page = answer.get_json()
    return [row["row"] for row in page["rows"]], page["next"]


def test_a_page_of_rows(client: FlaskClient, task_id: str) -> None:
    """The same as in the file, as JSON."""
    assert client.get(f"/v1/tasks/{task_id}/rows?row=1").get_json() == {
        "columns": ["uri", "tag", "dept", "description"],
        "rows": [
            {
                "row": 1,
                "line": 2,
                "cells": ["http://x/1.jpg", "Ann", "Sales", "d"],
                "code": 0,
                "reason": "",
                "message": "",
                "face_id": "f-1",
                "faces": 1,
                "score": 0.5,
                "width": 80,
                "height": None,
                "pitch": -3.5,
                "yaw": None,
                "roll": None,
                "blur": None,
            }
        ],
        "skipped": 0,
        "looked_to": 1,
        "sorted": None,
        "next": None,
        "total_num": 5,
    }
    (row,) = client.get(f"/v1/tasks/{task_id}/rows?row=3").get_json()["rows"]
    assert row["cells"] == ["http://x/3.jpg", "Cem", "a\nb", "d", "", "more"]
    (row,) = client.get(f"/v1/tasks/{task_id}/rows?row=5").get_json()["rows"]
    assert row["code"] is None


@pytest.mark.parametrize(
    ("query", "rows", "then"),
    [
        ({}, [1, 2, 3, 4, 5], None),
        ({"limit": 2}, [1, 2], "3-"),
        ({"row": "3-"}, [3, 4, 5], None),
        ({"row": "2-4", "limit": 2}, [2, 3], "4"),
        ({"row": "4,1-2,2"}, [1, 2, 4], None),
        ({"row": "5-,1-3", "limit": 2}, [1, 2], "3,5-"),
        ({"row": "3,9", "limit": 1}, [3], None),
        ({"rows": "failed"}, [2, 3, 4], None),
        ({"rows": "failed", "row": "3-", "skip": 1}, [4], None),
        ({"rows": "unhandled"}, [5], None),
        ({"row": "4-"}, [4, 5], None),
        ({"row": "6"}, [], None),
        ({"skip": 3}, [4, 5], None),
        ({"skip": 9}, [], None),
        ({"code": 0}, [1], None),
        ({"code": 101}, [2], None),
        ({"code": 101, "row": "3-"}, [], None),
        ({"tag": "Bob"}, [2], None),
        ({"tag": "bob"}, [], None),
        ({"tag": "=1+1"}, [4], None),
        ({"q": "sales"}, [1, 5], None),
        ({"q": "SALES", "skip": 1}, [5], None),
        ({"q": "sales", "limit": 1}, [1], "2-"),
        ({"q": "sales", "code": 0}, [1], None),
        ({"q": "not found"}, [2], None),
        ({"q": "more", "tag": "Cem"}, [3], None),
        ({"id": "x"}, [], None),
        ({"id": "\x00"}, [], None),
        ({"row": "", "id": "", "tag": "", "q": "", "code": ""}, [1, 2, 3, 4, 5], None),
    ],
    ids=str,
)
def test_rows_are_searched(
    client: FlaskClient, task_id: str, query: dict[str, object], rows: list[int], then: str | None
) -> None:
    """By number, code, id and tag as a whole, and any text; `next` continues where a page ended."""
    assert found(client, task_id, **query) == (rows, then)


@pytest.mark.parametrize(
    "query",
    [
        "row=0",
        "row=x",
        "row=-3",
        "row=4-2",
        "row=2,",
        "row=1-9999999999",
        "row=" + "1," * 501,
        "sort=-",
        "sort=uri",
        "limit=0",
        "limit=1001",
        "skip=-1",
        "code=0&rows=failed",
    ],
)
def test_a_wrong_search_is_explained(client: FlaskClient, task_id: str, query: str) -> None:
    """The field is named."""
    answer = client.get(f"/v1/tasks/{task_id}/rows?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert answer.get_json()["error"].startswith(query.partition("=")[0])


def test_a_search_is_bounded_and_says_how_far_it_came(
    client: FlaskClient, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not looked at is found by going on at `next`, and what it has skipped is counted."""
    lines = [f"http://x/{n}.jpg,{'last' if n in (70, 95, 99) else 'tag'}\n" for n in range(1, 101)]
    task_id = create("".join(lines).encode()).get_json()["id"]
    monkeypatch.setattr("face_import.results.MOST_ROWS", 40)
    answers = [client.get(f"/v1/tasks/{task_id}/rows?tag=last&skip=1").get_json()]
    while then := answers[-1]["next"]:
        left = 1 - sum(answer["skipped"] for answer in answers)
        answers.append(client.get(f"/v1/tasks/{task_id}/rows?tag=last&skip={left}&row={then}").get_json())
    assert [(answer["looked_to"], answer["skipped"]) for answer in answers] == [(40, 0), (80, 1), (100, 0)]
    assert [row["row"] for answer in answers for row in answer["rows"]] == [95, 99]


def test_a_page_of_long_cells_is_short(client: FlaskClient, create: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are given in full, so fewer rows fit; data URIs are not searched for texts."""
    rows = "".join(f'"data:image/png;base64,{"QUJD" * 500}",tag {n}\n' for n in range(20))
    task_id = create(rows.encode()).get_json()["id"]
    monkeypatch.setattr("face_import.results.MOST_SHOWN", 5000)
    assert found(client, task_id) == ([1, 2, 3], "4-")
    assert found(client, task_id, q="qujd") == ([], None)
    assert found(client, task_id, q="TAG 7") == ([8], None)


@pytest.fixture
def measured_id(create: Create, catalogue: Catalogue, settings: Settings) -> str:
    """A task of six rows: four are measured, one of them without a pose, one has failed, and one is not handled."""
    file = "".join(f"http://x/{n}{'ab'[n > 2]}.jpg,t{n},d\n" for n in range(1, 7))
    task_id = str(create(file.encode()).get_json()["id"])
    measured = [(1, 0.9, 1.5), (2, 0.5, -20.0), (3, 0.2, 30.0), (5, 0.5, None)]
    outcomes = [Outcome(n, "", Code.OK, measurements=Measurements(score=score, yaw=yaw)) for n, score, yaw in measured]
    run(catalogue, settings, task_id, [*outcomes, Outcome(4, "", Code.NO_FACE, "none")])
    return task_id


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"sort": "score"}, [3, 2, 5, 1, 4, 6]),
        ({"sort": "-score"}, [1, 2, 5, 3, 4, 6]),
        ({"sort": "yaw"}, [1, 2, 3, 4, 5, 6]),
        ({"sort": "-yaw"}, [3, 2, 1, 4, 5, 6]),
        ({"sort": "-code"}, [4, 1, 2, 3, 5, 6]),
        ({"sort": "score", "skip": 1, "limit": 2}, [2, 5]),
        ({"sort": "score", "skip": 6}, []),
        ({"sort": "score", "row": "1,3,5"}, [3, 5, 1]),
        ({"sort": "-score", "q": "B.jpg"}, [5, 3, 4, 6]),
        ({"sort": "score", "rows": "imported", "limit": 1}, [3]),
        ({"sort": ""}, [1, 2, 3, 4, 5, 6]),
    ],
    ids=str,
)
def test_rows_are_sorted(client: FlaskClient, measured_id: str, query: dict[str, object], rows: list[int]) -> None:
    """By code or measurement, angles by magnitude; equals by number, and those without it last in either direction."""
    page = client.get(f"/v1/tasks/{measured_id}/rows", query_string=query).get_json()
    assert [row["row"] for row in page["rows"]] == rows
    assert [row["cells"][1] for row in page["rows"]] == [f"t{n}" for n in rows]
    assert page["next"] is None


def test_a_sort_is_bounded_and_says_how_far_it_came(
    client: FlaskClient, create: Create, catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long file, the first rows are sorted; `skip` leads to all of these, and `next` to the others."""
    file = "".join(f"http://x/{n}.jpg,t,d\n" for n in range(1, 11))
    task_id = str(create(file.encode()).get_json()["id"])
    scores = [Outcome(n, "", Code.OK, measurements=Measurements(score=n / 10)) for n in range(1, 11)]
    run(catalogue, settings, task_id, scores)
    monkeypatch.setattr("face_import.results.MOST_ROWS", 6)
    seen, query = [], {"sort": "-score", "limit": 4}
    for skip, row in ((0, ""), (4, ""), (0, "7-")):
        page = client.get(f"/v1/tasks/{task_id}/rows", query_string={**query, "skip": skip, "row": row}).get_json()
        seen.append(([found["row"] for found in page["rows"]], page["sorted"], page["skipped"], page["next"]))
    assert seen == [([6, 5, 4, 3], 6, 0, "7-"), ([2, 1], 6, 4, "7-"), ([10, 9, 8, 7], 4, 0, None)]


def test_sorted_rows_with_long_cells_are_shown_a_few_at_a_time(
    client: FlaskClient, create: Create, catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order: none of them is left out between two pages."""
    file = "".join(f'"data:image/png;base64,{"QUJD" * 500}",tag {n}\n' for n in range(1, 6))
    task_id = str(create(file.encode()).get_json()["id"])
    scores = [Outcome(n, "", Code.OK, measurements=Measurements(score=n / 10)) for n in range(1, 6)]
    run(catalogue, settings, task_id, scores)
    monkeypatch.setattr("face_import.results.MOST_SHOWN", 3000)
    assert found(client, task_id, sort="-score") == ([5, 4], None)
    assert found(client, task_id, sort="-score", skip=2) == ([3, 2], None)
    monkeypatch.setattr("face_import.results.MOST_BYTES", 10)
    assert found(client, task_id, sort="-score", skip=2) == ([3], None)


def test_cells_of_a_few_rows(
    create: Create, catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are imported, without image data; a bounded part of the file is read for them."""
    data = f"data:image/png;base64,{'QUJD' * 500}"
    file = f'uri,tag,room\n"{data}",Ann,1\nhttp://x/2.jpg,Bob,2\n' + "http://x/n.jpg,Cem,3\n" * 200
    task_id = str(create(file.encode()).get_json()["id"])
    results = Results(catalogue, Storage.of(settings), task_id)
    assert results.cells([1, 2, 202]) == {
        1: {"uri": display(data), "tag": "Ann"},
        2: {"uri": "http://x/2.jpg", "tag": "Bob"},
        202: {"uri": "http://x/n.jpg", "tag": "Cem"},
    }
    assert results.cells([]) == {}
    monkeypatch.setattr("face_import.results.MOST_BYTES", 10)
    assert list(results.cells([1, 202])) == [1]
