"""Bodies of requests: what is no upload is small, whoever sends it and however."""

from io import BytesIO, RawIOBase
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import api_shim
from api_shim.uploads import BODY_BYTES
from face_import.catalogue import Catalogue
from face_import.settings import Settings

KINDS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/csv")


@pytest.fixture
def client(settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of an application that takes sources of 64 GiB."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    return api_shim.create_app(settings).test_client()


class Endless(RawIOBase):
    """A body that never ends by itself, as a form the beginning of a file; knows how much of it was read."""

    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    taken = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As much as is asked for, and no more than the test has memory for."""
        assert self.taken < 50 * BODY_BYTES
        buffer[:] = self.head[self.taken :][: len(buffer)].ljust(len(buffer), b"[")
        self.taken += len(buffer)
        return len(buffer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/login", "/language", "/v1/tasks/list", "/v1/tasks/AAAAAAAAAAAA/config"])
@pytest.mark.parametrize("says_its_length", [True, False], ids=["length", "chunked"])
def test_a_large_body_is_not_read(client: FlaskClient, kind: str, path: str, says_its_length: bool) -> None:
    """Where no file is expected, neither memory nor disk takes in more than a form; a login form comes from anybody."""
    body = Endless()
    length = {"CONTENT_LENGTH": str(2**35)} if says_its_length else {}
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": kind, **length}
    answer = client.post(path, environ_overrides=environ)
    assert answer.status_code in {400, 403, 404, 413, 415}
    assert body.taken <= BODY_BYTES + 2**17


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "multipart" not in kind])
def test_a_create_is_a_form_with_a_file(client: FlaskClient, kind: str) -> None:
    """Only as a multipart form a create may be large: its file goes to the disk, all else would be held in memory."""
    body = Endless()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": kind}
    assert client.post("/v1/tasks/create", environ_overrides=environ).status_code in {400, 413}
    assert body.taken <= BODY_BYTES + 2**17


@pytest.mark.parametrize(
    "fields",
    [{f"field{n}": "x" for n in range(2000)}, {"group_name": "x" * BODY_BYTES}],
    ids=["many", "large"],
)
def test_the_fields_beside_a_file_are_bounded(client: FlaskClient, settings: Settings, fields: dict[str, str]) -> None:
    """In number and in size, however large a file may be; nothing is stored."""
    form = {**fields, "file": (BytesIO(b"http://x/1.jpg\n"), "faces.csv")}
    assert client.post("/v1/tasks/create", data=form).status_code == 413
    assert [path for path in Path(settings.home).rglob("*") if "storage" in str(path) and path.is_file()] == []
