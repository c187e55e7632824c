"""The image check under whole, damaged and hostile bytes."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from pillow_heif import register_heif_opener
from skimage import data as samples

from face_import.domain.bounds import ImageError
from face_import.domain.formats import FORMATS
from face_import.domain.image import SMALL_BYTES, blur_of, check_image, is_small
from tests.doubles.images import make_image

MAX_PIXELS = 1_000_000
register_heif_opener()


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """Return an image as a file's bytes."""
    out = BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


ASTRONAUT = Image.fromarray(samples.astronaut())  # type: ignore[no-untyped-call]
PICTURE = ASTRONAUT.resize((200, 120))
FILES = {name: encoded(PICTURE, name) for name in FORMATS} | {
    "progressive": encoded(PICTURE, "JPEG", progressive=True),
    "cmyk": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "palette": encoded(PICTURE.convert("P"), "PNG"),
    "deep": encoded(PICTURE.convert("I;16"), "PNG"),
    "alpha": encoded(PICTURE.convert("RGBA"), "WEBP"),
    "animated": encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(90)]),
    "lzw": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
}


def with_thumbnail(jpeg: bytes, thumbnail: bytes) -> bytes:
    """A JPEG with another one in its first segment."""
    return jpeg[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + jpeg[2:]


@pytest.mark.parametrize("name", FILES)
def test_whole_pictures_pass(name: str) -> None:
    """Every allowed format opens, with its size."""
    info = check_image(FILES[name], MAX_PIXELS)
    assert (info.width, info.height) == (200, 120)
    assert info.format in FORMATS


@pytest.mark.parametrize(
    ("data", "small"),
    [
        (FILES["JPEG"], True),
        (FILES["progressive"], True),
        (FILES["JPEG"] + bytes(SMALL_BYTES), False),
        (encoded(Image.new("L", (1024, 1024)), "JPEG"), True),
        (encoded(Image.new("L", (1025, 1024)), "JPEG"), False),
        (encoded(Image.new("1", (7000, 7000)), "PNG"), False),
        (FILES["PNG"], False),
        (with_thumbnail(encoded(Image.new("L", (1025, 1024)), "JPEG"), FILES["JPEG"]), False),
        (FILES["JPEG"][:20], False),
        (FILES["JPEG"][:2] + b"\xff\xe0\0\0" * 1000, False),
        (b"", False),
    ],
    ids=["JPEG", "progressive", "bytes", "pixels", "a pixel more", "bomb", "PNG", "thumbnail", "broken", "0", "empty"],
)
def test_what_is_small(data: bytes, *, small: bool) -> None:
    """A JPEG of few bytes and few pixels: nothing else is sure to be decoded at once."""
    assert is_small(data) is small


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "progressive", "lzw", "BMP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_pictures_fail(name: str, part: float) -> None:
    """A file cut off on its way is noticed: decoding at an eighth of the size still reads all of it."""
    whole = FILES[name]
    with pytest.raises(ImageError):
        check_image(whole[: int(len(whole) * part)], MAX_PIXELS)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_of_the_upright_image(format_: str, orientation: int) -> None:
    """Orientations five to eight exchange width and height."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    info = check_image(encoded(PICTURE, format_, exif=exif), MAX_PIXELS)
    assert (info.width, info.height) == ((120, 200) if orientation >= 5 else (200, 120))


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (9, 2000), (2000, 1)])
def test_tiny_and_narrow_jpegs_pass(size: tuple[int, int]) -> None:
    """A side below eight pixels has no eighth."""
    info = check_image(encoded(Image.new("RGB", size), "JPEG"), MAX_PIXELS)
    assert (info.width, info.height) == size


def bomb(width: int, height: int) -> bytes:
    """Return a PNG that claims to be enormous."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + FILES["PNG"][33:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file"),
        (b"<html></html>", "a web page, not an image: is it behind a login"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"PostScript .*, which is not supported"),
        (b"\xff\xd8\xff", "unreadable image"),
        (b"anything", "text, not an image"),
        (encoded(PICTURE, "PPM"), "PPM.*, which is not supported"),
        (encoded(PICTURE, "ICO"), r"an icon \(ICO\), which is not supported"),
        (
            encoded(Image.new("1", (1001, 1000)), "PNG"),
            "1001x1000 pixels, more than 1000000; the limit is FACE_IMPORT_",
        ),
        (bomb(1 << 14, 1 << 14), "pixels"),
        (bomb(1 << 30, 1 << 30), "pixels"),
    ],
    ids=["empty", "html", "postscript", "stub", "anything", "ppm", "ico", "large", "bomb", "bigger-bomb"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_not_a_picture_says_why(data: bytes, expected: str) -> None:
    """Formats off the list are not even tried, and a picture is measured before it is decoded."""
    with pytest.raises(ImageError, match=expected):
        check_image(data, MAX_PIXELS)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=12),
    length=st.floats(0.05, 1),
)
@pytest.mark.filterwarnings("ignore")
def test_no_bytes_raise_anything_else(name: str, edits: list[tuple[float, bytes]], length: float) -> None:
    """Mutated pictures are pictures or `ImageError`, in the check as in the measurement of blur."""
    mutated = bytearray(FILES[name])
    for place, patch in edits:
        at = int(place * place * len(mutated))  # more of them near the headers
        mutated[at : at + len(patch)] = patch
    data = bytes(mutated[: int(len(mutated) * length) + 1])
    with suppress(ImageError):
        check_image(data, MAX_PIXELS)
    with suppress(ImageError):
        assert 0 <= blur_of(data, (20, 20, 90, 90)) <= 100


FACE_BOX = (170, 60, 280, 180)


@pytest.mark.parametrize(("sigma", "expected"), [(0, 13), (1, 38), (2, 78), (4, 92)])
def test_blur_of_a_known_face(sigma: int, expected: int) -> None:
    """scikit-image's astronaut, whose face is 110 pixels wide, scores what the documentation says."""
    image = ASTRONAUT.filter(ImageFilter.GaussianBlur(sigma))
    assert abs(blur_of(encoded(image, "PNG"), FACE_BOX) - expected) <= 1


def test_light_is_not_blur() -> None:
    """A sharp face stays sharp at an eighth of its brightness, at any gamma from a half to two, as a poor JPEG."""
    tables = {f"1/{part}": [grey // part for grey in range(256)] for part in (1, 2, 4, 8)}
    tables |= {f"gamma {g}": [round(255 * (grey / 255) ** g) for grey in range(256)] for g in (0.5, 0.7, 1.5, 2)}
    scores = {name: blur_of(encoded(ASTRONAUT.point(table * 3), "PNG"), FACE_BOX) for name, table in tables.items()}
    scores["JPEG"] = blur_of(encoded(ASTRONAUT, "JPEG", quality=50), FACE_BOX)
    assert {name: score for name, score in scores.items() if abs(score - scores["1/1"]) > 5} == {}


@pytest.mark.parametrize("light", [1, 1 / 2])
def test_more_blur_scores_more(light: float) -> None:
    """Each per cent of the face's width by which it is blurred counts, from one to four, in dim light too."""
    dim = ASTRONAUT.point(lambda grey: grey * light)
    blurred = [dim.filter(ImageFilter.GaussianBlur(1.1 * per_cent)) for per_cent in range(5)]
    scores = [blur_of(encoded(image, "PNG"), FACE_BOX) for image in blurred]
    assert all(one < other for one, other in pairwise(scores)), scores


@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_face_without_any_detail_is_all_blur(grey: int) -> None:
    """A grey area is not sharp, nor is a black one."""
    assert blur_of(encoded(Image.new("L", (300, 300), grey), "PNG"), FACE_BOX) == 100


def test_blur_does_not_depend_on_format_size_or_orientation() -> None:
    """A JPEG decoded small, in grey, or lying on its side measures as the same picture does as a PNG."""
    image = ASTRONAUT.filter(ImageFilter.GaussianBlur(1.5))
    large = image.resize((2048, 2048), Image.Resampling.BICUBIC)
    box = (680.0, 240.0, 1120.0, 720.0)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = large.transpose(Image.Transpose.ROTATE_90)
    measured = [
        blur_of(encoded(large, "PNG"), box),
        blur_of(encoded(large, "JPEG", quality=95), box),
        blur_of(encoded(lying, "JPEG", quality=95, exif=exif), box),
        blur_of(encoded(lying, "TIFF", exif=exif), box),
    ]
    assert max(measured) - min(measured) <= 2


@pytest.mark.parametrize("box", [(500, 500, 600, 600), (-50, -50, -1, -1), (10, 10, 10, 10), (90, 90, 20, 20)])
def test_a_box_without_any_picture_is_all_blur(box: tuple[float, float, float, float]) -> None:
    """A service's box may lie outside; there is nothing sharp there."""
    assert blur_of(FILES["PNG"], box) == 100


def test_the_doubles_pictures_are_pictures() -> None:
    """A spec in a comment does not keep a picture from passing."""
    info = check_image(make_image({"n": 1}, (640, 480)), MAX_PIXELS)
    assert (info.width, info.height, info.format) == (640, 480, "JPEG")
