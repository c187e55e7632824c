"""A photograph of a face as files of every kind that is to be read, and of kinds that are not whole."""

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener
from skimage import data as samples

from tests import bombs

register_heif_opener()
_ORIENTATION = 0x0112
_BOMB = zlib.compress(bytes(50 * 2**20), 9)
"""50 MB of zeros in 50 kB."""


@cache
def face() -> Image.Image:
    """The astronaut of scikit-image, 256x256."""
    return Image.fromarray(samples.astronaut()).crop((100, 0, 356, 256))  # type: ignore[no-untyped-call]


@cache
def grey() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The same in grey, from 0 to 255."""
    return np.asarray(face().convert("L"), dtype=np.float64)


def file(image: Image.Image, form: str, **options: object) -> bytes:
    """An image as a file's bytes."""
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def deep(values: np.ndarray[Any, Any], type_: str, form: str = "TIFF", **options: object) -> bytes:
    """Numbers of 16 or 32 bits as a file."""
    return file(Image.fromarray(values.astype(type_)), form, **options)


def png(*before: bytes, end: bool = True, depth: int = 8, factor: int = 1) -> bytes:
    """The face as a PNG with chunks of one's own before its pixels."""
    pixels = np.asarray(face(), dtype=np.uint32) * factor
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    parts = [b"\x89PNG\r\n\x1a\n", bombs.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 256, depth, 2, 0, 0, 0))]
    parts += [*before, bombs.png_chunk(b"IDAT", zlib.compress(rows))]
    return b"".join(parts) + (bombs.png_chunk(b"IEND", b"") if end else b"")


def wrong(chunk: bytes) -> bytes:
    """A chunk with another checksum."""
    return chunk[:-4] + b"\1\2\3\4"


def jpeg(*segments: tuple[int, bytes], **options: object) -> bytes:
    """The face as a JPEG with segments of one's own at its beginning."""
    whole = file(face(), "JPEG", quality=90, **options)
    made = (b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content for marker, content in segments)
    return whole[:2] + b"".join(made) + whole[2:]


def lying(form: str) -> bytes:
    """The face on its side, and an orientation that turns it upright: EXIF's, and in HEIC and AVIF the container's."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    return file(face().transpose(Image.Transpose.ROTATE_90), form, exif=exif.tobytes())


def animation(form: str, first: Sequence[Image.Image]) -> bytes:
    """Frames, and behind them the face."""
    return file(first[0], form, save_all=True, append_images=[*first[1:], face().convert(first[0].mode)], duration=100)


def _transparent() -> Image.Image:
    """The face below a transparent strip."""
    image = face().convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 256, 20))
    image.putalpha(alpha)
    return image


def _empty_alpha() -> Image.Image:
    image = face().convert("RGBA")
    image.putalpha(0)
    return image


def _lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(face(), *profiles, outputMode="LAB") or face()


def _odd_floats() -> bytes:
    values = (grey() / 255).astype("float32")
    values[0], values[5, 5], values[6, 6] = np.nan, np.inf, -np.inf
    return deep(values, "float32")


def _gaps() -> bytes:
    """Floats with strips of what scientific programs write where they know nothing."""
    values = (grey() / 255).astype("float32")
    values[-8:], values[-16:-8] = -9999, 1e30
    return deep(values, "float32")


def _inverted() -> bytes:
    """A grey TIFF of 16 bits in which 0 is white."""
    data = deep(4095 - grey() * 16, "uint16")
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    return data[:at] + b"\0\0" + data[at + 2 :]


def _colour_tiff(compression: int) -> bytes:
    """A TIFF of 16 bits a channel, 12 of them used."""
    pixels = (np.asarray(face(), dtype=np.uint32) * 16).astype("<u2").tobytes()
    pixels = zlib.compress(pixels) if compression == 8 else pixels
    return bombs.tiff_of((256, 256), pixels, compression, 3, t258=(bombs.SHORT, [16] * 3), t262=(bombs.SHORT, 2))


SHALLOW: dict[str, Callable[[], bytes]] = {
    form: lambda form=form: file(face(), form)  # type: ignore[misc]
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "MPO")
}
"""The formats as they usually come."""

DEEP: dict[str, Callable[[], bytes]] = {
    "12 bits in 16, PNG": lambda: deep(grey() * 16, "uint16", "PNG"),
    "12 bits in 16, TIFF": lambda: deep(grey() * 16, "uint16"),
    "12 bits in 16, LZW": lambda: deep(grey() * 16, "uint16", compression="tiff_lzw"),
    "12 bits in 16, JPEG 2000": lambda: deep(grey() * 16, "uint16", "JPEG2000"),
    "16 bits": lambda: deep(grey() * 257, "uint16", "PNG"),
    "8 bits in 16": lambda: deep(grey(), "uint16", "PNG"),
    "16 bits, little contrast": lambda: deep(grey() * 4 + 30_000, "uint16", "PNG"),
    "16 bits, big-endian": lambda: deep(grey() * 16, ">u2"),
    "16 bits, 0 is white": _inverted,
    "32 bits": lambda: deep(grey() * 8e6, "int32"),
    "32 bits, 8 used": lambda: deep(grey(), "int32"),
    "floats to 1": lambda: deep(grey() / 255, "float32"),
    "floats to 255": lambda: deep(grey(), "float32"),
    "floats, some not finite": _odd_floats,
    "floats with gaps": _gaps,
    "48 bits": lambda: png(depth=16, factor=257),
    "48 bits, 12 used": lambda: png(depth=16, factor=16),
    "48 bits, 8 used": lambda: png(depth=16),
    "48 bits, TIFF": lambda: _colour_tiff(1),
    "48 bits, TIFF, deflated": lambda: _colour_tiff(8),
}
"""More than eight bits a channel."""

MODES: dict[str, Callable[[], bytes]] = {
    "CMYK, JPEG": lambda: file(face().convert("CMYK"), "JPEG"),
    "CMYK, TIFF": lambda: file(face().convert("CMYK"), "TIFF"),
    "YCbCr, TIFF": lambda: file(face().convert("YCbCr"), "TIFF"),
    "LAB, TIFF": lambda: file(_lab(), "TIFF"),
    "RGBA": lambda: file(_transparent(), "PNG"),
    "RGBA, WebP": lambda: file(_transparent(), "WEBP"),
    "RGBA, AVIF": lambda: file(_transparent(), "AVIF"),
    "RGBA, HEIC": lambda: file(_transparent(), "HEIF"),
    "LA": lambda: file(_transparent().convert("LA"), "PNG"),
    "alpha of nothing": lambda: file(_empty_alpha(), "PNG"),
    "palette": lambda: file(face().quantize(), "PNG"),
    "palette, transparent": lambda: file(face().quantize(), "PNG", transparency=0),
    "palette, transparent GIF": lambda: file(face().quantize(), "GIF", transparency=0),
    "pages": lambda: file(face(), "TIFF", save_all=True, append_images=[Image.new("RGB", (256, 256))]),
    "several in HEIC": lambda: file(face(), "HEIF", save_all=True, append_images=[Image.new("RGB", (256, 256))]),
    **{f"lying, {form}": lambda form=form: lying(form) for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")},  # type: ignore[misc]
}
"""Colours, transparency and directions."""

DAMAGED: dict[str, Callable[[], bytes]] = {
    "JPEG without end": lambda: jpeg()[:-2],
    "JPEG with half an end": lambda: jpeg(progressive=True)[:-1],
    "JPEG, progressive, without end": lambda: jpeg(progressive=True)[:-2],
    "JPEG without end, junk": lambda: jpeg()[:-2] + b"trailer " * 500,
    "JPEG, junk behind": lambda: jpeg() + b"\0\xff\xd8 trailer" * 500,
    "JPEG behind a line break": lambda: b"\r\n" + jpeg(),
    "JPEG behind a byte order mark": lambda: b"\xef\xbb\xbf" + jpeg(),
    "JPEG, EXIF of junk": lambda: jpeg((0xE1, b"Exif\0\0junk")),
    "JPEG, EXIF beyond its end": lambda: jpeg((0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "JPEG, EXIF of many tags": lambda: jpeg((0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")),
    "JPEG, profile of nothing": lambda: jpeg((0xE2, b"ICC_PROFILE\0")),
    "JPEG, Adobe of nothing": lambda: jpeg((0xEE, b"Adobe")),
    "JPEG, pictures that are not there": lambda: jpeg((0xE2, b"MPF\0II*\0\x08\0\0\0\1\0\1\xb0\4\0\xff\xff\xff\xff")),
    "PNG without end": lambda: png(end=False),
    "PNG, EXIF of junk": lambda: png(bombs.png_chunk(b"eXIf", b"junkjunkjunk")),
    "PNG, EXIF with a wrong checksum": lambda: png(wrong(bombs.png_chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0"))),
    "PNG, text of 50 MB": lambda: png(bombs.png_chunk(b"zTXt", b"k\0\0" + _BOMB)),
    "PNG, international text of 50 MB": lambda: png(bombs.png_chunk(b"iTXt", b"k\0\1\0\0\0" + _BOMB)),
    "PNG, profile of 50 MB": lambda: png(bombs.png_chunk(b"iCCP", b"k\0\0" + _BOMB)),
    "PNG, profile of junk": lambda: png(bombs.png_chunk(b"iCCP", b"junk")),
    "PNG, wrong checksums": lambda: png(
        wrong(bombs.png_chunk(b"tEXt", b"a\0b")), wrong(bombs.png_chunk(b"gAMA", b"1"))
    ),
    "PNG, half an animation": lambda: png(bombs.png_chunk(b"acTL", b"1")),
    "WebP, EXIF and profile of junk": lambda: file(face(), "WEBP", exif=b"junk", icc_profile=b"junk" * 9000),
    "AVIF, profile of junk": lambda: file(face(), "AVIF", icc_profile=b"junk", xmp=b"junk"),
    "HEIC, profile of junk": lambda: file(face(), "HEIF", icc_profile=b"junk", xmp=b"junk"),
    "GIF, comment of 100 kB": lambda: file(face().quantize(), "GIF", comment=bytes(100_000), transparency=0),
    "GIF without end": lambda: file(face(), "GIF")[:-1],
    "JPEG 2000 without end": lambda: file(face(), "JPEG2000")[:-2],
    "TIFF, EXIF beyond its end": lambda: file(face(), "TIFF", tiffinfo={34665: 10**6}),
    "TIFF, EXIF in the middle of something": lambda: file(face(), "TIFF", tiffinfo={34665: 9}),
}
"""All pixels are there; what is wrong is beside them."""

WHOLE = SHALLOW | DEEP | MODES | DAMAGED

CUT: dict[str, Callable[[], bytes]] = {
    f"{name}, {part} %": lambda make=make, part=part: make()[: len(make()) * part // 100]  # type: ignore[misc]
    for name, make in {
        "JPEG": jpeg,
        "progressive JPEG": lambda: jpeg(progressive=True),
        "PNG": png,
        "WebP": SHALLOW["WEBP"],
        "AVIF": SHALLOW["AVIF"],
        "HEIC": SHALLOW["HEIF"],
        "JPEG 2000": SHALLOW["JPEG2000"],
        "BMP": SHALLOW["BMP"],
        "TIFF": SHALLOW["TIFF"],
    }.items()
    for part in (20, 50, 80, 99)
}
"""Cut off: pixels are missing."""
