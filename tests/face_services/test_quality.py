"""The one word for a face's quality."""

import pytest

from face_services.geometry import Box
from face_services.quality import blur, quality
from tests.face_services.photographs import astronaut, blurred

HER_FACE = Box(180, 75, 270, 180)


@pytest.mark.parametrize(("sigma", "expected"), [(0, "clear"), (4, "blur")])
def test_quality_tells_a_blurred_face(sigma: int, expected: str) -> None:
    """The same face is clear as taken and blurred behind a Gaussian filter."""
    image = blurred(astronaut(), sigma) if sigma else astronaut()
    assert quality(image, HER_FACE, HER_FACE.side) == expected


def test_quality_of_a_tiny_face_is_small() -> None:
    """A face under 40 pixels is small, however sharp; a box on the border does no harm."""
    assert quality(astronaut(), Box(200, 100, 230, 130), 30) == "small"
    assert blur(astronaut(), Box(511.5, 511.5, 512, 512)) == 100
