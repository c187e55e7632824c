"""The demo: its input and its judgement."""

import csv
import dataclasses
import io

import pytest
import requests

from examples.demo.album import HEADER, AlbumRow, album, csv_file, hosted
from examples.demo.checks import Evidence, checks, outcomes, surprises
from examples.demo.client import Failure, Hit
from examples.demo.host import picture_host
from examples.demo.pictures import COLLINS, HOPPER, PHOTOGRAPHER
from face_import.contract import Code
from face_import.domain.bounds import ImageError
from face_import.domain.image import check_image

REQUIRED = {Code.URI_UNREACHABLE, Code.IMAGE_UNREADABLE, Code.NO_FACE, Code.PITCH, Code.YAW, Code.ROLL}
REQUIRED |= {Code.WIDTH, Code.HEIGHT}
HOST = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def entries() -> list[AlbumRow]:
    """The demo's rows."""
    return album()


def test_every_code_of_a_row_occurs(entries: list[AlbumRow]) -> None:
    """The rows are few enough to read, and come out in every way a row can while the services are up."""
    assert 40 <= len(entries) <= 60
    assert {entry.code for entry in entries} >= REQUIRED | {Code.OK, Code.BLUR, Code.SYSTEM}


def test_the_input_is_the_same_every_time(entries: list[AlbumRow]) -> None:
    """Two albums are equal to the byte."""
    assert album() == entries


def test_names_and_ids_are_unique(entries: list[AlbumRow]) -> None:
    """No picture hides another one, and no row's id is a duplicate."""
    served = [entry.name for entry in entries if entry.data is not None and not entry.inline]
    assert len(hosted(entries)) == len(served)
    ids = [entry.id for entry in entries if entry.id]
    assert ids
    assert len(set(ids)) == len(ids)


def test_pictures_open_unless_they_must_not(entries: list[AlbumRow]) -> None:
    """Exactly the rows of code 102 have a file that is no whole picture."""
    for entry in entries:
        if entry.data is None:
            continue
        try:
            check_image(entry.data, 10**7)
        except ImageError:
            assert entry.code is Code.IMAGE_UNREADABLE, entry.name
        else:
            assert entry.code is not Code.IMAGE_UNREADABLE, entry.name


def test_the_csv_file_has_every_row(entries: list[AlbumRow]) -> None:
    """What a spreadsheet program would write: a mark, a header, a cell over two lines, data URIs."""
    text = csv_file(entries, HOST).decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == HEADER
    assert [row[0] for row in rows] == [entry.uri(HOST) for entry in entries]
    assert any("\n" in row[2] for row in rows)
    assert any("," in row[2] for row in rows)
    assert sum(row[0].startswith("data:image/jpeg;base64,") and len(row[0]) > 1024 for row in rows) == 3


def test_the_host_serves_what_it_has_and_nothing_else() -> None:
    """A file by its name; 404 for anything else, paths outside included."""
    with picture_host({"a.jpg": b"bytes"}) as host:
        assert requests.get(f"{host}/a.jpg", timeout=5).content == b"bytes"
        for path in ("b.jpg", "", "../Makefile", "%2e%2e/Makefile"):
            assert requests.get(f"{host}/{path}", timeout=5).status_code == 404


def faultless(entries: list[AlbumRow]) -> Evidence:
    """Evidence of an import in which everything came out as it must."""
    log = [Failure(n, entry.uri(HOST), int(entry.code), "why") for n, entry in enumerate(entries, 1) if entry.code]
    imported = len(entries) - len(log)
    errors = {str(int(code)): sum(f.code == code for f in log) for code in {entry.code for entry in entries} - {0}}
    detail = {"total_num": len(entries), "handled_num": len(entries), "success_num": imported, "errors": errors}
    download = [(f.uri, f.code, f.message) for f in log]
    found = {person: [Hit(person, "", 0.9)] for person in (COLLINS, HOPPER)} | {PHOTOGRAPHER: []}
    return Evidence(detail, log, download, imported, found)


def test_a_faultless_import_passes(entries: list[AlbumRow]) -> None:
    """Every claim holds, and no row surprises."""
    evidence = faultless(entries)
    assert all(check.holds for check in checks(entries, evidence))
    assert surprises(entries, evidence.log) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda e: {"log": e.log[1:]},
        lambda e: {"log": [*e.log, e.log[-1]]},
        lambda e: {"log": [dataclasses.replace(e.log[0], code=303), *e.log[1:]]},
        lambda e: {"download": e.download[1:]},
        lambda e: {"detail": {**e.detail, "handled_num": 59}},
        lambda e: {"detail": {**e.detail, "errors": {}}},
        lambda e: {"group_size": e.group_size + 1},
        lambda e: {"found": {**e.found, COLLINS: []}},
        lambda e: {"found": {**e.found, COLLINS: [*e.found[COLLINS], *e.found[HOPPER]]}},
        lambda e: {"found": {**e.found, PHOTOGRAPHER: e.found[COLLINS]}},
    ],
    ids=[
        "failure-lost",
        "failure-twice",
        "other-code",
        "download-differs",
        "row-missing",
        "no-counts",
        "face-too-many",
        "person-not-found",
        "somebody-else-too",
        "stranger-known",
    ],
)
def test_any_fault_is_noticed(entries: list[AlbumRow], change) -> None:  # type: ignore[no-untyped-def]
    """One wrong thing anywhere fails at least one claim."""
    evidence = faultless(entries)
    spoilt = dataclasses.replace(evidence, **change(evidence))
    assert not all(check.holds for check in checks(entries, spoilt))


def test_a_surprise_names_its_row(entries: list[AlbumRow]) -> None:
    """A row that came out otherwise is named with what was expected, what came out and why."""
    log = [*faultless(entries).log, Failure(1, "", 201, "no face found")]
    assert outcomes(log, len(entries))[1] == 201
    assert surprises(entries, log) == [f"row 1, {entries[0].name}: expected 0, got 201 (no face found)"]
