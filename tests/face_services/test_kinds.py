"""What the import accepts, the face services find the face in: they share formats, limits and conversion."""

import pytest

from face_services.decode import picture
from face_services.errors import BadImage
from face_services.geometry import Box
from face_services.opencv_engine import OpenCvEngine
from tests import kinds
from tests.face_services.pictures import data_uri

MOST = 50_000_000
HER_FACE = Box(74, 75, 176, 177)


@pytest.mark.parametrize("name", kinds.WHOLE)
def test_the_face_is_found_in_a_picture_of_any_kind(engine: OpenCvEngine, name: str) -> None:
    """Whatever its format, its mode and its metadata, where it is in the photograph."""
    (face,) = engine.detect(picture(data_uri(kinds.WHOLE[name]()), MOST))
    assert face.box.overlap(HER_FACE) > 0.7


@pytest.mark.parametrize("name", kinds.CUT)
def test_missing_pixels_are_refused(name: str) -> None:
    """Half a face is not measured."""
    with pytest.raises(BadImage, match=r"unreadable image|not a picture"):
        picture(data_uri(kinds.CUT[name]()), MOST)
