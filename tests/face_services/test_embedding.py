"""Embeddings of the real engine: near for one person, far for two."""

import numpy as np
import pytest

from face_services.engine import Embedding, Image
from face_services.opencv_engine import OpenCvEngine
from face_services.search import SAME_PERSON_DISTANCE
from tests.face_services import photographs


def embedding(engine: OpenCvEngine, picture: Image) -> Embedding:
    """The vector of a picture's best face."""
    return engine.embed(engine.detect(picture)[0].chip)


CHANGES = {
    "mirrored": photographs.mirrored,
    "turned": lambda picture: photographs.rotated(picture, 30),
    "upside down": lambda picture: photographs.rotated(picture, 180),
    "half size": lambda picture: photographs.scaled(picture, 0.5),
    "six times the size": lambda picture: photographs.scaled(picture, 6),
    "darker": lambda picture: (picture * 0.6).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_a_changed_picture_stays_the_same_person(engine: OpenCvEngine, who: object, change: object) -> None:
    """Mirroring, turning, scaling and darkening leave the embedding well within the threshold."""
    distance = np.linalg.norm(embedding(engine, who()) - embedding(engine, change(who())))
    assert distance < SAME_PERSON_DISTANCE / 2


def test_different_people_are_apart(engine: OpenCvEngine) -> None:
    """Any two of three people are farther apart than the threshold."""
    people = [embedding(engine, who()) for who in (photographs.astronaut, photographs.hopper, photographs.photographer)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(people[one] - people[other]) > SAME_PERSON_DISTANCE


def test_a_face_without_a_mesh_has_an_embedding_too(engine: OpenCvEngine) -> None:
    """A face too blurred for the mesh can be stored: 128 finite numbers."""
    vector = embedding(engine, photographs.blurred(photographs.astronaut(), 6))
    assert vector.shape == (128,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
