"""How blurred a face is, whatever its light: 0 is sharp, 100 is blurred. The import and the face services use it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
"""Pixels to which a face is scaled: one that has so many itself can score as sharp."""

_AROUND = 5
"""Pixels on each side whose mean is a pixel's surroundings."""
_HALF_BLURRED = 1 / 3
"""Share at which a face scores 50: about that of a sharp one after a Gaussian blur of 1.5 % of its width."""
_STEEPNESS = 1.8
_DARKEST = 2.0
"""Added to surroundings, so that black ones do not outweigh all others."""
_ROUNDING = 1 / 12
"""Variance of the error of a grey value that was rounded."""
_LAPLACIAN_SQUARES = 20
"""Sum of the squares of the Laplacian's weights: by how much it amplifies such errors."""

_Greys = NDArray[np.float64]


def blur_of_face(face: Image.Image) -> int:
    """Measures the blur of a grey picture that a face fills.

    The finest detail (the Laplacian) as a share of all detail (the deviation from the surroundings), both relative to
    the brightness of the surroundings: so neither brightness nor contrast nor gamma changes it much. What rounding to
    whole grey values adds, which is much in a dark picture, is subtracted from both.
    """
    grey = np.asarray(face.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float64)
    mean = _surroundings(grey)
    weight = 1 / (mean + _DARKEST) ** 2
    rounding = _ROUNDING * weight.sum()
    fine = float((weight * _laplacian(grey) ** 2).sum() - _LAPLACIAN_SQUARES * rounding)
    detail = float((weight * (grey - mean) ** 2).sum() - rounding)
    if fine <= 0 or detail <= 0:
        return 100
    share: float = (fine / detail / _HALF_BLURRED) ** _STEEPNESS
    return round(100 / (1 + share))


def _surroundings(grey: _Greys) -> _Greys:
    """The mean of the square around each pixel."""
    width = 2 * _AROUND + 1
    sums = np.pad(grey, ((_AROUND + 1, _AROUND), (_AROUND + 1, _AROUND)), mode="edge").cumsum(axis=0).cumsum(axis=1)
    squares: _Greys = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return squares / width**2


def _laplacian(grey: _Greys) -> _Greys:
    """Of the picture with its border repeated."""
    padded = np.pad(grey, 1, mode="edge")
    neighbours: _Greys = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return neighbours - 4 * grey
