"""Files made to fill the memory: each through the served API, whose memory is watched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pytest
import requests

from tests.shim import Shim

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
MB = 10**6
Pieces = Callable[[], Iterator[bytes]]
MOST_MEMORY = 900 * MB
"""A cell of the largest size (32 MiB) is held in about a dozen forms at once, four bytes a character in some."""


@dataclass(frozen=True, slots=True)
class Huge:
    """A file in pieces: rows it has, or words of its refusal and the line that is named."""

    name: str
    pieces: Pieces
    rows: int = 0
    refusal: str = ""


def times(piece: bytes, count: int, before: bytes = b"", after: bytes = b"") -> Pieces:
    """A file of many equal pieces."""

    def pieces() -> Iterator[bytes]:
        yield before
        yield from repeat(piece * 100, count // 100)
        yield after

    return pieces


ANCHOR = b"http://a\n"
FILES = [
    Huge("line of 100 MB", times(b"x" * 1000, 100_000, ANCHOR), refusal="line 2: longer than"),
    Huge("quoted line of 100 MB", times(b"x" * 1000, 100_000, ANCHOR + b'"'), refusal="line 2: longer than"),
    Huge("quote over 100 MB of lines", times(b"x,y\n", 25_000_000, ANCHOR + b'"'), refusal="line 2: "),
    Huge(
        "record without an end, of short lines and cells",
        times(b'",b,c,"\n', 12_500_000, ANCHOR + b'a,"\n'),
        refusal="line 2: ",
    ),
    Huge("record without an end, of commas", times(b'",,,,,,,"\n', 10_000_000, ANCHOR + b'a,"\n'), refusal="line 2: "),
    Huge("100 MB of commas", times(b"," * 1000, 100_000, ANCHOR), refusal="line 2: "),
    Huge("32 MB of short cells in a line", times(b"ab," * 100, 106_600, ANCHOR, b"\n"), refusal="line 2: "),
    Huge(
        "millions of commas in a line, and rows after it",
        times(b"b\n", 1000, ANCHOR + b"," * 2 * MB + b"x\n"),
        refusal="line 2: ",
    ),
    Huge("million columns", times(b"b\n", 100, ANCHOR + b"a" + b",x" * (MB - 1) + b"\n"), rows=102),
    Huge(
        "data URI of 10 MB", times(b"b\n", 100, b'"data:image/png;base64,' + b"QUJD" * 2_500_000 + b'",t\n'), rows=101
    ),
    Huge("cell of the largest size", times(b"b\n", 100, ANCHOR + b"a," + b"x" * (2**25) + b"\n"), rows=102),
    Huge(
        "cell above the largest size",
        times(b"b\n", 100, ANCHOR + b"b," + b"x" * (2**25 + 1) + b"\n"),
        refusal="line 2: ",
    ),
    Huge("line ends only", times(b"\n", 100 * MB), refusal="no rows"),
    Huge("line ends only, then a row", times(b"\r", 50 * MB, after=ANCHOR), rows=1),
    Huge("a million blank records", times(b",\n", MB, after=ANCHOR), rows=1),
    Huge(
        "maybe UTF-8, maybe not, for 50 MB",
        times("a,女\n".encode("gb18030"), 10 * MB, ANCHOR, b"\xc4\xd0"),
        rows=10 * MB + 2,
    ),
    Huge(
        "UTF-16, a line of 100 MB",
        times(b"x\0" * 500, 100_000, b"\xff\xfe" + ANCHOR.decode().encode("utf-16-le")),
        refusal="line 2: longer than",
    ),
]


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Shim]:
    """A served API of its own for each file, so that its peak is that file's."""
    with Shim(tmp_path / "home") as shim:
        yield shim


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_memory_is_bounded_and_rows_are_accounted_for(file: Huge, shim: Shim, tmp_path: Path) -> None:
    """The answer is a row count or a 400 that names the line, and the process stays small."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as out:
        out.writelines(file.pieces())
    with path.open("rb") as upload:
        answer = requests.post(
            f"{shim.url}/v1/tasks/create", data=multipart(upload.read()), headers=CONTENT_TYPE, timeout=200
        )
    peak = shim.peak_bytes()
    assert peak < MOST_MEMORY, f"{peak / MB:.0f} MB"
    if file.refusal:
        assert answer.status_code == 400, answer.text
        assert file.refusal in answer.json()["error"]
        return
    assert answer.status_code == 200, answer.text
    detail = requests.get(f"{shim.url}/v1/tasks/{answer.json()['id']}/detail", timeout=60).json()
    assert detail["total_num"] == file.rows


CONTENT_TYPE = {"Content-Type": "multipart/form-data; boundary=huge"}


def multipart(file: bytes) -> bytes:
    """The form; by hand, because requests would copy the file twice."""
    field = b'--huge\r\nContent-Disposition: form-data; name="group_name"\r\n\r\ncorpus\r\n'
    start = b'--huge\r\nContent-Disposition: form-data; name="file"; filename="huge.csv"\r\n\r\n'
    return b"".join((field, start, file, b"\r\n--huge--\r\n"))
