"""Coloured pictures for the fake engine, and pictures as the protocol sends them."""

import base64
import io

import numpy as np
from PIL import Image as Pillow

from face_services.engine import Image

Colour = tuple[int, int, int]
BLACK, RED, GREEN, BLUE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def coloured(left: Colour, right: Colour = BLACK) -> Image:
    """100x60 pixels of two colours, in which `FakeEngine` sees a face per half that is not black."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:, :50], pixels[:, 50:] = left, right
    return pixels


def encoded(pixels: Image, form: str = "PNG", **options: object) -> bytes:
    """The picture as a file of that format."""
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def data_uri(content: bytes) -> str:
    """A data URI as the protocol has it."""
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def uri_of(pixels: Image, form: str = "PNG") -> str:
    """The picture as a data URI."""
    return data_uri(encoded(pixels, form))
