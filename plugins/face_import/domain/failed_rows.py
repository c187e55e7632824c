"""Which failed rows a request is about: by code, by reason, by number."""

from collections.abc import Sequence
from dataclasses import dataclass

from face_import.contract import Code, Reason
from face_import.domain.row_spans import Spans, row_spans
from face_import.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class FailedRows:
    """Failed rows that match all that is given; without anything, all failed rows.

    Attributes:
        codes: any of these codes.
        reasons: any of these reasons.
        spans: in any of these ranges of row numbers.
    """

    codes: tuple[Code, ...] = ()
    reasons: tuple[Reason, ...] = ()
    spans: Spans = ()


def failed_rows(codes: Sequence[int], reasons: Sequence[str], rows: str) -> FailedRows:
    """Failed rows as a client means them, from what a client sent.

    Args:
        codes: error codes.
        reasons: words of `Reason`.
        rows: row numbers and ranges, such as `7,12-40`; empty for all.

    Raises:
        InvalidRequest: with the field that cannot be understood.
    """
    known = sorted(code.value for code in Code if code is not Code.OK)
    for code in codes:
        if code not in known:
            raise InvalidRequest(
                f"codes: {code} is not an error code; known are {', '.join(map(str, known))}", field="codes"
            )
    for reason in reasons:
        if reason not in set(Reason):
            raise InvalidRequest(f"reasons: {reason[:40]!r} is none of {', '.join(Reason)}", field="reasons")
    try:
        spans = row_spans(rows)
    except ValueError as error:
        raise InvalidRequest(f"rows: {error}", field="rows") from None
    return FailedRows(tuple(map(Code, codes)), tuple(map(Reason, reasons)), spans)
