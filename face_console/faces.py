"""Where an imported face is in its image: the ledger has only its size, so the info service is asked again."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from face_import.clients.services import InfoService
from face_import.domain.bounds import ImageError
from face_import.domain.image import check_image
from face_import.domain.limits import largest
from face_import.domain.models import Face
from face_import.domain.uri import to_data_uri
from face_import.errors import ServiceError
from face_import.settings import Settings

TIMEOUT_S = 3.0
NEARLY = 1
"""Pixels by which the face may differ in size from the one that was imported."""


def imported_face(settings: Settings, data: bytes, measured: Mapping[str, float | None]) -> Face | None:
    """The face that a row's import has chosen, in pixels of the upright image.

    None if the service finds none of the size that the ledger has: the image has changed since, the face is in a later
    frame of an animation, the row was never measured, or the service does not answer.

    Args:
        settings: where the service is.
        data: the row's image.
        measured: what the ledger has of the row.
    """
    size = measured["width"], measured["height"]
    if None in size:
        return None
    with suppress(ImageError, ServiceError):
        still = check_image(data, settings.max_image_pixels).still
        faces = asyncio.run(_detected(settings.model_copy(update={"service_timeout_s": TIMEOUT_S}), still))
        face = largest(faces) if faces else None
        if face and all(abs(a - (b or 0)) <= NEARLY for a, b in zip((face.width, face.height), size, strict=True)):
            return face
    return None


async def _detected(settings: Settings, still: bytes) -> tuple[Face, ...]:
    async with InfoService(settings) as info:
        return await info.detect(to_data_uri(still))
