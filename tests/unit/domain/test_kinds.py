"""Every kind of picture, with a face in it: the pixels decide, in whatever mode they come."""

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from face_import.domain.bounds import ImageError
from face_import.domain.formats import format_of, refusal
from face_import.domain.image import MAX_FRAMES, check_image, later_stills
from face_import.domain.pixels import opaque
from tests import kinds

MAX_PIXELS = 50_000_000
ALIKE = 0.97
"""Correlation of a conversion with the photograph; that of a negative, or of one on its side, is below a half."""
AS_IS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "MPO", "palette", "lying, JPEG"}


def likeness(still: bytes) -> float:
    """How a still, upright, correlates with the photograph, by its brightness; sizes must agree."""
    with Image.open(BytesIO(still)) as image:  # by Pillow as it is, as a service may
        assert image.format in {"JPEG", "PNG", "WEBP", "GIF", "BMP", "MPO"}
        with suppress(SyntaxError):  # EXIF of junk, which is sent as it is
            if image.getexif().get(0x0112) == 6:
                image = image.transpose(Image.Transpose.ROTATE_270)  # noqa: PLW2901
        pixels = np.asarray(image.convert("L"), dtype=np.float64)
    return float(np.corrcoef(pixels[30:240].ravel(), kinds.grey()[30:240].ravel())[0, 1])


@pytest.mark.parametrize("name", kinds.SHALLOW | kinds.DEEP | kinds.MODES)
def test_what_is_sent_shows_the_photograph(name: str) -> None:
    """Any mode becomes eight bits a channel, scaled and not clipped, upright, in a format that any service reads."""
    data = kinds.WHOLE[name]()
    image = check_image(data, MAX_PIXELS)
    assert (image.width, image.height, image.animated) == (256, 256, False)
    assert likeness(image.still) > ALIKE
    assert (image.still == data) == (name in AS_IS)


@pytest.mark.parametrize("name", kinds.DAMAGED)
def test_what_is_damaged_beside_the_pixels_passes(name: str) -> None:
    """EXIF, text, profiles, checksums of metadata and end markers say nothing about the pixels."""
    assert likeness(check_image(kinds.DAMAGED[name](), MAX_PIXELS).still) > ALIKE


@pytest.mark.parametrize("name", kinds.CUT)
def test_missing_pixels_are_an_error(name: str) -> None:
    """A decoder that fills up what is missing with grey does not make a picture whole."""
    with pytest.raises(ImageError, match=r"unreadable image|not a picture"):
        check_image(kinds.CUT[name](), MAX_PIXELS)


@pytest.mark.parametrize("missing", [12, 40, 400])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_off_near_its_end_is_an_error(missing: int, *, progressive: bool) -> None:
    """Only the end marker may be missing, not the last blocks before it."""
    with pytest.raises(ImageError, match="pixels are missing"):
        check_image(kinds.jpeg(progressive=progressive)[:-missing], MAX_PIXELS)


def test_what_is_sent_of_a_repaired_jpeg_is_whole() -> None:
    """A service's decoder need not be as patient."""
    for name in ("JPEG without end", "JPEG behind a line break"):
        still = check_image(kinds.DAMAGED[name](), MAX_PIXELS).still
        assert still.startswith(b"\xff\xd8")
        assert still.endswith(b"\xff\xd9")


BLACK, CLEAR = Image.new("RGB", (256, 256)), Image.new("RGBA", (256, 256), (0, 0, 0, 0))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("first", [[BLACK] * 4, [CLEAR]], ids=["black", "transparent"])
def test_an_animation_that_begins_with_nothing(form: str, first: list[Image.Image]) -> None:
    """Its first frame is sent; of the further ones only those that show something else."""
    data = kinds.animation(form, first)
    image = check_image(data, MAX_PIXELS)
    assert image.animated
    assert likeness_or_nothing(image.still) < 0.1
    (still,) = later_stills(data, MAX_PIXELS)
    assert likeness(still) > ALIKE


def likeness_or_nothing(still: bytes) -> float:
    """The same, 0 for a picture of one colour."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(likeness(still)))


def test_frames_are_bounded_by_number_and_by_pixels() -> None:
    """A film is no picture: after thirty frames, or twice the largest picture, the search ends."""
    shades = [Image.linear_gradient("L").rotate(90 * n).point(lambda v, n=n: min(255, v + 3 * n)) for n in range(40)]
    data = kinds.animation("WEBP", [shade.convert("RGB") for shade in shades])
    assert len(later_stills(data, MAX_PIXELS)) == MAX_FRAMES - 1
    assert len(later_stills(data, 5 * 256 * 256)) == 9


def test_a_damaged_later_frame_does_not_invalidate_the_first() -> None:
    """What cannot be read behind the first frame is not searched."""
    data = kinds.animation("GIF", [kinds.face().rotate(180), kinds.face()])
    cut = data[: len(data) * 2 // 3]
    assert check_image(cut, MAX_PIXELS).width == 256
    assert len(later_stills(cut, MAX_PIXELS)) <= 1


def test_transparency_is_shown_on_white() -> None:
    """As viewers and documents do; what is hidden below it does not show."""
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    flat = opaque(image)
    assert (flat.getpixel((0, 0)), flat.getpixel((3, 3))) == ((0, 0, 255), (255, 255, 255))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a junk", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\2\0\1\0", "CUR"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg>', "SVG"),
        (b"8BPS\0\1", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF", "EPS"),
        (b"\xd7\xcd\xc6\x9a", "WMF"),
        (b"\1\0\0\0" + bytes(36) + b" EMF", "EMF"),
        (b"II*\0\x10\0\0\0CR\2\0", "RAW"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "RAW"),
        (b"FUJIFILMCCD-RAW", "RAW"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "MOV"),
        (b"\x1aE\xdf\xa3", "WebM"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\0\0\1\xba", "MPEG"),
    ],
)
def test_formats_that_are_left_out_are_refused_by_name(data: bytes, name: str) -> None:
    """Somebody whose files are of such a format reads which one it is, and what to use."""
    assert format_of(data) == ""
    assert name in str(refusal(data))
    with pytest.raises(ImageError, match=r"not supported \(use JPEG, PNG, WebP"):
        check_image(data, MAX_PIXELS)


@pytest.mark.parametrize("tags", [{254: 1, 330: 8}, {50706: 1}], ids=["thumbnail in front", "digital negative"])
def test_a_cameras_raw_file_is_not_its_thumbnail(tags: dict[int, int]) -> None:
    """It is a TIFF whose first picture is a small one for showing."""
    with pytest.raises(ImageError, match="RAW"):
        check_image(kinds.file(kinds.face(), "TIFF", tiffinfo=tags), MAX_PIXELS)


def test_the_limit_of_pixels_moves_beyond_pillows_own() -> None:
    """Pillow refuses 179 megapixels on its own, and warns of 90."""
    data = kinds.file(Image.new("1", (20_000, 10_000)), "PNG")
    assert check_image(data, 200_000_000).width == 20_000
    with pytest.raises(ImageError, match="20000x10000 pixels, more than 199999999; the limit is FACE_IMPORT_MAX_IMAGE"):
        check_image(data, 199_999_999)
