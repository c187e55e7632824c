"""Which rows a request is about, by their numbers: `7,12-40`, or `100001-` to the end."""

import re
from collections.abc import Iterable, Iterator

from face_import.contract import MAX_ROW

Spans = tuple[tuple[int, int], ...]
"""Ranges of row numbers, first and last, ascending and apart from each other."""
ALL_ROWS: Spans = ((1, MAX_ROW),)
MAX_SPANS = 500
"""Numbers and ranges in one request."""
_NUMBER = "[1-9][0-9]{0,8}"
PATTERN = f"^({_NUMBER}(-({_NUMBER})?)?(,{_NUMBER}(-({_NUMBER})?)?){{0,{MAX_SPANS - 1}}})?$"
"""How API descriptions say it."""
_SPAN = re.compile(r"\s*(\d{1,10})\s*(?:(-)\s*(\d{1,10})?\s*)?")


def row_spans(text: str) -> Spans:
    """The ranges that a client means; none if the text is empty.

    Raises:
        ValueError: with the part that is not a row number or a range, or that there are too many.
    """
    if not text.strip():
        return ()
    parts = text.split(",", MAX_SPANS)
    if len(parts) > MAX_SPANS:
        raise ValueError(f"more than {MAX_SPANS} numbers and ranges")
    return tuple(_joined(sorted(map(_span, parts))))


def spelled(spans: Spans) -> str:
    """The text that means these ranges."""
    return ",".join(_spelled(*span) for span in spans)


def joined(rows: Iterable[int]) -> Spans:
    """The ranges of some rows, which are ascending."""
    each = [(row, row) for row in rows]
    return tuple(_joined(each)) if each else ()


def without(spans: Spans, rows: Iterable[int]) -> Spans:
    """The ranges without some rows."""
    left = list(spans)
    for row in rows:
        left = [part for span in left for part in _around(span, row)]
    return tuple(left)


def common(spans: Spans, first: int, last: int) -> Iterator[tuple[int, int]]:
    """What of the ranges is from `first` to `last`."""
    for low, high in spans:
        if low <= last and first <= high:
            yield max(low, first), min(high, last)


def _spelled(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}-{'' if last >= MAX_ROW else last}"


def _around(span: tuple[int, int], row: int) -> Iterator[tuple[int, int]]:
    """What of a range is before a row, and what is after it."""
    first, last = span
    if first <= min(last, row - 1):
        yield first, min(last, row - 1)
    if max(first, row + 1) <= last:
        yield max(first, row + 1), last


def _span(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    first = int(found[1]) if found else 0
    last = int(found[3] or (MAX_ROW if found[2] else first)) if found else 0
    if not 1 <= first <= last <= MAX_ROW:
        raise ValueError(f"{text.strip()[:40]!r} is not a row number or a range such as 12-40")
    return first, last


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same rows in ranges that neither overlap nor touch."""
    first, last = spans[0]
    for low, high in spans[1:]:
        if low > last + 1:
            yield first, last
            first = low
        last = max(last, high)
    yield first, last
