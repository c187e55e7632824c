"""One conversion for all modes: to eight bits a channel, opaque, upright. It imports nothing but Pillow and numpy."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Box = tuple[int, int, int, int]
"""Left, top, right and bottom."""
Values = NDArray[np.float64]
"""Of a part of an image, shape (height, width) or (height, width, 3)."""

_BAND = 2**20
"""Pixels converted at a time: a whole image of floats is large."""
_LINES, _COLUMNS = 500, 1000
"""At most twice as many are looked at for the range of an image's values."""
_OUTLIERS = 1
"""Per cent of the pixels at either end that may be darker or brighter than the rest: dead pixels, captions."""
_FAR = 20
"""Times the range of the middle half, from the middle, beyond which a value stands for "nothing here": -9999, 1e30."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF's orientation; 1 is upright."""


def is_deep(mode: str) -> bool:
    """Whether a channel has more than eight bits."""
    return mode[0] in "IF"


def has_transparency(image: Image.Image) -> bool:
    """Whether some of an image may be transparent."""
    return image.mode[-1] in "Aa" or "transparency" in image.info


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale the values of 16-bit, integer and float images to eight bits, by the range that the image uses.

    Not by that of the mode: cameras write 12 bits into 16, and floats have no range. Values that are not finite count
    as black or white. Other images are returned as they are.
    """
    if not is_deep(image.mode):
        return image
    return _scaled("L", image.size, lambda box: np.asarray(image.crop(box), dtype=np.float64))


def joined(high: Image.Image, low: Image.Image) -> Image.Image:
    """The same for an RGB image of 16 bits a channel, whose upper and lower bytes are two images of one size."""

    def values(box: Box) -> Values:
        upper, lower = (np.asarray(part.crop(box).convert("RGB"), dtype=np.float64) for part in (high, low))
        return 256 * upper + lower

    return _scaled("RGB", high.size, values)


def opaque(image: Image.Image) -> Image.Image:
    """Convert an image of eight bits to RGB, on white where it is transparent, as viewers show it.

    An alpha channel that is zero everywhere says nothing: some writers leave it empty.
    """
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB") or image.convert("RGB")
    if not has_transparency(image) or _is_hidden(image):
        return image if image.mode == "RGB" else image.convert("RGB")
    flat = Image.new("RGB", image.size, "white")
    for box in _bands(image.size):
        part = image.crop(box)
        part = (part.convert("LA") if part.mode == "La" else part).convert("RGBA")
        flat.paste(part, box, part)
    return flat


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror an image as its EXIF orientation asks."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _scaled(mode: str, size: tuple[int, int], values: Callable[[Box], Values]) -> Image.Image:
    """An image whose darkest value is 0 and whose brightest is 255, from the values of any part of it."""
    low, high = _range(size, values)
    factor = 255 / (high - low) if high > low else 0.0
    image = Image.new(mode, size)
    for box in _bands(size):
        with np.errstate(all="ignore"):
            steps = np.nan_to_num((values(box) - low) * factor, nan=0, posinf=255, neginf=0)
        image.paste(Image.fromarray(np.clip(steps, 0, 255).round().astype(np.uint8)), box)
    return image


def _range(size: tuple[int, int], values: Callable[[Box], Values]) -> tuple[float, float]:
    """The values between which nearly all finite ones are, by a sample."""
    width, height = size
    lines = range(0, height, max(1, height // _LINES))
    across = slice(None, None, max(1, width // _COLUMNS))
    sample = np.concatenate([values((0, y, width, y + 1))[0, across].ravel() for y in lines])
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return 0.0, 0.0
    quarter, middle, rest = np.percentile(finite, (25, 50, 75))
    if rest > quarter:
        finite = finite[np.abs(finite - middle) <= _FAR * (rest - quarter)]
    low, high = np.percentile(finite, (_OUTLIERS, 100 - _OUTLIERS))
    return (float(low), float(high)) if high > low else (float(finite.min()), float(finite.max()))


def _is_hidden(image: Image.Image) -> bool:
    return image.mode in {"LA", "PA", "RGBA"} and image.getchannel("A").getextrema()[1] == 0


def _bands(size: tuple[int, int]) -> Iterator[Box]:
    width, height = size
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)
