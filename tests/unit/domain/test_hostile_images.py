"""Odd and broken pictures; those that would fill the memory are in tests/integration/domain/test_bombs.py."""

import io
import zipfile

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from face_import.domain.bounds import ImageError
from face_import.domain.decoding import MAX_SCANS
from face_import.domain.formats import FORMATS
from face_import.domain.image import check_image
from tests import bombs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
MAX_PIXELS = 50_000_000
register_heif_opener()
"""The default."""


def encoded(format_: str, size: tuple[int, int] = (64, 64), mode: str = "RGB", **options: object) -> bytes:
    """A black picture as a file's bytes."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, format_, **options)
    return out.getvalue()


def jpeg_of_scans(scans: int, side: int = 7000) -> bytes:
    """A progressive JPEG that goes over its picture so many times."""
    data = encoded("JPEG", (side, side), "L", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def test_tiffs_in_use_pass() -> None:
    """A tile larger than a small picture, billions of rows a strip, several pages, places left behind, wide offsets."""
    pages = [Image.new("RGB", (100, 80), shade) for shade in ("red", "blue")]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    for data in (
        out.getvalue(),
        encoded("TIFF", (100, 80), compression="tiff_lzw", big_tiff=True),
        encoded("TIFF", (100, 80), "1", compression="group4"),
        encoded("TIFF", (100, 80), compression="jpeg"),
        encoded("TIFF", (100, 80), strip_size=300),
        bombs.tiff_of((100, 80), bombs.zeros(8000), t278=(bombs.LONG, 2**32 - 1)),
        bombs.tiff_of((100, 80), bytes(8000), 1, t273=(bombs.LONG, [bombs.DATA] * 60)),
    ):
        assert (check_image(data, MAX_PIXELS).width, check_image(data, MAX_PIXELS).height) == (100, 80)
    assert check_image(bombs.tiff_tile(256, 256), MAX_PIXELS).format == "TIFF"


def test_exif_that_cameras_write_is_read() -> None:
    """Some ten thousand bytes of it, in whatever format, also behind a PNG's picture."""
    exif = Image.Exif()
    exif[274], exif[0x927C] = 6, b"maker" * 10_000
    for format_ in ("JPEG", "PNG", "WEBP", "TIFF"):
        info = check_image(encoded(format_, (40, 30), exif=exif), MAX_PIXELS)
        assert (info.width, info.height) == (30, 40)


def test_jpegs_of_many_scans_pass_up_to_the_bound() -> None:
    """No encoder makes as many as are allowed."""
    check_image(jpeg_of_scans(MAX_SCANS, 64), MAX_PIXELS)
    with pytest.raises(ImageError, match="scans"):
        check_image(jpeg_of_scans(MAX_SCANS + 1, 64), MAX_PIXELS)


def test_a_tiff_of_many_jpeg_strips_passes() -> None:
    """Each strip is a JPEG with a scan of its own."""
    data = encoded("TIFF", (64, 4000), "L", compression="jpeg", strip_size=64 * 16)
    assert data.count(b"\xff\xda") > MAX_SCANS
    check_image(data, MAX_PIXELS)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_that_is_another_file_too_is_only_a_picture(format_: str) -> None:
    """What stands behind a picture is neither opened nor in its way; what stands before it makes it none."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.html", "<script>alert(1)</script>")
    picture = encoded(format_)
    assert check_image(picture + archive.getvalue(), MAX_PIXELS).format == format_
    assert check_image(picture + b"<script>alert(1)</script>", MAX_PIXELS).format == format_
    for before in (archive.getvalue(), b"<html>", b"%PDF-1.7\n", b"#!/bin/sh\n"):
        with pytest.raises(
            ImageError,
            match=r"which is not supported|not a picture of a known format|, not an image",
        ):
            check_image(before + picture, MAX_PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', id="svg"),
        pytest.param(
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><svg>&b;</svg>', id="xml"
        ),
        pytest.param(b"push graphic-context\nfill 'url(https://x/\"|ls \")'\n", id="mvg"),
        pytest.param(b"%!PS\n(/etc/passwd) (r) file\n", id="postscript"),
        pytest.param(b"#EXTM3U\nfile:///etc/passwd\n", id="playlist"),
        pytest.param(b"GIF89a<script>alert(1)</script>", id="gif of markup"),
        pytest.param(b"BM<script>alert(1)</script>", id="bmp of markup"),
        pytest.param(b"\xff\xd8\xff\xe0", id="jpeg of a head"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", id="webp of a head"),
        pytest.param(b"II*\0\xff\xff\xff\xff", id="tiff of a head"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="png of a head"),
    ],
)
def test_what_only_looks_like_a_picture_is_none(data: bytes) -> None:
    """Formats that name other files are not even tried."""
    with pytest.raises(ImageError):
        check_image(data, MAX_PIXELS)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_cut_anywhere_is_a_picture_or_an_error(format_: str) -> None:
    """Cut at each of its first bytes, and at fifty places after them."""
    whole = encoded(format_, (40, 30))
    cuts = {*range(min(len(whole), 200)), *range(0, len(whole), max(1, len(whole) // 50))}
    refused = 0
    for cut in cuts:
        try:
            check_image(whole[:cut], MAX_PIXELS)
        except ImageError:
            refused += 1
    assert refused > len(cuts) / 3
