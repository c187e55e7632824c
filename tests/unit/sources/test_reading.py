"""The one reading of a file: separator, header and columns; what is ambiguous is refused."""
# ruff: noqa: E501 - a case a line

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_import.domain.reading import AS_FOUND, SEPARATORS, ReadingOptions
from face_import.errors import SourceError
from face_import.sources.headers import TITLES, field_of
from face_import.sources.reading import Ambiguous, decide
from tests.unit.sources.helpers import all_rows, taken_in

A, B = "http://host/a.jpg", "http://host/b.jpg"


def reading(text: str, **columns: str | int | None) -> dict[str, Any]:
    """How a file is read, as the API shows it."""
    index, _ = taken_in(text.encode(), options=ReadingOptions(columns=columns))
    return index.reading.described()


def refusal(text: str, **columns: str | int | None) -> str:
    """Why a file is refused."""
    with pytest.raises(SourceError) as caught:
        taken_in(text.encode(), options=ReadingOptions(columns=columns))
    return str(caught.value)


TEXT = st.text(st.sampled_from("ab ,;|\t\"'=\n\r €女𠮷\u2028"), max_size=8)
UNKNOWN = st.sampled_from(["department", "部门", "no", "x;y", "a,b", 'quo"te', "Spalte 1", "created at"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[dict[str, str]]]:
    """A table with a header in any dialect and encoding, with columns that are not ours, and what it means."""
    fields = draw(st.permutations(["uri", *draw(st.sets(st.sampled_from(["tag", "description", "id"])))]))
    titles: list[tuple[str, str]] = [(field, draw(st.sampled_from(TITLES[field]))) for field in fields]
    for title in draw(st.lists(UNKNOWN, max_size=2, unique=True)):
        titles.insert(draw(st.integers(0, len(titles))), ("", title))
    count = draw(st.integers(1, 5))
    rows = [
        {
            field: f"http://host/{draw(st.integers(0, 99))}.jpg" if field == "uri" else draw(TEXT)
            for field in [*fields, *(title for field, title in titles if not field)]
        }
        for _ in range(count)
    ]
    separator = draw(st.sampled_from(list(SEPARATORS)))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    surplus = [""] * draw(st.integers(0, 3))
    file = io.StringIO(newline="")
    if draw(st.booleans()) and len(titles) > 1:
        file.write(f"sep={separator}{end}")
    # The writer quotes only its own line ends.
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])) if end == "\r\n" else csv.QUOTE_ALL
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow([draw(st.sampled_from([title, title.upper(), f" {title} "])) for _, title in titles] + surplus)
    for row in rows:
        writer.writerow([row[field or title] for field, title in titles] + surplus)
        if draw(st.booleans()):
            writer.writerow([""] * (len(titles) + len(surplus)))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return file.getvalue().encode(encoding), rows


def _meant(cell: str) -> str:
    """What a spreadsheet means by a cell."""
    inner = cell[2:-1]
    return inner if cell.startswith('="') and cell.endswith('"') and len(cell) > 2 and '"' not in inner else cell


@settings(max_examples=400, deadline=None)
@given(table=tables())
def test_a_table_in_any_dialect_is_read_cell_by_cell(table: tuple[bytes, list[dict[str, str]]]) -> None:
    """Whatever the separator, encoding, quoting, order of columns and surplus, cells arrive as they were written."""
    data, expected = table
    rows = all_rows(data)
    assert [(row.uri, row.tag, row.description, row.id, row.problem) for row in rows] == [
        (
            row["uri"],
            _meant(row.get("tag", "")),
            _meant(row.get("description", "")),
            _meant(row.get("id", "")).strip(),
            "",
        )
        for row in expected
    ]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.text("a女 ", max_size=6), st.text("b女 ", max_size=6)), min_size=1, max_size=5),
    separator=st.sampled_from(list(SEPARATORS)),
    path=st.sampled_from(["/a.jpg", "/a;jsessionid=5", "/a.jpg?x=1;y=2&z=a|b", "/w_200,h_200/a.jpg", "/图.jpg"]),
    surplus=st.integers(0, 2),
)
def test_a_table_without_header_is_read_by_position(
    rows: list[tuple[str, str]], separator: str, path: str, surplus: int
) -> None:
    """The separator is found by the addresses."""
    file = io.StringIO(newline="")
    records = [[f"http://host{path}", "t" + tag, "d" + description] for tag, description in rows]
    csv.writer(file, delimiter=separator).writerows(record + [""] * surplus for record in records)
    found = all_rows(file.getvalue().encode())
    assert [[row.uri, row.tag, row.description] for row in found] == records


CAPTION = f"员工名单\n链接地址,谁,号\n{A},t,1\n{A},u,2"


def test_a_caption_is_above_a_header_that_nobody_knows() -> None:
    """It is no header: the titles below it can be chosen, and by number they are a row, as the caption is."""
    with pytest.raises(Ambiguous) as refused:
        decide(CAPTION, AS_FOUND)
    assert (refused.value.titles, refused.value.records[0]) == ([], ["链接地址", "谁", "号"])
    chosen = decide(CAPTION, ReadingOptions(columns={"uri": "链接地址", "id": "号"}))
    assert (chosen.skipped, chosen.titles, chosen.columns) == (1, ("链接地址", "谁", "号"), {"uri": 0, "id": 2})
    numbered = decide(CAPTION, ReadingOptions(columns={"uri": 1, "id": 3}))
    assert (numbered.skipped, numbered.titles) == (0, ())


@pytest.mark.parametrize("first", ["x.jpg", "n/a", A])
def test_a_row_is_no_caption(first: str) -> None:
    """Though its other cells are empty, and the row below has no URI."""
    assert decide(f"{first},,\nnonsense,t,d\n{A},t,d\n{A},u,d", AS_FOUND).skipped == 0


@pytest.mark.parametrize("first", ["uri", "照片"])
def test_a_title_is_no_caption(first: str) -> None:
    """A table with one title is told that the others are missing."""
    with pytest.raises(SourceError, match="complete the header"):
        decide(f"{first},,\nnonsense,t,d\n{A},t,d\n{A},u,d", AS_FOUND)


@pytest.mark.parametrize(
    ("text", "columns", "ignored"),
    [
        pytest.param(
            f"工号,姓名,部门,照片\n7,张三,IT,{A}", {"uri": "照片", "tag": "姓名", "id": "工号"}, ["部门"], id="zh"
        ),
        pytest.param(f"no,name,photo_url\n1,E,{A}", {"uri": "photo_url", "tag": "name"}, ["no"], id="aliases"),
        pytest.param(
            f"*姓名（必填）,Photo-URL\nE,{A}", {"uri": "Photo-URL", "tag": "*姓名（必填）"}, [], id="template"
        ),
        pytest.param(f",uri,tag\n0,{A},t", {"uri": "uri", "tag": "tag"}, [1], id="index without a title"),
        pytest.param(f"\ufeffuri,tag,,\n{A},t,,", {"uri": "uri", "tag": "tag"}, [], id="empty titles at the end"),
        pytest.param(f'="uri",="tag"\n{A},t', {"uri": "uri", "tag": "tag"}, [], id="titles as formulas"),
        pytest.param(
            f"照片/Photo,姓名/Name,工号 ID\n{A},t,1",
            {"uri": "照片/Photo", "tag": "姓名/Name", "id": "工号 ID"},
            [],
            id="two languages",
        ),
        pytest.param(
            f"Employee list 2026,,\n,,\nid,name,photo\n1,t,{A}",
            {"uri": "photo", "tag": "name", "id": "id"},
            [],
            id="title of the table",
        ),
        pytest.param(
            f"Image,Person,,\nphoto,name,id,desc\n{A},t,1,d",
            {"uri": "photo", "tag": "name", "description": "desc", "id": "id"},
            [],
            id="groups of columns",
        ),
        pytest.param(f"#TYPE System.Object\nphoto,name\n{A},t", {"uri": "photo", "tag": "name"}, [], id="PowerShell"),
        pytest.param(
            f"Bild\nBild;Name;ID\n{A};t;1", {"uri": "Bild", "tag": "Name", "id": "ID"}, [], id="title that is a title"
        ),
        pytest.param(
            f"sep=;;;\nuri;tag;id\n{A};t;1", {"uri": "uri", "tag": "tag", "id": "id"}, [], id="saved again with sep="
        ),
    ],
)
def test_a_header_names_the_columns(text: str, columns: dict[str, str], ignored: list[str | int]) -> None:
    """Known titles are ours, others are ignored and listed."""
    described = reading(text)
    assert (described["header"], described["columns"], described["ignored"]) == (True, columns, ignored)


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        (f"foto,naam\n{A},Jan", {"uri": "foto", "tag": "naam"}, {"uri": "foto", "tag": "naam"}),
        (f"photo,url\nx,{A}", {"uri": "url"}, {"uri": "url"}),
        (f"id,employee_id,uri\n1,7,{A}", {"id": "Employee ID"}, {"uri": "uri", "id": "employee_id"}),
        (f"id,employee_id,uri\n1,7,{A}", {"id": None}, {"uri": "uri"}),
        (f"uri,tag,x\n{A},t,7", {"id": 3}, {"uri": "uri", "tag": "tag", "id": "x"}),
        (
            f"uri,name\n{A},t",
            {"tag": "name", "description": "name"},
            {"uri": "uri", "tag": "name", "description": "name"},
        ),
        (f"7,Ann,x,{A}\n8,Bob,y,{B}", {"uri": 4, "id": 1, "tag": "2"}, {"uri": 4, "tag": 2, "id": 1}),
    ],
)
def test_columns_are_settled_by_hand(text: str, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    """By title or number; None is a column that is not to be used; the others follow the header."""
    assert reading(text, **columns)["columns"] == expected


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        pytest.param(f"uri,Photo\n{A},{B}", {}, 'column 1 (\'uri\') and column 2 (\'Photo\') may all be the uri: say which with columns={"uri": "uri"} or columns={"uri": "Photo"}', id="two candidates"),
        pytest.param(f"uri,tag,Tag\n{A},t,t", {}, 'columns={"tag": "Tag"}', id="column twice"),
        pytest.param(f"uri,tag,tag\n{A},t,t", {}, 'columns={"tag": 2} or columns={"tag": 3}', id="title twice"),
        pytest.param(f"name,path\nE,{A}", {}, 'no column is known to have the URIs (\'name\', \'path\'): say which with columns={"uri": "path"}', id="no known uri"),
        pytest.param(f"foto's,naam\n{A},Jan", {}, 'if it is a header, say which column is which by title: columns={"uri": "foto\'s"} and so on; if it is a row, by number', id="header or row"),
        pytest.param(f"7,Ann,{A}\n8,Bob,{B}", {}, 'column 1 has no URI in the first 2 rows; row 1 has \'7\'. column 3 has URIs: say which with columns={"uri": 3}, and likewise the tag, description and id', id="another column"),
        pytest.param("photo,name\nphotos/a.jpg,E\nphotos/b.jpg,F", {}, "column 1 ('photo') has no URI in the first 2 rows; row 1 has 'photos/a.jpg'. A URI begins with http://", id="no uri at all"),
        pytest.param(f"{A},t,d,7\n{B},t,d,8", {}, "row 1 has 4 cells for 3 columns, like most of the rows", id="unnamed column"),
        pytest.param(f"uri,tag\n{A},t,d\n{B},t,d", {}, "quote cells that contain the separator, or complete the header", id="short header"),
        pytest.param("data:image/png;base64,AAAA,t,d,x\n" * 2, {}, "a data URI contains a comma and must be quoted", id="bare data URIs"),
        pytest.param(f'uri,tag\n"{A},t"\n"{B},""u, v"""', {}, "each line is one quoted cell", id="quoted lines"),
        pytest.param("http://h/w_1,h_1/a.jpg;Werk 1, Halle 2", {}, 'name it in the field "separator", or declare it in a first line, as in sep=,', id="two separators"),
        pytest.param(f"{A},a;b\n{B},c;d", {}, "the separator may be a comma (row 1", id="separators in names"),
        pytest.param(f'"{A},t"\n"{B},u"', {}, "each line is one quoted cell", id="quoted lines without a header"),
        pytest.param("name,path\nE,a.jpg", {}, "and none has any: a URI begins with", id="no column of URIs"),
        pytest.param(f"sep=:\nuri:tag\n{A}:t", {}, "line 1: sep=:: the separator must be one of comma, semicolon, tab", id="declared"),
        pytest.param(f"uri,tag\n{A},t", {"tag": "name"}, "columns: there is no column 'name' for tag; the file has 'uri', 'tag'", id="no such title"),
        pytest.param(f"{A},t", {"uri": 3}, "columns: there is no column 3 for uri; the file has 2 without titles", id="no such number"),
        pytest.param("http://h/a;b.jpg,Anna\nhttp://h/c;d.jpg,Bob", {}, "the separator may be a comma (row 1", id="semicolons in names"),
        pytest.param(f"uri,x,x\n{A},t,u", {"tag": "x"}, "2 columns have the title 'x'; give the number", id="chosen twice"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_refused(text: str, columns: dict[str, Any], message: str) -> None:
    """The text names the candidates and what to do; nothing is guessed."""
    assert message in refusal(text, **columns)


def test_spreadsheets_habits_are_known() -> None:
    """Formulas that keep text, ids that lost their digits, and cells beyond the columns."""
    rows = all_rows(
        f'uri,tag,id\n"=""{A}""",t,"=""00123"""\n{A},t,1.10101E+17\n{A},t,"1,5e+10"\n{A},t,E+1,\n{A},t,5,,x\n'
        f"{A},t,1.10101199001011E17\n{A},t,1E05\n{A},t,#N/A\n{A},t,\\N\n{A},t,########\n{A},t,\ufeff8\u200b\n{A},t,#7\n{A},t,#ABC".encode()
    )
    assert [(row.id, row.problem.partition(";")[0]) for row in rows] == [
        ("00123", ""),
        ("1.10101E+17", "the id 1.10101E+17 was shortened by a spreadsheet"),
        ("1,5e+10", "the id 1,5e+10 was shortened by a spreadsheet"),
        ("E+1", ""),
        ("5", "5 cells for 3 columns (line 6)"),
        ("1.10101199001011E17", "the id 1.10101199001011E17 was shortened by a spreadsheet"),
        ("1E05", ""),
        (
            "#N/A",
            "the id #N/A is what a spreadsheet or database writes for no value",
        ),
        (
            "\\N",
            "the id \\N is what a spreadsheet or database writes for no value",
        ),
        (
            "########",
            "the id ######## is what a spreadsheet or database writes for no value",
        ),
        ("8", ""),
        ("#7", ""),
        ("#ABC", ""),
    ]
    assert rows[0].uri == A


def test_what_is_above_the_header_is_counted() -> None:
    """Nothing is left out silently, and the rows below have their own lines."""
    text = f"sep=;\nEmployee list;;\n;;\nid;name;photo\n1;Ann;{A}\n"
    assert reading(text)["skipped"] == 2
    (row,) = all_rows(text.encode())
    assert (row.number, row.line, row.tag) == (1, 5, "Ann")


def test_the_reading_holds_for_the_whole_file() -> None:
    """Rows far behind the sample are read as its beginning was."""
    text = "uri;tag\n" + f"{A};Jörg, Anna\n" * 30_000 + f"{B};x\n"
    rows = all_rows(text.encode())
    assert (rows[-1].uri, rows[-1].tag, rows[-2].tag, len(rows)) == (B, "x", "Jörg, Anna", 30_001)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_cells_of_megabytes_do_not_hide_the_separator(separator: str) -> None:
    """The sample reaches beyond a long first cell."""
    uri = "data:image/png;base64," + "QUJD" * 500_000
    text = f'"{uri}"{separator}Jörg{separator}Werk 1, Halle 2\n{A}{separator}Anna{separator}Werk 2\n'
    assert [(row.uri, row.tag) for row in all_rows(text.encode())] == [(uri, "Jörg"), (A, "Anna")]


TWO_SEPARATORS = "http://h/w_1,h_1/a.jpg;Werk 1, Halle 2\n"


@pytest.mark.parametrize(
    ("text", "separator", "cells"),
    [
        pytest.param(TWO_SEPARATORS, ";", ("http://h/w_1,h_1/a.jpg", "Werk 1, Halle 2"), id="ambiguous"),
        pytest.param(f"{A}|Jörg\t7", "\t", (f"{A}|Jörg", "7"), id="not the recognised one"),
        pytest.param(f"sep=,\r\n{TWO_SEPARATORS}", ";", ("http://h/w_1,h_1/a.jpg", "Werk 1, Halle 2"), id="declared"),
        pytest.param(f'"sep=:";;\n{A};x', ";", (A, "x"), id="declared as another one"),
        pytest.param(f'uri|tag\n"{A}"|"a|b"', "|", (A, "a|b"), id="quoted"),
    ],
)
def test_a_separator_that_is_named_is_obeyed(text: str, separator: str, cells: tuple[str, str]) -> None:
    """Whatever else would fit, and whatever a `sep=` line says, which is no row in any case."""
    index, _ = taken_in(text.encode(), options=ReadingOptions(separator=separator))
    assert index.reading.separator == separator
    assert index.reading.skipped == ("sep=" in text)
    (row,) = all_rows(text.encode(), ReadingOptions(separator=separator))
    assert (row.uri, row.tag) == cells


def test_a_separator_that_cannot_be_right_is_refused() -> None:
    """The header's titles are then a single one, which nobody knows."""
    with pytest.raises(SourceError, match="no URI and no known column name"):
        taken_in(f"uri;tag\n{A};x".encode(), options=ReadingOptions(separator=","))


def test_nothing_is_said_by_default() -> None:
    """Options are what a client says."""
    assert (AS_FOUND.encoding, AS_FOUND.separator, AS_FOUND.sheet, dict(AS_FOUND.columns)) == ("", "", "", {})


@pytest.mark.parametrize("field", TITLES)
def test_titles_are_told_apart(field: str) -> None:
    """No title means two columns, and each is known in the ways people write it."""
    for title in TITLES[field]:
        for written in (
            title,
            title.upper(),
            title.replace(" ", "_"),
            f" *{title} ",
            f"{title}(必填)",
            f"\u200b{title}",
        ):
            assert field_of(written) == field
