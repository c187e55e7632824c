"""From a data URI to pixels."""

import binascii
import io
import re

import numpy as np
import pytest
from PIL import Image as Pillow
from pillow_heif import register_heif_opener

from face_services.decode import picture
from face_services.errors import BadImage
from tests import bombs
from tests.face_services.pictures import BLUE, RED, coloured, data_uri, encoded, uri_of

MOST = 1_000_000
register_heif_opener()
ORIENTATION = 0x0112


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000"])
def test_common_formats_are_read(form: str) -> None:
    """Every format a photograph comes as gives the same upright RGB picture, but for compression."""
    pixels = picture(uri_of(coloured(RED, BLUE), form), MOST)
    assert pixels.shape == (60, 100, 3)
    assert pixels[30, 20, 0] > 200
    assert pixels[30, 20, 2] < 60


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """Grey, palette, transparent and printed pictures have three channels afterwards."""
    image = Pillow.new("I;16", (8, 6)) if mode == "I;16" else Pillow.fromarray(coloured(RED)).convert(mode)
    form = "TIFF" if mode in {"CMYK", "I;16"} else "PNG"
    file = io.BytesIO()
    image.save(file, form)
    assert picture(data_uri(file.getvalue()), MOST).shape[2] == 3


def test_exif_orientation_is_applied() -> None:
    """A picture stored on its side is turned the way a viewer shows it."""
    exif = Pillow.Exif()
    exif[ORIENTATION] = 6
    pixels = picture(data_uri(encoded(coloured(RED, BLUE), "JPEG", exif=exif)), MOST)
    assert pixels.shape == (100, 60, 3)
    assert pixels[20, 30, 0] > 200


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("https://example.org/a.jpg", "does not fetch"),
        ("file:///etc/passwd", "does not fetch"),
        ("data:image/png,abc", "does not fetch"),
        ("", "does not fetch"),
        ("data:;base64,@@@@", "not valid base64"),
        ("data:;base64,é", "not valid base64"),
        ("data:;base64,", "empty file"),
        (data_uri(b"hello"), "text, not an image"),
        (data_uri(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "PostScript .* not supported"),
        (data_uri(encoded(coloured(RED), "JPEG")[:400]), "unreadable image"),
    ],
    ids=["http", "file", "no base64", "empty", "alphabet", "not ascii", "no bytes", "text", "eps", "cut off"],
)
def test_what_is_no_picture_is_refused(uri: str, text: str) -> None:
    """Anything else than a whole picture in a data URI is the client's mistake, and said so."""
    with pytest.raises(BadImage, match=text):
        picture(uri, MOST)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    """A header that promises gigapixels costs nothing: its picture data is not even there."""
    ihdr = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + ihdr + binascii.crc32(ihdr).to_bytes(4, "big")
    with pytest.raises(BadImage, match="60000x60000 pixels, more than 1000000; the limit is FACE_SERVICES_MAX_PIXELS"):
        picture(data_uri(bomb + b"\0\0\0\0IDAT" + binascii.crc32(b"IDAT").to_bytes(4, "big")), MOST)


def test_the_bound_itself_is_allowed() -> None:
    """As many pixels as allowed are not too many."""
    assert picture(uri_of(coloured(RED)), 6000).size == 18_000
    with pytest.raises(BadImage):
        picture(uri_of(np.zeros((60, 101, 3), np.uint8)), 6000)


DECODE = bombs.child(
    "import base64; from face_services.decode import picture; from face_services.errors import BadImage",
    'picture("data:;base64," + base64.b64encode(data).decode(), 50_000_000)',
    "BadImage",
)


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_behind_a_small_size_is_refused(name: str) -> None:
    """What a file takes beside the pixels of its size is bounded, in a process of little memory."""
    bomb = bombs.BOMBS[name]
    result, megabytes = bombs.decoded(DECODE, bomb.make())
    assert re.search(bomb.words, result)
    assert megabytes < 200


def test_tiffs_in_use_are_read() -> None:
    """A tile larger than the picture, compressed strips, billions of rows a strip, wide offsets."""
    for data in (
        bombs.tiff_tile(256, 256),
        encoded(coloured(RED), "TIFF", compression="tiff_lzw", big_tiff=True),
        encoded(coloured(RED), "TIFF", compression="jpeg"),
        encoded(coloured(RED), "TIFF", strip_size=300),
        bombs.tiff_of((100, 80), bombs.zeros(8000), t278=(bombs.LONG, 2**32 - 1)),
    ):
        assert picture(data_uri(data), MOST).shape[2] == 3
