"""Files of results are read as the files that their rows came from."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import pytest

from face_console.preview import preview
from face_import.domain.reading import RESULT_COLUMNS, ReadingOptions
from face_import.errors import Ambiguous, SourceError
from tests.unit.sources.helpers import BOUNDS, all_rows, taken_in

ADDED = [str(number) for number in range(len(RESULT_COLUMNS))]
HEADER = ["uri", "name", "room", *RESULT_COLUMNS]
ROWS = [
    ["http://h/1.jpg", "Ann", "'=1", *ADDED],
    ["http://h/2.jpg", "'''-x", "", *ADDED, "", "more"],
    ["http://h/3.jpg", "'tis", '="007"', *ADDED],
]


def text(records: Sequence[Sequence[str]], separator: str = ",") -> bytes:
    """Records as CSV."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator).writerows(records)
    return buffer.getvalue().encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(text([HEADER, *ROWS]), id="as written"),
        pytest.param(text([HEADER, *ROWS], ";"), id="semicolons"),
        pytest.param(text([HEADER, *ROWS], "\t").decode().encode("utf-16"), id="utf-16"),
        pytest.param(b"sep=|\n" + text([HEADER, *ROWS], "|"), id="declared"),
        pytest.param(text([["Retry of Monday"], [*HEADER, "", ""], *ROWS]), id="below a title"),
    ],
)
def test_rows_are_those_of_the_file(data: bytes) -> None:
    """Our columns are no columns of it, the guard is undone, and surplus cells are behind the file's own."""
    index, _ = taken_in(data)
    assert (index.reading.columns, index.reading.width) == ({"uri": 0, "tag": 1}, 3)
    assert index.reading.described()["ignored"] == ["room"]
    rows = all_rows(data)
    assert [(row.uri, row.tag) for row in rows] == [
        ("http://h/1.jpg", "Ann"),
        ("http://h/2.jpg", "''-x"),
        ("http://h/3.jpg", "'tis"),
    ]
    assert [row.problem.partition(" (")[0] for row in rows] == ["", "5 cells for 3 columns", ""]


def test_the_preview_has_the_files_own_cells(tmp_path: Path) -> None:
    """The columns that were added are not shown."""
    with TemporaryFile() as file:
        file.write(text([HEADER, *ROWS]))
        file.seek(0)
        table = preview(cast("BinaryIO", file), BOUNDS, tmp_path).table
    assert [column.title for column in table.columns][:3] == ["uri", "name", "room"]
    assert [row[1:3] for row in table.rows] == [["Ann", "=1"], ["''-x", ""], ["'tis", "007"]]


def test_rows_of_results_are_not_judged() -> None:
    """All of them may be bad: too many cells, no URI, one quoted cell."""
    for bad in (["a", "b", "c", *ADDED, "d"], ["no uri", "b", "c", *ADDED], ["", "http://h/a.jpg,b", "", *ADDED]):
        assert len(all_rows(text([HEADER, *[bad] * 50]))) == 50


def test_columns_that_a_header_does_not_tell_are_told_again() -> None:
    """As for the file that the rows came from; those that were added cannot be chosen."""
    data = text([["图", "名", *RESULT_COLUMNS], ["http://h/1.jpg", "Ann", *ADDED]])
    with pytest.raises(Ambiguous, match=re.escape('columns={"uri": "图"}')):
        taken_in(data)
    (row,) = all_rows(data, ReadingOptions(columns={"uri": "图", "tag": 2}))
    assert (row.uri, row.tag, row.id) == ("http://h/1.jpg", "Ann", "")
    with pytest.raises(SourceError, match="there is no column 'face_id' for id"):
        taken_in(data, options=ReadingOptions(columns={"uri": "图", "id": "face_id"}))


def test_results_without_rows_are_refused() -> None:
    """There is nothing to import."""
    with pytest.raises(SourceError, match="no rows below its header"):
        taken_in(text([HEADER]))
