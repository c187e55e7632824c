"""Pictures that are small by their size and not by what they take: to open, to decode, or to read EXIF of."""

import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from struct import calcsize, pack
from typing import NamedTuple

from PIL import Image
from pillow_heif import from_pillow

SIDE = 7000
"""Of a picture that is just within the bound of 50 megapixels."""
BYTE, SHORT, LONG, FRACTION = 1, 3, 4, 5
_FORMS = {BYTE: "B", SHORT: "H", LONG: "I", FRACTION: "Q"}
DATA = -1
"""As a value: where the data are, which follow the directory."""


def zeros(count: int) -> bytes:
    """So many zero bytes, in a thousandth of the room."""
    packer, block = zlib.compressobj(9), bytes(2**20)
    parts = [packer.compress(block[: min(len(block), count - at)]) for at in range(0, count, len(block))]
    return b"".join(parts) + packer.flush()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes, kind: int = 0) -> bytes:
    """A black PNG of 8 bits a channel, grey or (6) RGBA, with chunks before its picture."""
    header = png_chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    picture = png_chunk(b"IDAT", zeros(height * (width * (4 if kind else 1) + 1)))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, picture, png_chunk(b"IEND", b"")))


def saved(form: str, size: tuple[int, int] = (16, 16), mode: str = "RGB", **options: object) -> bytes:
    """A black picture as a file's bytes."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, form, **options)
    return out.getvalue()


Tag = tuple[int, int | list[int]]
"""Type and value, or values."""


def tiff_of(size: tuple[int, int], data: bytes, compression: int = 8, samples: int = 1, **more: Tag) -> bytes:
    """A TIFF of one strip, or as tags say that are named like `t322`."""
    tags: dict[int, Tag] = {256: (LONG, size[0]), 257: (LONG, size[1]), 258: (SHORT, [8] * samples)}
    tags |= {259: (SHORT, compression), 262: (SHORT, 2 if samples == 3 else 1), 277: (SHORT, samples)}
    tags |= {int(name[1:]): tag for name, tag in more.items()}
    if 322 not in tags:
        tags = {273: (LONG, DATA), 278: (LONG, size[1]), 279: (LONG, len(data))} | tags
    behind = at = 8 + 2 + 12 * len(tags) + 4
    lists = {tag: values for tag, (_, values) in tags.items() if isinstance(values, list)}
    behind += sum(calcsize(_FORMS[tags[tag][0]]) * len(values) for tag, values in lists.items())
    entries, rest = b"", b""
    for tag, (type_, values) in sorted(tags.items()):
        packed = [behind if value == DATA else value for value in (values if isinstance(values, list) else [values])]
        raw = pack(f"<{len(packed)}{_FORMS[type_]}", *packed)
        entries += pack("<HHI", tag, type_, len(packed))
        if isinstance(values, list):
            entries += raw.ljust(4, b"\0") if len(raw) <= 4 else pack("<I", at + len(rest))
            rest += raw
        else:
            entries += raw.ljust(4, b"\0")
    return b"II*\0" + pack("<IH", 8, len(tags)) + entries + bytes(4) + rest + data


def tiff_tile(width: int, height: int, samples: int = 3, **more: Tag) -> bytes:
    """A TIFF of 16x16 pixels in one tile of another size."""
    data = zeros(width * height * samples)
    tile: dict[str, Tag] = {
        "t322": (LONG, width),
        "t323": (LONG, height),
        "t324": (LONG, DATA),
        "t325": (LONG, len(data)),
    }
    return tiff_of((16, 16), data, samples=samples, **(tile | more))


def fractions(tag: int, count: int) -> bytes:
    """EXIF, one of whose tags has so many values, after the unit that makes Pillow read it."""
    head = pack(">HHHIHHHHII", 2, 0x128, SHORT, 1, 2, 0, tag, FRACTION, count, 38)
    return b"MM\0*" + pack(">I", 8) + head + bytes(4) + b"\0\1\0\2\0\3\0\4" * count


def jpeg_of(segments: bytes) -> bytes:
    """A JPEG with segments of one's own, and no JFIF."""
    whole = saved("JPEG")
    return whole[:2] + segments + whole[20:]


def exif_segments(exif: bytes) -> bytes:
    """EXIF as a JPEG has it, in pieces."""
    pieces = (b"Exif\0\0" + exif[at : at + 65_000] for at in range(0, len(exif), 65_000))
    return b"".join(b"\xff\xe1" + pack(">H", len(piece) + 2) + piece for piece in pieces)


def gif_of(extensions: bytes) -> bytes:
    """A GIF with extensions before its first frame."""
    whole = saved("GIF", mode="P")
    at = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
    return whole[:at] + extensions + whole[at:]


def webp_canvas(side: int) -> bytes:
    """An animated WebP of two tiny frames on a canvas so wide and high."""
    frames = [Image.new("RGBA", (16, 16), (shade, 2, 3, 4)) for shade in (1, 9)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    whole = out.getvalue()
    at = whole.index(b"VP8X") + 12
    return whole[:at] + pack("<I", side - 1)[:3] * 2 + whole[at + 6 :]


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of 8 bits a pixel, compressed as runs."""
    colours = bytes((1, 0, 5, 0)) * 2
    header = pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 2, 0)
    return b"BM" + pack("<IHHI", 62 + len(runs), 0, 0, 62) + header + colours + runs


def heif_of(side: int) -> bytes:
    """A black HEIC picture."""
    out = io.BytesIO()
    from_pillow(Image.new("RGB", (side, side))).save(out, quality=1)
    return out.getvalue()


def with_exif_directory(count: int) -> bytes:
    """A TIFF whose EXIF directory has a tag of so many values."""
    empty = tiff_of((16, 16), b"", t34665=(LONG, DATA))
    at = len(empty)
    directory = pack("<HHHII", 1, 40_000, FRACTION, count, at + 64) + bytes(4)
    pixels = zeros(16 * 16)
    data = directory.ljust(64, b"\0") + b"\0\1\0\2\0\3\0\4" * count + pixels
    place: Tag = (LONG, at + len(data) - len(pixels))
    return tiff_of((16, 16), data, t34665=(LONG, DATA), t273=place, t279=(LONG, len(pixels)))


def named_twice() -> bytes:
    """A TIFF with a second width, which Pillow passes over and libtiff does not."""
    return tiff_of((SIDE, SIDE), zeros(SIDE * SIDE)).replace(pack("<HHI", 262, SHORT, 1), pack("<HHI", 256, SHORT, 1))


class Bomb(NamedTuple):
    """How it is made, and words of the import and of the face services: of the refusal, or that it passed."""

    make: Callable[[], bytes]
    words: str


_THIN: dict[str, Tag] = {"t322": (LONG, 16), "t323": (LONG, 60_000), "t324": (LONG, [DATA] * 1250)}
_READS = "more than 1048576 parts"

BOMBS = {
    "tiff, a tile of 144 megapixels": Bomb(lambda: tiff_tile(12_000, 12_000), "tile of 12000x12000"),
    "tiff, planes of 144 megapixels": Bomb(
        lambda: tiff_tile(12_000, 12_000, t284=(SHORT, 2), t324=(LONG, [DATA] * 3)),
        "tile of 12000x12000",
    ),
    "tiff, a tile of YCbCr": Bomb(
        lambda: tiff_tile(12_000, 12_000, t262=(SHORT, 6), t530=(SHORT, [1, 1])), "tile of 12000x12000"
    ),
    "tiff, a strip of 64 bits a pixel": Bomb(
        lambda: tiff_of(
            (SIDE, SIDE), zeros(SIDE * SIDE * 8), samples=4, t258=(SHORT, [16] * 4), t262=(SHORT, 2), t338=(SHORT, 2)
        ),
        "strip of 7000x7000 pixels takes",
    ),
    "tiff, tiles far beyond the edge": Bomb(
        lambda: tiff_of((20_000, 1), zeros(16 * 60_000), **(_THIN | {"t325": (LONG, [1000] * 1250)})),
        "in total",
    ),
    "tiff, a row of fax": Bomb(lambda: tiff_of((50_000_000, 1), b"\x80\0\0\0", 4, t258=(SHORT, 1)), "50000000x1"),
    "tiff, a tile of fax": Bomb(
        lambda: tiff_of(
            (16, 1), b"\x80\0\0\0", 4, t258=(SHORT, 1), t322=(LONG, 49_999_984), t323=(LONG, 1), t324=(LONG, DATA)
        ),
        "49999984x1",
    ),
    "tiff, six million strips of nothing": Bomb(
        lambda: tiff_of((1, 2), b"\0", 1, t278=(LONG, 1), t273=(SHORT, [8] * 6_000_000)), "6000000 strips"
    ),
    "tiff, the same strips again": Bomb(
        lambda: tiff_of((4000, 2001), bytes(8_100_000), 1, t278=(LONG, 2000), t273=(LONG, [DATA] * 90_000)),
        "90000 strips",
    ),
    "tiff, tiles of a pixel": Bomb(
        lambda: tiff_of((1500, 1500), zeros(1), t322=(LONG, 1), t323=(LONG, 1), t324=(LONG, DATA)),
        "2250000 (tiles|strips)",
    ),
    "tiff, two widths": Bomb(named_twice, "tag 256 given twice"),
    "tiff, a resolution of a million values": Bomb(
        lambda: tiff_of((16, 16), zeros(256), t282=(FRACTION, [2**33 + 1] * 2_000_000)), "values"
    ),
    "tiff, exif of a million values": Bomb(lambda: with_exif_directory(2_000_000), "passed"),
    "tiff, a million tags": Bomb(
        lambda: b"II+\0\x08\0\0\0" + pack("<QQ", 16, 900_000) + pack("<HHQQ", 7, 200, 1, 1) * 900_000 + bytes(8),
        "900000 tags",
    ),
    "png, a row": Bomb(lambda: png_of(49_000_000, 1, kind=6), "49000000x1"),
    "png, exif of a million values": Bomb(
        lambda: png_of(8, 8, png_chunk(b"eXIf", fractions(274, 2_000_000))), "passed"
    ),
    "png, exif as a text": Bomb(
        lambda: png_of(
            8, 8, png_chunk(b"tEXt", b"Raw profile type exif\0\n\n\n" + fractions(274, 10**6).hex().encode())
        ),
        "passed",
    ),
    "png, text and profile of 200 MB": Bomb(
        lambda: png_of(
            8, 8, png_chunk(b"zTXt", b"k\0\0" + zeros(200 * 2**20)), png_chunk(b"iCCP", b"k\0\0" + zeros(200 * 2**20))
        ),
        "passed",
    ),
    "png, chunks of nothing": Bomb(lambda: png_of(8, 8, png_chunk(b"aaaa", b"") * 1_500_000), _READS),
    "jpeg, exif of a million values": Bomb(lambda: jpeg_of(exif_segments(fractions(0x11A, 2_000_000))), "passed"),
    "jpeg, segments of nothing": Bomb(lambda: jpeg_of(b"\xff\xe1\0\2" * 4_500_000), _READS),
    "gif, comments of two letters": Bomb(lambda: gif_of(b"!\xfe" + b"\2ab" * 6_000_000 + b"\0"), _READS),
    "gif, extensions of nothing": Bomb(lambda: gif_of(b"!\xfe\0" * 6_000_000), _READS),
    "webp, a canvas of 49 megapixels": Bomb(lambda: webp_canvas(SIDE), "more than 25000000"),
    "webp, exif of a million values": Bomb(
        lambda: saved("WEBP", exif=b"Exif\0\0" + fractions(274, 1_200_000)), "passed"
    ),
    "jpeg 2000, 49 megapixels by its header": Bomb(
        lambda: saved("JPEG2000").replace(pack(">II", 16, 16), pack(">II", SIDE, SIDE)), "more than 6250000"
    ),
    "avif, 49 megapixels by its header": Bomb(
        lambda: saved("AVIF").replace(pack(">II", 16, 16), pack(">II", SIDE, SIDE)), "more than 25000000"
    ),
    "avif, 26 megapixels in an image of 64x64": Bomb(
        lambda: saved("AVIF", (5100, 5100), speed=10).replace(pack(">II", 5100, 5100), pack(">II", 64, 64)),
        "AVIF with an image of 5100x5100",
    ),
    "heif, four gigapixels by its header": Bomb(
        lambda: heif_of(64).replace(pack(">II", 64, 64), pack(">II", 2**16, 2**16)), "pixels, more than 50000000"
    ),
    "heif, 12 megapixels in an image of 64x64": Bomb(
        lambda: heif_of(3500).replace(pack(">II", 3500, 3500), pack(">II", 64, 64)), "[Ll]imit exceeded"
    ),
    "bmp, runs of a pixel a row": Bomb(lambda: bmp_of_runs(SIDE, SIDE, b"\1\1\0\0" * SIDE), "more than 6250000"),
    "bmp, runs that fill nothing": Bomb(lambda: bmp_of_runs(700, SIDE, b"\xff\1" * 9_000_000), _READS),
}

LIMIT = 450
"""Megabytes: eight bytes for each of the pixels, and some."""
_CHILD = """
import sys
from resource import RLIMIT_AS, setrlimit
from pathlib import Path
from time import process_time
from tests.memory import peak_bytes
{imports}
data = sys.stdin.buffer.read()
used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
setrlimit(RLIMIT_AS, (used + {limit} * 2**20,) * 2)
before, began = peak_bytes(), process_time()
try:
    {call}
    print("passed")
except {error} as error:
    print(error if str(error) else error.__context__)  # who raises it without words keeps them to itself
print((peak_bytes() - before) // 2**20, process_time() - began)
"""
_SECONDS = 5
"""Of processor time; most of them end within a tenth of one."""


def child(imports: str, call: str, error: str) -> str:
    """A program that decodes what it is fed, with little memory beside that which it began with."""
    return _CHILD.format(imports=imports, call=call, error=error, limit=LIMIT)


def decoded(program: str, data: bytes) -> tuple[str, int]:
    """What a process of little memory said of a picture, in little time, and how many megabytes it took."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        capture_output=True,
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": "plugins:."},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    result, figures = done.stdout.decode().splitlines()
    megabytes, seconds = figures.split()
    assert float(seconds) < _SECONDS
    assert done.stderr == b""
    return result, int(megabytes)
