"""Row numbers and ranges, as clients write them."""

import re

import pytest

from face_import.contract import MAX_ROW
from face_import.domain.row_spans import MAX_SPANS, PATTERN, Spans, common, joined, row_spans, spelled, without


@pytest.mark.parametrize(
    ("text", "spans", "again"),
    [
        ("", (), ""),
        ("7", ((7, 7),), "7"),
        ("12-40,7", ((7, 7), (12, 40)), "7,12-40"),
        ("7,7,8,9-9", ((7, 9),), "7-9"),
        ("1-5,3-4,5-6,8", ((1, 6), (8, 8)), "1-6,8"),
        ("100001-", ((100001, MAX_ROW),), "100001-"),
        (" 3 , 5 - 6 ", ((3, 3), (5, 6)), "3,5-6"),
        (f"{MAX_ROW}", ((MAX_ROW, MAX_ROW),), f"{MAX_ROW}"),
    ],
)
def test_ranges_are_put_in_order(text: str, spans: Spans, again: str) -> None:
    """Ascending, without a row twice; and written, they mean the same."""
    assert row_spans(text) == spans
    assert spelled(spans) == again
    assert row_spans(again) == spans


@pytest.mark.parametrize("text", ["0", "5-4", "x", "-3", "1-2-3", "1,", ",", "1;2", f"{MAX_ROW + 1}", "1-99999999999"])
def test_what_cannot_be_a_row_is_named(text: str) -> None:
    """Rather than left out, or taken for all rows."""
    with pytest.raises(ValueError, match="is not a row number or a range such as 12-40"):
        row_spans(text)


def test_there_may_not_be_too_many() -> None:
    """Each costs a query."""
    assert len(row_spans(",".join(str(2 * n + 1) for n in range(MAX_SPANS)))) == MAX_SPANS
    with pytest.raises(ValueError, match="more than 500"):
        row_spans("1," * MAX_SPANS + "1")


@pytest.mark.parametrize(
    ("text", "is_described"), [("", True), ("7,12-40,9-", True), ("0", False), ("1,", False), ("1-2-3", False)]
)
def test_the_description_says_the_same(text: str, *, is_described: bool) -> None:
    """What clients generate from it is taken."""
    assert bool(re.match(PATTERN, text)) is is_described


def test_what_ranges_have_in_common_with_one() -> None:
    """In their order."""
    spans = ((1, 3), (5, 9), (12, 12), (20, MAX_ROW))
    assert list(common(spans, 3, 25)) == [(3, 3), (5, 9), (12, 12), (20, 25)]
    assert list(common(spans, 10, 11)) == []


@pytest.mark.parametrize(
    ("text", "rows", "left"),
    [
        ("1-", [1, 5, 6], "2-4,7-"),
        ("3-5", [2, 6], "3-5"),
        ("3-5", [3, 4, 5], ""),
        ("7,12-40", [7, 40], "12-39"),
        ("7", [], "7"),
        ("", [1], ""),
    ],
)
def test_rows_are_taken_out(text: str, rows: list[int], left: str) -> None:
    """Of the ranges that have them; ranges are not listed row by row."""
    assert spelled(without(row_spans(text), rows)) == left


@pytest.mark.parametrize(("rows", "text"), [([], ""), ([4], "4"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10")])
def test_rows_are_joined(rows: list[int], text: str) -> None:
    """Those beside each other into one range."""
    assert spelled(joined(rows)) == text
