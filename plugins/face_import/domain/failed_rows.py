"""Which failed rows a request is about: by code, by reason, by number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from face_import.contract import MAX_ROW, Code, Reason
from face_import.errors import InvalidRequest

MAX_SPANS = 500
"""Ranges of row numbers in one request."""
_SPAN = re.compile(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?")


@dataclass(frozen=True, slots=True)
class FailedRows:
    """Failed rows that match all that is given; without anything, all failed rows.

    Attributes:
        codes: any of these codes.
        reasons: any of these reasons.
        spans: in any of these ranges, first and last row number.
    """

    codes: tuple[Code, ...] = ()
    reasons: tuple[Reason, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


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
    return FailedRows(tuple(map(Code, codes)), tuple(map(Reason, reasons)), _spans(rows))


def _spans(rows: str) -> tuple[tuple[int, int], ...]:
    if not rows.strip():
        return ()
    parts = rows.split(",", MAX_SPANS)
    if len(parts) > MAX_SPANS:
        raise InvalidRequest(f"rows: more than {MAX_SPANS} numbers and ranges", field="rows")
    return tuple(map(_span, parts))


def _span(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    first = int(found[1]) if found else 0
    last = int(found[2] or found[1]) if found else 0
    if not 1 <= first <= last <= MAX_ROW:
        raise InvalidRequest(f"rows: {text.strip()[:40]!r} is not a row number or a range such as 12-40", field="rows")
    return first, last
