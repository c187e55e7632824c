"""Which failed rows a request is about."""

import pytest

from face_import.domain.failed_rows import FailedRows, failed_rows
from face_import.domain.row_spans import MAX_SPANS
from face_import.errors import InvalidRequest


def test_all_three_kinds() -> None:
    """Codes, reasons, and rows one by one or from-to, with spaces as people type them."""
    found = failed_rows([301, 101], ["unavailable"], " 7, 12-40 ,9 - 9")
    assert found == FailedRows((301, 101), ("unavailable",), ((7, 7), (9, 9), (12, 40)))
    assert failed_rows([], [], " ") == FailedRows()


@pytest.mark.parametrize(
    ("codes", "reasons", "rows", "field"),
    [
        ([0], [], "", "codes"),
        ([999], [], "", "codes"),
        ([], ["bad luck"], "", "reasons"),
        *(([], [], rows, "rows") for rows in ("0", "x", "-", "9-7", "1,,2", "-3", "1-2-3", "3000000000", "²", "1,")),
        ([], [], ",".join(["1"] * (MAX_SPANS + 1)), "rows"),
    ],
)
def test_what_cannot_be_understood_is_named(codes: list[int], reasons: list[str], rows: str, field: str) -> None:
    """The field is named, and a long value is not repeated as a whole."""
    with pytest.raises(InvalidRequest) as refused:
        failed_rows(codes, reasons, rows)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert len(str(refused.value)) < 500
