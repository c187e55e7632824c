"""Boxes, tiles, and points on their way into a crop and back."""

import numpy as np
import pytest

from face_services.crop import Crop
from face_services.geometry import Box
from face_services.opencv_engine import _turned_back


def test_overlap_is_intersection_over_union() -> None:
    """Two boxes that share a third overlap by a third; apart or touching, by nothing."""
    assert Box(0, 0, 2, 1).overlap(Box(1, 0, 3, 1)) == pytest.approx(1 / 3)
    assert Box(0, 0, 1, 1).overlap(Box(1, 0, 2, 1)) == 0


def test_a_box_within_another_is_the_same_face() -> None:
    """A nested box is one face with its outer one, a neighbour is not."""
    assert Box(0, 0, 100, 100).same_face(Box(30, 30, 60, 60))
    assert not Box(0, 0, 100, 100).same_face(Box(90, 0, 190, 100))


@pytest.mark.parametrize("turn", [0, 90, 200, 315])
@pytest.mark.parametrize("size", [40, 900], ids=["enlarged", "shrunk"])
def test_points_find_back_from_a_crop(turn: int, size: int) -> None:
    """A white dot of the picture is in the crop where its point says, whichever way the crop is turned."""
    image = np.zeros((1000, 1000, 3), np.uint8)
    crop = Crop.around(image, (500, 500), size * 2, np.radians(turn), 192)
    x, y = crop.to_picture(np.array([[120.0, 60.0]]))[0].round().astype(int)
    image[y - size // 40 : y + size // 40 + 1, x - size // 40 : x + size // 40 + 1] = 255
    rows, columns = np.nonzero(Crop.around(image, (500, 500), size * 2, np.radians(turn), 192).pixels[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((120, 60), abs=3)


@pytest.mark.parametrize("turns", range(4))
def test_a_box_of_a_turned_picture_finds_back(turns: int) -> None:
    """A box found in a turned picture is translated to the picture as it was."""
    image = np.zeros((60, 100, 3), np.uint8)
    image[10:20, 70:90] = 1
    turned = np.rot90(image, turns)
    rows, columns = np.nonzero(turned[..., 0])
    found = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert _turned_back(found, turned, turns) == Box(70, 10, 90, 20)
