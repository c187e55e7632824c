"""Pictures made to fill the memory or to keep a decoder busy, each in a process whose means are bounded."""

import re
from collections.abc import Callable
from struct import pack

import pytest
from PIL import Image

from face_import.domain.decoding import MAX_SCANS
from tests import bombs
from tests.bombs import LIMIT, SIDE, child, decoded, png_chunk, zeros
from tests.unit.domain.test_hostile_images import encoded, jpeg_of_scans

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that says it is so large, of 8 bits grey."""
    header = png_chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, png_chunk(b"IEND", b"")))


def tiff(width: int, height: int, strip: bytes, compression: int = 1) -> bytes:
    """A TIFF of one strip that says it is so large, of 8 bits grey."""
    tags = (256, width), (257, height), (258, 8), (259, compression), (262, 1), (277, 1), (278, height)
    tags += (273, 134), (279, len(strip))
    body = b"".join(pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    head = b"II*\0" + pack("<IH", 8, len(tags)) + body + pack("<I", 0)
    return head.ljust(134, b"\0") + strip


def tiff_of_tags(count: int, size: int) -> bytes:
    """A TIFF each of whose many tags says that it holds the whole file."""
    known = (256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, 16)
    tags = [pack("<HHII", tag, 4, 1, value) for tag, value in known]
    tags += [pack("<HHII", 40_000 + n, 7, size, 8) for n in range(count)]
    return (b"II*\0" + pack("<IH", 8, len(tags)) + b"".join(tags) + pack("<I", 0)).ljust(size + 8, b"\0")


def with_size(data: bytes, at: int, size: bytes) -> bytes:
    """A file that says it has another size than its picture."""
    return data[:at] + size + data[at + len(size) :]


def jpeg_sized(width: int, height: int) -> bytes:
    """A JPEG whose header says it is so large."""
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return with_size(data, at, pack(">HH", height, width))


def webp_sized(width: int, height: int) -> bytes:
    """An extended WebP whose canvas says it is so large."""
    data = encoded("WEBP", mode="RGBA", lossless=True, exif=b"Exif\0\0")
    canvas = pack("<I", width - 1)[:3] + pack("<I", height - 1)[:3]
    return with_size(data, 24, canvas)


BOMBS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "png, huge by its header": (lambda: png(2**31 - 1, 2**31 - 1, png_chunk(b"IDAT", b"")), "pixels"),
    "png, 0 by 0": (lambda: png(0, 0, png_chunk(b"IDAT", b"")), "."),
    "png, tiny with 256 MB behind it": (lambda: png(8, 8, png_chunk(b"IDAT", zeros(2**28))), None),
    "png, truncated under the bound of pixels": (
        lambda: png(7000, 7000, png_chunk(b"IDAT", zeros(2**24)[:1000])),
        "unreadable",
    ),
    "png, compressed text of 128 MB": (lambda: png(8, 8, png_chunk(b"zTXt", b"k\0\0" + zeros(2**27))), "."),
    "png, compressed profile of 128 MB": (lambda: png(8, 8, png_chunk(b"iCCP", b"k\0\0" + zeros(2**27))), "."),
    "gif, huge by its header": (lambda: with_size(encoded("GIF"), 6, pack("<HH", 65535, 65535)), "pixels"),
    "webp, huge by its header": (lambda: webp_sized(16383, 16383), "."),
    "bmp, huge by its header": (lambda: with_size(encoded("BMP"), 18, pack("<ii", 2**30, 2**30)), "pixels"),
    "bmp, of negative size": (lambda: with_size(encoded("BMP"), 18, pack("<ii", -64, -(2**31))), "."),
    "jpeg, huge by its header": (lambda: jpeg_sized(65500, 65500), "pixels"),
    "jpeg, 0 high": (lambda: jpeg_sized(64, 0), "."),
    "jpeg, an hour and a half of scans": (lambda: jpeg_of_scans(260_000), f"more than {MAX_SCANS} scans"),
    "tiff, huge by its header": (lambda: tiff(2**31, 2**31, b""), "."),
    "tiff, an hour and a half of scans": (lambda: tiff(7000, 7000, jpeg_of_scans(260_000), 7), "scans"),
    "tiff, metadata of 3 GB in 10 MB": (lambda: tiff_of_tags(300, 10**7), None),
    "tiff, directory that follows itself": (lambda: with_size(tiff(8, 8, bytes(64)), 118, pack("<I", 8)), None),
    "gif, twenty frames of 12 megapixels": (
        lambda: encoded("GIF", (4000, 3000), "P", save_all=True, append_images=[Image.new("P", (4000, 3000), 1)] * 20),
        None,
    ),
}
CHECK = child(
    "from face_import.domain.bounds import ImageError; from face_import.domain.image import check_image",
    "check_image(data, 50_000_000)",
    "ImageError",
)
THUMBNAIL = child("from face_console import pictures", "pictures._small(data, 50_000_000, 160)", "pictures.NoPicture")


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_a_bad_row(name: str) -> None:
    """It is refused, or read, in seconds and within the memory of a picture of the largest size."""
    make, words = BOMBS[name]
    result, megabytes = decoded(CHECK, make())
    assert megabytes < 300
    assert (result == "passed") == (words is None)
    assert re.search(words or "passed", result)


@pytest.mark.slow
@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_behind_a_small_size_is_a_bad_row(name: str) -> None:
    """What a file takes beside the pixels of its size is bounded, and said; the console's thumbnails do the same."""
    bomb = bombs.BOMBS[name]
    data = bomb.make()
    for program in (CHECK, THUMBNAIL):
        result, megabytes = decoded(program, data)
        assert re.search(bomb.words, result)
        assert megabytes < 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: bombs.png_of(SIDE, SIDE, kind=6), id="png"),
        pytest.param(lambda: encoded("JPEG", (SIDE, SIDE), progressive=True, subsampling=0), id="progressive jpeg"),
        pytest.param(lambda: encoded("GIF", (SIDE, SIDE), "P"), id="gif"),
        pytest.param(lambda: encoded("WEBP", (5000, 5000), method=0, quality=1), id="webp"),
        pytest.param(
            lambda: bombs.tiff_of((SIDE, SIDE), bombs.zeros(SIDE * SIDE * 3), samples=3), id="tiff, one strip"
        ),
        pytest.param(lambda: encoded("TIFF", (SIDE, SIDE), compression="tiff_lzw"), id="tiff, many strips"),
    ],
)
def test_the_largest_pictures_pass_within_the_bound(make: Callable[[], bytes]) -> None:
    """The memory that bombs are held to is enough for what is allowed."""
    data = make()
    for program in (CHECK, THUMBNAIL):
        result, megabytes = decoded(program, data)
        assert result == "passed"
        assert megabytes < LIMIT
