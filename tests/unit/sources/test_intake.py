"""Taking sources in: what is accepted, what is refused, and what the index says."""

import gzip
import io
from itertools import pairwise

import pytest

from face_import.errors import SourceError, SourceTooLarge
from face_import.sources import Bounds, ingest
from face_import.sources.intake import BLOCK_BYTES, MAX_BLOCKS, BlockTable
from tests.unit.sources.helpers import BOUNDS, Dribble, all_rows, taken_in

ASCII_ROWS = b"".join(b"http://host/%06d.jpg,tag,description\n" % n for n in range(60_000))


@pytest.mark.parametrize(
    ("data", "uris"),
    [
        pytest.param(b"x:/a\nx:/b\nx:/c", ["x:/a", "x:/b", "x:/c"], id="lf, no end at the end"),
        pytest.param(b"x:/a,t\r\nx:/b,t\r\n", ["x:/a", "x:/b"], id="crlf"),
        pytest.param(b"x:/a,t\rx:/b,t\r", ["x:/a", "x:/b"], id="cr only"),
        pytest.param(b"x:/a,t\rx:/b,t\nx:/c,t\r\nx:/d", ["x:/a", "x:/b", "x:/c", "x:/d"], id="mixed line ends"),
        pytest.param(b'x:/a,"two\nlines"\nx:/b', ["x:/a", "x:/b"], id="line end in a cell"),
        pytest.param(b'x:/a,"two\r\n\r\nlines"\r\nx:/b', ["x:/a", "x:/b"], id="blank line in a cell"),
        pytest.param(b"\n\nx:/a\n  \n\t\nx:/b\n\n", ["x:/a", "x:/b"], id="blank lines"),
        pytest.param(b'x:/a\n""\n"" \nx:/b', ["x:/a", "x:/b"], id="a quoted nothing is blank"),
        pytest.param(b'x:/a,t\n,,\n , ,"",,,,,\n \t, \nx:/b', ["x:/a", "x:/b"], id="empty cells are blank"),
        pytest.param(b",Bob\nx:/a", ["", "x:/a"], id="row without uri"),
        pytest.param(b" x:/a ,t\n", ["x:/a"], id="spaces around a uri"),
        pytest.param(b'"x:/a"b,"t"\nx:/c', ["x:/ab", "x:/c"], id="stray quote in a line"),
        pytest.param(b'"x:/a" ,t\nx:/b', ["x:/a", "x:/b"], id="space behind a quote"),
        pytest.param(b'"x:/a"b', ["x:/ab"], id="stray quote in the last line"),
        pytest.param(b'x:/a"b,t', ['x:/a"b'], id="quote inside a bare cell"),
        pytest.param(b"x:/a\x0bb\x0c\x1c\n\xe2\x80\xa8x:/c", ["x:/a\x0bb", "x:/c"], id="no line ends"),
        pytest.param(b"uri\nx:/a", ["x:/a"], id="header of one"),
        pytest.param(b" URI , Tag,Desc\nx:/a,t,d", ["x:/a"], id="header in any case"),
        pytest.param(b"\n\nid,uri\n\n7,x:/a", ["x:/a"], id="header in any order, after blank lines"),
        pytest.param(b"id,uri,tag,desc\n7,x:/a,t,d", ["x:/a"], id="the later order of the same system's files"),
        pytest.param(b"n/a,Bob\nx:/a", ["n/a", "x:/a"], id="a broken address is no title"),
        pytest.param(b"x:/a,name\nx:/b", ["x:/a", "x:/b"], id="a row with an address is no header"),
    ],
)
def test_rows_are_read(data: bytes, uris: list[str]) -> None:
    """Every way to write a CSV file gives the rows its author meant."""
    data, uris = data.replace(b"x:/", b"http://"), [uri.replace("x:/", "http://") for uri in uris]
    assert [row.uri for row in all_rows(data)] == uris


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        pytest.param(b"", "no rows", None, id="empty"),
        pytest.param(b"\xef\xbb\xbf", "no rows", None, id="only a mark"),
        pytest.param(b"\n \n\r\n", "no rows", None, id="only blank lines"),
        pytest.param(b"uri,tag\n", "no rows", None, id="only a header"),
        pytest.param(b"uri,tag\n,,,\n", "no rows", None, id="a header and blank records"),
        pytest.param(b'x:/a\nx:/b,"open', "never closed", 2, id="quote open at the end"),
        pytest.param(b'x:/a\nx:/b,"open\n', "never closed", 2, id="quote open at the end of a line"),
        pytest.param(b'x:/a\n\nx:/b,"open\nc\nd\n', "not closed properly by line 5", 3, id="quote open over lines"),
        pytest.param(b'x:/a,"open\nb,"t"\nc', "not closed properly by line 2", 1, id="quote that swallows a row"),
        pytest.param(b'x:/a\n"b"c,"open\nd', "never closed", 2, id="stray quote, then an open one"),
        pytest.param(b"x:/a\nb\nc\0d\n", "zero byte", 3, id="zero byte"),
        pytest.param(b"x:/a\r\nb\xff\xff\r\n", "no encoding .* makes sense", 2, id="bad bytes"),
        pytest.param(b"\xef\xbb\xbfx:/a\nb\xc4\xd0\n", "not valid UTF-8", 2, id="bad bytes after a UTF-8 mark"),
        pytest.param(b"\xff\xfea\0\n\0b\0\n\0\0\xd8x\0", "not valid UTF-16-LE", 3, id="lone surrogate"),
        pytest.param(b"\xff\xfea\0\n\0b", "not valid UTF-16-LE", 2, id="half a character"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "a PNG image", None, id="png"),
        pytest.param(gzip.compress(b"a,b"), "gzip", None, id="gzip"),
        pytest.param(b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a web page", None, id="html"),
        pytest.param("a,b".encode("utf-32"), "UTF-32", None, id="utf-32"),
    ],
)
@pytest.mark.parametrize("step", [1, 2**20], ids=["dribbling", "at once"])
def test_refusals_name_reason_and_line(data: bytes, message: str, line: int | None, step: int) -> None:
    """What cannot be read as a whole is refused with its reason and the line of the file."""
    with pytest.raises(SourceError, match=message) as caught:
        ingest(Dribble(data.replace(b"x:/", b"http://"), step), io.BytesIO(), BOUNDS)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("encoding", "mark", "name"),
    [
        pytest.param("utf-8", b"", "utf-8", id="utf-8"),
        pytest.param("utf-8", b"\xef\xbb\xbf", "utf-8-sig", id="utf-8 with a mark"),
        pytest.param("utf-16-le", b"\xff\xfe", "utf-16-le", id="utf-16 le"),
        pytest.param("utf-16-be", b"\xfe\xff", "utf-16-be", id="utf-16 be"),
        pytest.param("utf-16-le", b"", "utf-16-le", id="utf-16 le without a mark"),
        pytest.param("utf-16-be", b"", "utf-16-be", id="utf-16 be without a mark"),
        pytest.param("gb18030", b"", "gb18030", id="gb18030"),
        pytest.param("gb18030", b"\x84\x31\x95\x33", "gb18030", id="gb18030 with a mark"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 2**20])
def test_encodings_are_recognised(encoding: str, mark: bytes, name: str, step: int) -> None:
    """Whatever the encoding, UTF-8 is stored, without a mark."""
    text = "uri,tag\r\nhttp://host/1.jpg,男\r\nhttp://host/女𠮷.jpg,é€\r\n"
    sink = io.BytesIO()
    index = ingest(Dribble(mark + text.encode(encoding), step), sink, BOUNDS)
    assert (sink.getvalue().decode(), index.reading.encoding, index.rows) == (text, name, 2)


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param("男", id="invalid as UTF-8"),
        pytest.param("女" * 9 + "男", id="valid as UTF-8 at first"),
    ],
)
def test_a_late_gb18030_character_decides_for_the_whole_file(tags: str) -> None:
    """Megabytes of ASCII, and characters that might be UTF-8, do not settle the encoding."""
    text = ASCII_ROWS.decode() + "".join(f"http://host/a.jpg,{tag}\n{ASCII_ROWS[:200_000].decode()}\n" for tag in tags)
    index, stored = taken_in(text.encode("gb18030"))
    assert index.reading.encoding == "gb18030"
    assert stored.decode() == text


def test_a_broken_utf8_file_is_not_taken_for_gb18030() -> None:
    """Once the text is certainly UTF-8, bytes that are not are an error and not other characters."""
    text = "".join(f"http://a,{chr(0x4E00 + n)}\n" for n in range(50)).encode()
    with pytest.raises(SourceError, match="line 60051: not valid UTF-8"):
        taken_in(text + ASCII_ROWS + b"a,\xc4\xd0\n")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_blocks_join_without_a_gap(end: bytes) -> None:
    """Blocks follow each other in rows, bytes and lines, blank lines and long cells included."""
    cells = (b"x", b"", b"", b'"q\n\nq"', "é女".encode(), b"u" * 3000)
    data = end.join(b"http://u,%s" % cells[n * n % 7 % 6] if n % 11 else b"" for n in range(5000))
    index, stored = taken_in(b"uri,tag" + end + data)
    blocks = index.blocks
    assert blocks[0].first_row == 1
    assert blocks[-1].end == index.size == len(stored)
    for left, right in pairwise(blocks):
        assert (left.first_row + left.rows, left.end) == (right.first_row, right.start)
        assert len(stored[: right.start].splitlines()) + 1 == right.line
    assert {block.rows for block in blocks[:-1]} == {100}


def test_blocks_of_large_rows_are_short() -> None:
    """A block ends at about a mebibyte, however few rows that is."""
    index, _ = taken_in(b"http://u,%s\n" % (b"x" * 300_000) * 20)
    assert all(block.end - block.start < BLOCK_BYTES + 400_000 for block in index.blocks)
    assert len(index.blocks) > 4


def test_the_number_of_blocks_is_bounded() -> None:
    """Beyond the bound, blocks are joined in pairs, and rows and order stay."""
    table = BlockTable()
    rows = 0
    while rows < 10_000_000:
        full = table.max_rows
        table.add(full, rows * 10, rows + 1)
        rows += full
    blocks = table.blocks(rows * 10)
    assert MAX_BLOCKS // 2 <= len(blocks) < MAX_BLOCKS
    assert sum(block.rows for block in blocks) == rows
    assert all(block.start == (block.first_row - 1) * 10 == (block.line - 1) * 10 for block in blocks)


def test_a_ten_megabyte_cell_is_fine() -> None:
    """A picture may be in the cell itself."""
    uri = "data:image/jpeg;base64," + "QUJD" * 2_500_000
    assert [row.uri for row in all_rows(f'"{uri}",t\nb\n'.encode())] == [uri, "b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"http://a\nb," + b"x" * 3000 + b"\nc", "line 2: a cell of more than 2048", id="cell"),
        pytest.param(b"http://a\n" + b"x" * 200_000, "line 2: longer than 67584 bytes", id="endless line"),
        pytest.param(b'http://a\nb,"' + b"x\n" * 3000, "line 2: .*not closed properly", id="endless quote"),
        pytest.param(b'http://a\nb,"\n' + b'",b,"\n' * 40_000, "line 2: .*longer than 67584", id="endless record"),
    ],
)
def test_cells_and_lines_are_bounded(data: bytes, message: str) -> None:
    """A cell or line above the bound is refused when the bound is reached, and its line named."""
    with pytest.raises(SourceError, match=message):
        taken_in(data, Bounds(source_bytes=2**30, cell_bytes=2048))


def test_long_records_in_a_row_are_not_taken_for_one() -> None:
    """The bound on a record counts from the end of the one before it, also where intake makes a block."""
    record = b'http://a,"' + b"x\n" * 1000 + b'"\n'
    index, _ = taken_in((b"http://b\n" + record) * 2000, Bounds(source_bytes=2**30, cell_bytes=2048))
    assert index.rows == 4000


def test_the_rows_are_bounded() -> None:
    """One more than is allowed is refused, and the line where its block begins is named."""
    bounds = Bounds(source_bytes=2**30, cell_bytes=2048, rows=250)
    assert taken_in(b"uri\n" + b"http://a\n" * 250, bounds)[0].rows == 250
    with pytest.raises(SourceError, match="line 202: more than 250 rows"):
        taken_in(b"uri\n" + b"http://a\n" * 251, bounds)


def test_the_source_is_bounded() -> None:
    """Reading stops at the bound, whatever comes after."""
    stream = io.BytesIO(ASCII_ROWS)
    with pytest.raises(SourceTooLarge):
        ingest(stream, io.BytesIO(), Bounds(source_bytes=100_000, cell_bytes=2048))
    assert stream.tell() < 200_000
