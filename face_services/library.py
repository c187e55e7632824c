"""The face library service: groups of known faces under `/v1/face/groups`.

A failure is `{"error": "..."}` under an HTTP status of 4xx or 5xx.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from flask import Blueprint, current_app

from face_services.decode import picture
from face_services.engine import Embedding, Engine, Face, Image
from face_services.errors import BadRequest, NoFace
from face_services.quality import quality
from face_services.runner import current_runner
from face_services.search import Match, SearchIndex
from face_services.settings import current_settings
from face_services.store import KnownFace, Store
from face_services.wire import AddRequest, Corners, CreateRequest, DeleteRequest, SearchRequest, body, corners

EXTENSION = "face_services.library"
SAME_BOX_OVERLAP = 0.3
ORIENTATIONS = ("up", "up_right", "right", "down_right", "down", "down_left", "left", "up_left")

blueprint = Blueprint("library", __name__, url_prefix="/v1/face/groups")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """What the endpoints share."""

    store: Store
    index: SearchIndex


@dataclass(frozen=True)
class _Measured:
    """One face of a picture, ready to be stored or searched for."""

    face: Face
    embedding: Embedding
    quality: str
    orientation: str
    face_number: int


@blueprint.get("")
def names() -> dict[str, Any]:
    """Lists the groups."""
    return {"groups": _library().store.names()}


@blueprint.post("/<group>")
def create(group: str) -> dict[str, Any]:
    """Creates an empty group."""
    _library().store.create(group, body(CreateRequest).config.capacity)
    _log.info("group created group=%s", group)
    return {}


@blueprint.get("/<group>")
def describe(group: str) -> dict[str, Any]:
    """A group's capacity (0: no limit), and its numbers of faces and of distinct tags."""
    info = _library().store.describe(group)
    return {"config": {"capacity": info.capacity}, "tags": info.tags, "count": info.count}


@blueprint.post("/<group>/remove")
def remove(group: str) -> dict[str, Any]:
    """Removes a group with its faces."""
    _library().store.remove(group)
    _log.info("group removed group=%s", group)
    return {}


@blueprint.post("/<group>/delete")
def delete(group: str) -> dict[str, Any]:
    """Removes faces by id; unknown ids are ignored."""
    _library().store.delete(group, body(DeleteRequest).ids)
    return {}


@blueprint.post("/<group>/add")
def add(group: str) -> dict[str, Any]:
    """Adds the face in the given box, or the picture's largest, under the given id, or a new one."""
    with current_runner().place():
        asked = body(AddRequest)
        image = asked.image
        face_id = image.id or uuid4().hex
        _library().store.check_free(group, face_id)
        found = current_runner().run(_measure, image.uri, image.bounding_box, current_settings().max_pixels)
    if asked.params.reject_bad_face and found.quality != "clear":
        raise BadRequest(f"bad face: {found.quality}")
    box = corners(found.face.box)
    stored = KnownFace(face_id, image.tag, image.desc, box, round(found.face.score, 4))
    _library().store.add(group, stored, found.embedding)
    return {
        "id": face_id,
        "bounding_box": {"pts": box, "score": stored.score},
        "face_quality": {"quality": found.quality, "orientation": found.orientation},
        "face_number": found.face_number,
    }


@blueprint.post("/<group>/search")
def search(group: str) -> dict[str, Any]:
    """Searches a group for every face of every picture."""
    with current_runner().place():
        asked = body(SearchRequest)
        _library().store.version(group)  # rejects an unknown group before using an engine
        pictures = current_runner().run(_embedded, asked.images, current_settings().max_pixels)
    find = _library().index.matches
    return {
        "search_results": [
            {"faces": [_found(face, find(group, vector, asked.threshold, asked.limit)) for face, vector in faces]}
            for faces in pictures
        ]
    }


def _library() -> Library:
    library: Library = current_app.extensions[EXTENSION]
    return library


def _measure(engine: Engine, uri: str, wanted: Corners | None, max_pixels: int) -> _Measured:
    image = picture(uri, max_pixels)
    faces = engine.detect(image)
    face = _chosen(faces, image, wanted)
    pose = engine.pose(image, [face.box])[0]
    return _Measured(
        face,
        engine.embed(image, face.box),
        quality(image, face.box),
        _orientation(pose.roll if pose else 0.0),
        len(faces),
    )


def _chosen(faces: list[Face], image: Image, wanted: Corners | None) -> Face:
    """The largest face, or the one whose box is most like the wanted one."""
    if wanted is None:
        chosen = max(faces, key=lambda face: face.box.area, default=None)
    else:
        box = wanted.within(image.shape[1], image.shape[0])
        chosen = max(faces, key=lambda face: face.box.overlap(box), default=None)
        if chosen and chosen.box.overlap(box) < SAME_BOX_OVERLAP:
            chosen = None
    if chosen is None:
        raise NoFace
    return chosen


def _orientation(roll: float) -> str:
    """The nearest of eight directions of the top of the head; an unknown roll counts as upright."""
    return ORIENTATIONS[round(roll / 45) % 8]


def _embedded(engine: Engine, uris: list[str], max_pixels: int) -> list[list[tuple[Face, Embedding]]]:
    return [_faces(engine, picture(uri, max_pixels)) for uri in uris]


def _faces(engine: Engine, image: Image) -> list[tuple[Face, Embedding]]:
    return [(face, engine.embed(image, face.box)) for face in engine.detect(image)]


def _found(face: Face, matches: list[Match]) -> dict[str, Any]:
    return {
        "bounding_box": {"pts": corners(face.box), "score": round(face.score, 4)},
        "faces": [
            {
                "score": round(match.score, 4),
                "id": match.face.id,
                "tag": match.face.tag,
                "desc": match.face.desc,
                "bounding_box": {"pts": match.face.box, "score": match.face.score},
            }
            for match in matches
        ],
    }
