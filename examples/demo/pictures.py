"""Photographs available on every machine after `make setup`, and transformations of them.

Nothing is downloaded. scikit-image ships `astronaut.png` (Eileen Collins; NASA, public domain), `camera.png` (a
photographer in half profile; CC0) and pictures without a face. A group of one person would prove little about a
search, so a second one comes from matplotlib, which the face services need anyway: `grace_hopper.jpg` (US Navy,
public domain).
"""

from functools import cache
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

CHECKOUT = Path(__file__).resolve().parents[2]
Picture = Image.Image

COLLINS, HOPPER, PHOTOGRAPHER = "Eileen Collins", "Grace Hopper", "photographer"
_SHIPPED = {COLLINS: "astronaut.png", PHOTOGRAPHER: "camera.png"}
_HEADS = {COLLINS: (110, 20, 340, 250), HOPPER: (60, 30, 480, 450), PHOTOGRAPHER: (120, 30, 360, 270)}

_EXIF_ORIENTATION = 0x0112
_STORED_TURNED_LEFT = 6
_GREY = (128, 128, 128)


@cache
def photograph(name: str) -> Picture:
    """A photograph that scikit-image ships, in RGB."""
    with as_file(files("skimage") / "data" / name) as path, Image.open(path) as image:
        return image.convert("RGB")


@cache
def _hopper() -> Picture:
    with Image.open(CHECKOUT / "examples" / "demo" / "grace_hopper.jpg") as image:
        return image.convert("RGB")


def portrait(person: str, side: int = 480) -> Picture:
    """Head and shoulders, `side` pixels square, of which the face takes 0.44 (Collins), 0.48 and 0.28."""
    whole = _hopper() if person == HOPPER else photograph(_SHIPPED[person])
    return whole.crop(_HEADS[person]).resize((side, side), Image.Resampling.LANCZOS)


def looking_up(margin: int, scale: float = 1.0) -> Picture:
    """Collins' face, drawn as if she looked up by some 30 degrees, with so many pixels cut off at each side."""
    with Image.open(CHECKOUT / "examples" / "demo" / "looking_up.jpg") as image:
        whole = image.convert("RGB")
    part = whole.crop((margin, margin, whole.width - margin, whole.height - margin))
    return part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS)


def tilted(picture: Picture, degrees: float) -> Picture:
    """Turned clockwise about its centre, the corners grey."""
    return picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=_GREY)


def mirrored(picture: Picture) -> Picture:
    """Left and right exchanged."""
    return ImageOps.mirror(picture)


def grey(picture: Picture) -> Picture:
    """Without colours, in one channel."""
    return picture.convert("L")


def lit(picture: Picture, factor: float) -> Picture:
    """Darker (below 1) or brighter."""
    return picture.point(lambda value: min(255, round(value * factor)))


def blurred(picture: Picture, sigma: float) -> Picture:
    """Out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def side_by_side(*pictures: Picture) -> Picture:
    """One picture of several, in a row."""
    joined = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), _GREY)
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width
    return joined


def encoded(picture: Picture, form: str = "JPEG") -> bytes:
    """The picture as a file of that format."""
    buffer = BytesIO()
    picture.save(buffer, form, quality=90)
    return buffer.getvalue()


def stored_sideways(picture: Picture) -> bytes:
    """A JPEG as a phone held upright writes it: lying on its side, with the EXIF mark that says so."""
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _STORED_TURNED_LEFT
    buffer = BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()
