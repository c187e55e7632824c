"""Reading shards back: together they are the file."""

import csv
import io
from collections.abc import Iterator
from string import whitespace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_import.domain.models import Row, Shard
from face_import.domain.planning import plan_shards, sample_ranges
from face_import.errors import SourceError
from face_import.sources import read_rows
from face_import.sources import records as module
from face_import.sources.reading import PLAIN, SAMPLE_ROWS
from face_import.sources.stored import StoredSource
from tests.unit.sources.helpers import all_rows, shard_rows, taken_in

CELL = st.text(st.sampled_from('ab,"\n\r €女𠮷\u2028\x0b'), max_size=6)
RECORD = st.lists(CELL, min_size=0, max_size=4)
LONG_LINE = st.sampled_from([0, 7, 2**20])
"""What counts as a line to be handed on by itself; the last one is the product's own, which no test text reaches."""
STEP = st.integers(1, 40)


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(RECORD, min_size=1, max_size=12),
    repeat=st.integers(1, 90),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    step=STEP,
    long_line=LONG_LINE,
)
def test_shards_are_what_a_plain_reader_reads(
    records: list[list[str]], repeat: int, end: str, step: int, long_line: int
) -> None:
    """Blocks read one by one, in pieces cut anywhere, are the rows of `csv.reader` over the whole file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([["http://u", "first"]] * SAMPLE_ROWS + records * repeat)
    with patch.object(module, "_LONG_LINE", long_line):
        index, stored = taken_in(text.getvalue().encode())
        shards = [
            Shard(n, block.first_row, block.rows, block.start, block.end, block.line)
            for n, block in enumerate(index.blocks)
        ]
        rows = [row for shard in shards for row in shard_rows(stored, index, shard, step)]
    assert rows == list(expected_rows(text.getvalue()))


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(RECORD, min_size=1, max_size=12),
    repeat=st.integers(1, 90),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    sample=st.integers(1, 30),
    long_line=LONG_LINE,
)
def test_shards_of_a_sample_are_what_a_plain_reader_reads(
    records: list[list[str]], repeat: int, end: str, sample: int, long_line: int
) -> None:
    """They begin and end within blocks; each row is that of its number, and nothing follows it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([["http://u", "first"]] * SAMPLE_ROWS + records * repeat)
    with patch.object(module, "_LONG_LINE", long_line):
        index, stored = taken_in(text.getvalue().encode())
        shards = list(StoredSource(index, io.BytesIO(stored)).shards(sample_ranges(index.rows, sample, 1)))
        rows = [row for shard in shards for row in shard_rows(stored, index, shard)]
    assert len(rows) == sample
    expected = {row.number: row for row in expected_rows(text.getvalue())}
    assert rows == [expected[row.number] for row in rows]


def test_a_sample_of_a_file_that_was_cut_is_refused() -> None:
    """Not fewer rows, without a word."""
    index, stored = taken_in(b"http://u\n" * 200)
    with pytest.raises(SourceError, match="lacks 1 rows"):
        list(StoredSource(index, io.BytesIO(stored[:-9])).shards([(191, 10)]))


def expected_rows(text: str) -> list[Row]:
    """What `csv.reader` says, blank records left out."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[Row] = []
    line = 1
    for record in reader:
        if "".join(record).strip(whitespace):
            uri, tag, description = (*record, "", "", "")[:3]
            problem = f"{len(record)} cells for 3 columns (line {line})" if "".join(record[3:]).strip() else ""
            rows.append(Row(len(rows) + 1, line, uri.strip(), tag, description, problem=problem))
        line = reader.line_num + 1
    return rows


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from('a,"\n\r '), max_size=60), long_line=LONG_LINE)
def test_any_text_is_read_as_a_plain_reader_does_or_refused(text: str, long_line: int) -> None:
    """However badly it is quoted, what is accepted has the rows `csv.reader` sees by default."""
    try:
        with patch.object(module, "_LONG_LINE", long_line):
            rows = all_rows(f"http://u\n{text}".encode())
    except SourceError:
        return
    assert rows == expected_rows(f"http://u\n{text}")


def test_rows_carry_number_line_and_cells() -> None:
    """Numbers count records, lines count lines, cells go by name."""
    data = b'\n description , id, uri\r\n\r\n"two\r\nlines", 7 , http://a \r\n \r\n,,b\r\nx\r\n'
    assert all_rows(data) == [
        Row(number=1, line=4, uri="http://a", description="two\r\nlines", id="7"),
        Row(number=2, line=7, uri="b"),
        Row(number=3, line=8, uri="", description="x"),
    ]


def test_a_row_with_too_many_cells_has_a_problem() -> None:
    """The row is known by its uri, and its problem says how many cells there are and where."""
    _, row = all_rows(b"http://a\n\n\nb,t,d,e,f")
    assert (row.uri, row.problem) == ("b", "5 cells for 3 columns (line 4)")


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        ("id", "i" * 256, ""),
        ("id", "i" * 257, "the id is 257 bytes long, more than 256 (line 2)"),
        ("id", "\u4eba" * 86, "the id is 258 bytes long, more than 256 (line 2)"),
        ("tag", "t" * 4097, "the tag is 4097 bytes long, more than 4096 (line 2)"),
        ("description", "d" * 65_537, "the description is 65537 bytes long, more than 65536 (line 2)"),
        ("uri", "http://x/" + "u" * 8192, "the uri is 8201 bytes long, more than 8192 (line 2)"),
        ("uri", "/9j/" + "u" * 100_000, ""),
        ("uri", '"data:,' + "u" * 100_000 + '"', ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_cell_that_is_too_long_is_its_rows_problem(column: str, cell: str, problem: str) -> None:
    """Neither the library nor an index of the database has room for everything."""
    uri = "http://host"
    text = f"uri,tag\n{cell},t\n{uri},t" if column == "uri" else f"{column},uri\n{cell},{uri}\nx,{uri}"
    row, _ = all_rows(text.encode())
    assert row.problem == problem


def test_rows_come_as_they_are_asked_for() -> None:
    """A shard is not read ahead of its reader."""
    asked = []

    def chunks() -> Iterator[bytes]:
        for n in range(10):
            asked.append(n)
            yield b"a\n" * 10

    rows = read_rows(chunks(), PLAIN, Shard(0, 1, 100, 0, 200, 1))
    next(rows)
    assert asked == [0]


@pytest.mark.parametrize("count", [9, 11], ids=["fewer", "more"])
def test_a_changed_source_is_noticed(count: int) -> None:
    """A range that does not hold the rows it is said to hold is an error."""
    with pytest.raises(SourceError, match=f"shard 3 of the stored source has {count} rows, not 10"):
        list(read_rows([b"a\n" * count], PLAIN, Shard(3, 41, 10, 0, 20, 41)))


def test_shards_of_a_planned_source_are_read() -> None:
    """What planning makes of an index is readable: sizes, numbers and lines agree."""
    index, stored = taken_in(b"uri\n" + b"http://a\n" * 2345)
    shards = plan_shards(index, 1)
    assert [row.number for shard in shards for row in shard_rows(stored, index, shard)] == list(range(1, 2346))
