"""Reading a shard's rows back from its range of bytes."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from face_import.contract import MAX_DESCRIPTION_BYTES, MAX_ID_BYTES, MAX_TAG_BYTES, MAX_URI_BYTES
from face_import.domain.models import Row, Shard
from face_import.domain.uri import scheme_of
from face_import.errors import SourceError
from face_import.sources.records import LineFeed, Records


def read_rows(chunks: Iterable[bytes], columns: Sequence[str], shard: Shard) -> Iterator[Row]:
    """Read the rows of one shard, by the rules they were taken in with, as they are asked for.

    Args:
        chunks: bytes `shard.start` to `shard.end` of the stored source, in pieces cut anywhere.
        columns: names of the columns in file order, as the source's index has them.
        shard: which rows these are; no cell is larger than its range, so
            `csv.field_size_limit` is raised to that if need be.

    Yields:
        The rows, numbered from `shard.first_row`. A row without a uri has an empty one; one with
        more cells than there are columns, or a cell that is too long, has a `problem`.

    Raises:
        SourceError: these bytes do not hold exactly `shard.rows` rows: the stored source was changed.
    """
    size = shard.end - shard.start
    csv.field_size_limit(max(csv.field_size_limit(), size))
    records = Records(LineFeed(chunks, max_line=size, max_commas=size), first_line=shard.line)
    number = shard.first_row - 1
    for number, record in enumerate(records, shard.first_row):
        yield _row(record, columns, number, records.line)
    if number != shard.last_row:
        found = number - shard.first_row + 1
        raise SourceError(f"shard {shard.number} of the stored source has {found} rows, not {shard.rows}")


def _row(record: list[str], columns: Sequence[str], number: int, line: int) -> Row:
    cells = dict(zip(columns, record, strict=False))
    problem = ""
    if len(record) > len(columns):
        problem = f"{len(record)} columns, but there are names for {len(columns)} (line {line})"
        if any(cell.startswith("data:") for cell in record):
            problem += "; a data URI has a comma in it and has to be in quotes"
    row = Row(
        number=number,
        line=line,
        uri=cells["uri"].strip() if "uri" in cells else "",
        tag=cells.get("tag", ""),
        description=cells.get("description", ""),
        id=cells.get("id", "").strip(),
        problem=problem,
    )
    return row if problem or not (problem := _too_long(row)) else replace(row, problem=problem)


def _too_long(row: Row) -> str:
    """Which cell is too long to be kept by the face library, our own tables and people; empty if none is.

    A data URI holds the picture itself, which has a bound of its own.
    """
    bounds = [
        ("tag", row.tag, MAX_TAG_BYTES),
        ("description", row.description, MAX_DESCRIPTION_BYTES),
        ("id", row.id, MAX_ID_BYTES),
    ]
    if scheme_of(row.uri) != "data":
        bounds.append(("uri", row.uri, MAX_URI_BYTES))
    for name, cell, most in bounds:
        if len(cell) > most // 4 and (size := len(cell.encode(errors="surrogatepass"))) > most:
            return f"the {name} is {size} bytes long, more than {most} (line {row.line})"
    return ""
