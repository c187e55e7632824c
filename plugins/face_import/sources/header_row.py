"""Where a table's header is: below captions, above the first address."""

import re
from collections.abc import Sequence

from face_import.domain.reading import RESULT_COLUMNS, ReadingOptions
from face_import.domain.uri import cleaned, looks_like_uri
from face_import.sources.headers import field_of, find_column
from face_import.sources.records import unwrapped

Record = list[str]
_HEADER_WITHIN = 10
"""Records that may be above the rows: a title of the table, a date, groups of columns, and the header."""
NO_TITLE = re.compile(
    r"(?i)[a-z]:\\|[\\/~]|www\.|.*(?:://|\.(?:jpe?g|png|webp|gif|bmp|tiff?|hei[cf]|avif)\Z)|(?:n/?a|nan|null|none|nil|\\n|-+|\?+)\Z"
)
"""A broken address, or a word for no value: a row rather than a title."""


def header_at(records: Sequence[Record], options: ReadingOptions) -> int | None:
    """Position of the header: above the first address, the record with the most known titles; None without one.

    Below other records, such as the title of a table, it has to name the URIs' column and another one.
    """
    if (results := results_at(records)) is not None:
        return results
    found: list[tuple[int, int]] = []
    for position, record in enumerate(records[:_HEADER_WITHIN]):
        titles = titles_of(record)
        if any(map(looks_like_uri, titles)):
            break
        fields, chosen = {field_of(title) for title in titles} - {""}, _chosen_titles(titles, options)
        if chosen or (fields if position == 0 else "uri" in fields and len(fields) > 1):
            found.append((-len(fields) - chosen, position))
    return min(found)[1] if found else None


def captions_of(records: Sequence[Record], options: ReadingOptions) -> int:
    """How many records are captions of the table: text in the first cell alone, above what has several but no URI.

    A known title is none, and nothing is where the client says by numbers that there is no header.
    """
    if options.columns and not _by_title(options):
        return 0
    for position, record in enumerate(records[:_HEADER_WITHIN]):
        filled = [bool(cell.strip()) for cell in record]
        if any(map(looks_like_uri, record)) or not filled[0] or NO_TITLE.match(record[0].strip()):
            return 0
        if sum(filled) > 1:
            return position
        if field_of(title_of(record[0])) or _chosen_titles(titles_of(record), options):
            return 0
    return 0


def results_at(records: Sequence[Record]) -> int | None:
    """Position of the header of results; None without one."""
    return next((n for n, record in enumerate(records[:_HEADER_WITHIN]) if are_of_results(titles_of(record))), None)


def are_of_results(titles: Sequence[str]) -> bool:
    """Whether the last of the titles are those that results add."""
    return len(titles) > len(RESULT_COLUMNS) and tuple(titles[-len(RESULT_COLUMNS) :]) == RESULT_COLUMNS


def titles_of(record: Record) -> list[str]:
    """The cells of a record as titles, without empty ones at the end."""
    cells = [title_of(cell) for cell in record]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def title_of(cell: str) -> str:
    """A cell as a title: without what surrounds it, such as a formula that makes it text."""
    return cleaned(unwrapped(cell))


def _chosen_titles(titles: Sequence[str], options: ReadingOptions) -> int:
    """How many of the titles that the client chose a record has."""
    return sum(find_column(titles, choice, 0) is not None for choice in _by_title(options))


def _by_title(options: ReadingOptions) -> list[str]:
    """The columns that the client chose by their titles."""
    return [choice for choice in options.columns.values() if isinstance(choice, str) and not choice.isdecimal()]
