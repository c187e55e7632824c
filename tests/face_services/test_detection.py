"""What the real engine takes for a face."""

import numpy as np
import pytest

from face_services.geometry import Box
from face_services.opencv_engine import OpenCvEngine
from tests.face_services import photographs

ASTRONAUTS_FACE = Box(174, 75, 276, 177)
HOPPERS_FACE = Box(165, 138, 368, 341)


def test_finds_the_one_face_of_a_portrait(engine: OpenCvEngine) -> None:
    """The astronaut's face is found once, where it is, with a good score."""
    (face,) = engine.detect(photographs.astronaut())
    assert face.box.overlap(ASTRONAUTS_FACE) > 0.7
    assert face.score > 0.8


@pytest.mark.parametrize("factor", [0.5, 6], ids=["256x256", "3072x3072"])
def test_the_box_grows_with_the_picture(engine: OpenCvEngine, factor: float) -> None:
    """A smaller or larger copy of a picture has the face at the same place."""
    (face,) = engine.detect(photographs.scaled(photographs.astronaut(), factor))
    assert face.box.overlap(ASTRONAUTS_FACE.scaled(factor)) > 0.6


@pytest.mark.parametrize("clockwise", range(0, 360, 45))
def test_finds_a_face_whichever_way_up(engine: OpenCvEngine, clockwise: int) -> None:
    """A rotated portrait still has exactly one face, at the rotated place."""
    (face,) = engine.detect(photographs.rotated(photographs.hopper(), clockwise))
    middle = np.array((256, 303))
    offset = np.array(HOPPERS_FACE.centre) - middle
    angle = np.radians(clockwise)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ offset * 0.8 + middle
    assert np.hypot(*(np.array(face.box.centre) - expected)) < 20


def test_finds_faces_side_by_side(engine: OpenCvEngine) -> None:
    """Three faces close to each other are three faces, in a long picture as well."""
    one = photographs.astronaut()[40:220, 150:300]
    assert len(engine.detect(np.ascontiguousarray(np.hstack([one] * 3)))) == 3
    wide = [photographs.astronaut(), photographs.mirrored(photographs.astronaut()), photographs.astronaut()]
    assert len(engine.detect(np.hstack(wide))) == 3


@pytest.mark.parametrize("factor", [0.12, 0.15, 0.3], ids=["20 px", "25 px", "50 px"])
def test_finds_a_small_face_in_a_large_picture(engine: OpenCvEngine, factor: float) -> None:
    """A face 20 px wide in a 1280x720 picture is found by looking closer, and its box is no wider."""
    small = photographs.at(photographs.scaled(photographs.hopper(), factor), (300, 100), 1280, 720)
    (face,) = engine.detect(small)
    assert face.box.overlap(HOPPERS_FACE.scaled(factor).moved(300, 100)) > 0.6


@pytest.mark.parametrize("light", [1 / 2, 1 / 4, 1 / 8])
def test_finds_a_face_in_the_dark(engine: OpenCvEngine, light: float) -> None:
    """At an eighth of its brightness it is where it was."""
    (face,) = engine.detect((photographs.astronaut() * light).astype(np.uint8))
    assert face.box.overlap(ASTRONAUTS_FACE) > 0.7


@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_finds_a_face_that_the_border_cuts(engine: OpenCvEngine, who: object) -> None:
    """With a third of it outside, on either side, it is found once, and its box ends at the border."""
    box = engine.detect(who())[0].box
    for cut in (who()[:, round(box.left + box.width / 3) :], who()[:, : round(box.right - box.width / 3)]):
        (face,) = engine.detect(np.ascontiguousarray(cut))
        assert face.box == face.box.clipped(cut.shape[1], cut.shape[0])


def test_the_largest_face_is_the_nearest_person(engine: OpenCvEngine) -> None:
    """Of two people, the one who is twice as near has the larger box."""
    far = photographs.scaled(photographs.astronaut(), 0.5)
    picture = photographs.at(photographs.astronaut(), (0, 0), 900, 512)
    picture[: far.shape[0], 600 : 600 + far.shape[1]] = far
    near, other = sorted(engine.detect(picture), key=lambda face: -face.box.area)
    assert near.box.overlap(ASTRONAUTS_FACE) > 0.7
    assert other.box.area < near.box.area / 2


def test_a_very_blurred_face_is_a_face_without_a_pose(engine: OpenCvEngine) -> None:
    """The detector still sees it but no mesh fits: it counts, and its pose is unknown."""
    (face,) = engine.detect(photographs.blurred(photographs.astronaut(), 8))
    assert face.box.overlap(ASTRONAUTS_FACE) > 0.5
    assert face.pose is None


@pytest.mark.parametrize("name", photographs.FACELESS)
def test_sees_no_face_where_there_is_none(engine: OpenCvEngine, name: str) -> None:
    """Cats, rockets, coffee, text and textures have no face, also at half the size."""
    picture = photographs.faceless(name)
    assert engine.detect(picture) == engine.detect(photographs.scaled(picture, 0.5)) == []


def test_sees_no_face_in_scraps_of_background(engine: OpenCvEngine) -> None:
    """None of a hundred pieces of photographs beside a face is taken for one."""
    found = [n for n, scrap in enumerate(photographs.scraps()) if engine.detect(scrap)]
    assert found == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (7, 5)], ids=str)
def test_survives_odd_pictures(engine: OpenCvEngine, shape: tuple[int, int]) -> None:
    """A dot or a line has no face and does no harm."""
    assert engine.detect(np.full((*shape, 3), 90, np.uint8)) == []


def test_a_box_ends_at_the_border(engine: OpenCvEngine) -> None:
    """A face that is cut by the border has a box inside of the picture."""
    cut = np.ascontiguousarray(photographs.hopper()[170:, 190:])
    for face in engine.detect(cut):
        assert face.box == face.box.clipped(cut.shape[1], cut.shape[0])
