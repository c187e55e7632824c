"""Bodies that broke off: which of them are whole all the same."""

from io import BytesIO

import pytest
from PIL import Image

from face_import.clients.content import is_image, is_whole
from tests.doubles.images import make_image


def saved(kind: str) -> bytes:
    """A small image in a format."""
    out = BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_an_image_is_whole_if_nothing_is_cut_off(kind: str) -> None:
    """By the end, or the length, that its format has."""
    data = saved(kind)
    assert is_image(data)
    assert is_whole(data)
    assert not any(is_whole(data[:size]) for size in range(len(data)))


def test_the_end_of_a_thumbnail_is_not_the_images() -> None:
    """A JPEG cut off behind the one in its EXIF ends as a whole one does."""
    thumbnail, data = make_image(size=(16, 16)), make_image()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    whole = data[:2] + segment + data[2:]
    assert is_whole(whole)
    assert not is_whole(whole[: 2 + len(segment)])
    assert not is_whole(whole[: len(segment)] + b"\xff\xd9")
