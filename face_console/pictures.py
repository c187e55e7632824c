"""Thumbnails of handled rows: fetched by the safe fetcher within narrow bounds, and re-encoded."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from threading import BoundedSemaphore

from PIL import Image, ImageDraw
from PIL.ImageFile import ImageFile

from api_shim.app_context import AppContext
from face_console.faces import imported_face
from face_import.catalogue import LogEntry
from face_import.clients.fetcher import Fetcher
from face_import.clients.transfer import FetchError
from face_import.domain.bounds import ImageError
from face_import.domain.decoding import orientation_of, read
from face_import.domain.models import Shard
from face_import.domain.pixels import eight_bits, opaque, upright
from face_import.domain.uri import is_shortened, scheme_of
from face_import.settings import Settings

SIDE = 160
"""Pixels of a thumbnail's longer side: twice what is shown, for sharp screens."""
PORTRAIT_SIDE = 400
"""The same of an image with its face in a box."""
BOX, EDGE = "#5cc3bd", "#0b2524"
"""Colours of the box, and of the line around it that sets it off from bright and from dark images."""
MOST_BYTES = 8 * 2**20
TIMEOUT_S = 6.0
AT_ONCE = 4
WAIT_S = 10.0

_turns, _faces = BoundedSemaphore(AT_ONCE), BoundedSemaphore(AT_ONCE)


class NoPicture(Exception):
    """There is no image to show."""


def thumbnail(context: AppContext, task_id: str, entry: LogEntry) -> bytes:
    """The image of a row as a small JPEG, never its original bytes.

    Only a few are made at a time, so that slow hosts cannot block the API.

    Raises:
        NoPicture: it cannot be fetched or decoded within the bounds, or too many requests are waiting.
    """
    with _turn(_turns):
        data = _original(context, task_id, entry)
        return _jpeg(_small(data, context.settings.max_image_pixels, SIDE)[0])


def portrait(
    context: AppContext, task_id: str, entry: LogEntry, measured: Mapping[str, float | None]
) -> tuple[bytes, bool]:
    """The image of an imported row as a JPEG with a box around its face, and whether there is one.

    The info service has a turn of its own: when it is slow, images come without a box, and others are not kept waiting.

    Raises:
        NoPicture: as for a thumbnail.
    """
    with _turn(_turns):
        data = _original(context, task_id, entry)
        small, scale = _small(data, context.settings.max_image_pixels, PORTRAIT_SIDE)
    try:
        with _turn(_faces, wait_s=0):  # what waits would hold its image, and a thread of the API
            face = imported_face(context.settings, data, measured)
    except NoPicture:
        face = None
    if face:
        left, top, right, bottom = (edge * scale for edge in face.box)
        draw = ImageDraw.Draw(small)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=EDGE, width=5)
        draw.rectangle((left, top, right, bottom), outline=BOX, width=3)
    return _jpeg(small), face is not None


@contextmanager
def _turn(turns: BoundedSemaphore, wait_s: float = WAIT_S) -> Iterator[None]:
    if not turns.acquire(timeout=wait_s):
        raise NoPicture
    try:
        yield
    finally:
        turns.release()


def _original(context: AppContext, task_id: str, entry: LogEntry) -> bytes:
    uri = entry.uri
    if scheme_of(uri) == "data" or is_shortened(uri):  # the ledger shortens long ones
        uri = _source_uri(context, task_id, entry.row)
    return _fetched(uri, context.settings)


def _source_uri(context: AppContext, task_id: str, number: int) -> str:
    name = context.catalogue.tasks.get(task_id).source_name
    index = context.storage.index(task_id, name)
    blocks = index.blocks if index else ()
    block = next((block for block in reversed(blocks) if block.first_row <= number), None)
    if block is None:
        raise NoPicture
    shard = Shard(0, block.first_row, block.rows, block.start, block.end, block.line)
    rows = context.storage.open_shard(task_id, shard, name)
    return next((row.uri for row in rows if row.number == number), "")


def _fetched(uri: str, settings: Settings) -> bytes:
    most = min(MOST_BYTES, settings.max_image_bytes)
    bounds = {"max_image_bytes": most, "max_bytes_in_flight": most, "fetch_timeout_s": TIMEOUT_S}

    async def fetch() -> bytes:
        async with Fetcher(settings.model_copy(update=bounds)) as fetcher:
            return await fetcher.fetch(uri)

    try:
        return asyncio.run(fetch())
    except FetchError:
        raise NoPicture from None


def _small(data: bytes, max_pixels: int, side: int) -> tuple[Image.Image, float]:
    """The upright image, scaled down, on white where it is transparent; and by how much it is scaled."""
    try:
        return read(data, max_pixels, lambda _, image: _scaled_down(image, side))
    except ImageError:
        raise NoPicture from None


def _scaled_down(image: ImageFile, side: int) -> tuple[Image.Image, float]:
    longest = max(image.size)
    image.draft("RGB", (side, side))
    image.load()
    small = eight_bits(image)
    small.thumbnail((side, side))
    return upright(opaque(small), orientation_of(image)), max(small.size) / longest


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=80, comment=b"")  # Pillow would take over that of the file
    return out.getvalue()
