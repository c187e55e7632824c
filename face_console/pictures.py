"""Thumbnails of handled rows: fetched by the safe fetcher within narrow bounds, and re-encoded."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import BoundedSemaphore

from PIL import Image
from PIL.ImageFile import ImageFile

from api_shim.app_context import AppContext
from face_import.catalogue import LogEntry
from face_import.clients.fetcher import Fetcher
from face_import.clients.transfer import FetchError
from face_import.contract import Code
from face_import.domain.bounds import ImageError
from face_import.domain.decoding import orientation_of, read
from face_import.domain.models import Shard
from face_import.domain.pixels import eight_bits, opaque, upright
from face_import.domain.uri import is_shortened, scheme_of
from face_import.settings import Settings

SIDE = 160
"""Pixels of a thumbnail's longer side: twice what is shown, for sharp screens."""
MOST_BYTES = 8 * 2**20
TIMEOUT_S = 6.0
AT_ONCE = 4
WAIT_S = 10.0
NOT_TRIED = frozenset({Code.URI_UNREACHABLE, Code.SYSTEM})
"""Codes of rows without an image to show: it could not be downloaded, or the row names none."""

_turns = BoundedSemaphore(AT_ONCE)


class NoPicture(Exception):
    """There is no image to show."""


def thumbnail(context: AppContext, task_id: str, entry: LogEntry) -> bytes:
    """The image of a row as a small JPEG, never its original bytes.

    Only a few are made at a time, so that slow hosts cannot block the API.

    Raises:
        NoPicture: it cannot be fetched or decoded within the bounds, or too many requests are waiting.
    """
    with _turn():
        uri = entry.uri
        if scheme_of(uri) == "data" or is_shortened(uri):  # the ledger shortens long ones
            uri = _source_uri(context, task_id, entry.row)
        return _shrunk(_fetched(uri, context.settings), context.settings.max_image_pixels)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_S):
        raise NoPicture
    try:
        yield
    finally:
        _turns.release()


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


def _shrunk(data: bytes, max_pixels: int) -> bytes:
    try:
        small = read(data, max_pixels, lambda _, image: _small(image))
    except ImageError:
        raise NoPicture from None
    out = BytesIO()
    small.save(out, "JPEG", quality=80, comment=b"")  # Pillow would take over that of the file
    return out.getvalue()


def _small(image: ImageFile) -> Image.Image:
    """The upright image, scaled down, on white where it is transparent."""
    image.draft("RGB", (SIDE, SIDE))
    image.load()
    small = eight_bits(image)
    small.thumbnail((SIDE, SIDE))
    return upright(opaque(small), orientation_of(image))
