"""Boxes, tiles, and points on their way into a crop and back."""

import numpy as np
import pytest

from face_services.crop import Crop
from face_services.geometry import Box, tiles
from face_services.mediapipe_engine import _turned_back


def test_overlap_is_intersection_over_union() -> None:
    """Two boxes that share a third overlap by a third; apart or touching, by nothing."""
    assert Box(0, 0, 2, 1).overlap(Box(1, 0, 3, 1)) == pytest.approx(1 / 3)
    assert Box(0, 0, 1, 1).overlap(Box(1, 0, 2, 1)) == 0


def test_a_box_within_another_is_the_same_face() -> None:
    """A nested box is one face with its outer one, a neighbour is not."""
    assert Box(0, 0, 100, 100).same_face(Box(30, 30, 60, 60))
    assert not Box(0, 0, 100, 100).same_face(Box(90, 0, 190, 100))


@pytest.mark.parametrize("size", [(480, 480), (481, 480), (1280, 720), (10, 2000)], ids=str)
def test_tiles_cover_every_pixel(size: tuple[int, int]) -> None:
    """Every pixel lies in a tile, and every face up to the overlap lies wholly in one."""
    seen = np.zeros((size[1], size[0]), bool)
    for x, y in tiles(*size, 480, 360):
        seen[y : y + 480, x : x + 480] = True
    assert seen.all()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("size", [40, 900], ids=["enlarged", "shrunk"])
def test_points_find_back_from_a_crop(turns: int, size: int) -> None:
    """A white dot of the picture is in the crop where its point says, whichever way the crop is turned."""
    image = np.zeros((1000, 1000, 3), np.uint8)
    dot = np.array([[500.0 + size / 4, 500.0 - size / 3]])
    x, y = dot[0].astype(int)
    image[y - size // 40 : y + size // 40 + 1, x - size // 40 : x + size // 40 + 1] = 255
    crop = Crop.around(image, Box(500 - size / 2, 500 - size / 2, 500 + size / 2, 500 + size / 2)).turned(turns)
    inside = crop.from_picture(dot)
    assert crop.to_picture(inside) == pytest.approx(dot)
    rows, columns = np.nonzero(crop.pixels[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx(tuple(inside[0]), abs=6)


@pytest.mark.parametrize("turns", range(4))
def test_a_box_of_a_turned_picture_finds_back(turns: int) -> None:
    """A box found in a turned picture is translated to the picture as it was."""
    image = np.zeros((60, 100, 3), np.uint8)
    image[10:20, 70:90] = 1
    turned = np.rot90(image, turns)
    rows, columns = np.nonzero(turned[..., 0])
    found = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert _turned_back(found, turned, turns) == Box(70, 10, 90, 20)
