"""What the face services' answers mean, down to the socket."""

import asyncio
from collections.abc import Callable

import pytest

from face_import.clients.http import classify
from face_import.clients.services import InfoService
from face_import.domain.uri import to_data_uri
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.settings import Settings
from tests.doubles.images import make_image
from tests.doubles.process import FaceServices

PICTURE = to_data_uri(make_image())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("face id already exists in group", RefusalKind.ID_EXISTS),
        ("group g1 is already exist", RefusalKind.GROUP_EXISTS),
        ("group id already exists", RefusalKind.GROUP_EXISTS),
        ("Group not found", RefusalKind.GROUP_MISSING),
        ("group doesn't exist", RefusalKind.GROUP_MISSING),
        ("no faces were detected", RefusalKind.NO_FACE),
        ("face not detected", RefusalKind.NO_FACE),
        ("face is covered", RefusalKind.COVERED),
        ("bad face: pose", RefusalKind.POSE),
        ("bad face: small", RefusalKind.SIZE),
        ("face is too blurred", RefusalKind.BLUR),
        ("face pose model is not loaded", None),
        ("face size estimator: connection refused", None),
        ("blur detector is overloaded", None),
        ("cannot compose the answer", None),
        ("pose model is not loaded", None),
        ("upstream timed out", None),
        ("no face", RefusalKind.NO_FACE),
        ("there is no face detection license", None),
        ("no face detection worker available", None),
        ("multiple face engines failed", None),
        ("feature store: node already exists, restart", None),
        ("image recognition license expired", None),
        ("", None),
    ],
)
def test_texts_are_classified(text: str, kind: RefusalKind | None) -> None:
    """Wording and case may differ; a word of a known text inside another does not count."""
    assert classify(text) is kind


async def test_an_answer_that_is_not_json_is_an_outage(configured: Callable[..., Settings]) -> None:
    """A proxy's page under HTTP 200 is not the service's word."""

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
        writer.close()

    server = await asyncio.start_server(page, "127.0.0.1", 0)
    async with server, InfoService(configured(info_url=f"http://127.0.0.1:{_port(server)}")) as info:
        with pytest.raises(ServiceUnavailable, match="answer is not JSON: <html>"):
            await info.detect(PICTURE)


async def test_a_redirect_is_not_followed(configured: Callable[..., Settings], services: FaceServices) -> None:
    """A picture goes to the configured service and nowhere else."""

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        target = f"{services.url}/v1/eval/facex-detect".encode()
        writer.write(b"HTTP/1.1 307 T\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    async with server, InfoService(configured(info_url=f"http://127.0.0.1:{_port(server)}")) as info:
        with pytest.raises(ServiceRefusal, match="307"):
            await info.detect(PICTURE)
    assert services.record()["calls"] == 0


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
