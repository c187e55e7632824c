"""The face library service: groups of known faces under `/v1/face/groups`.

A failure is `{"error": "..."}` under an HTTP status of 4xx or 5xx.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from flask import Blueprint, current_app

from face_services.engine import Chip, Embedding, Engine, Face
from face_services.errors import BadRequest, NoFace
from face_services.runner import current_runner
from face_services.search import Match, SearchIndex
from face_services.seen import Picture, SeenFace, current_look
from face_services.store import KnownFace, Store
from face_services.wire import AddRequest, Corners, CreateRequest, DeleteRequest, SearchRequest, body, corners

EXTENSION = "face_services.library"
ORIENTATIONS = ("up", "up_right", "right", "down_right", "down", "down_left", "left", "up_left")

blueprint = Blueprint("library", __name__, url_prefix="/v1/face/groups")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """What the endpoints share."""

    store: Store
    index: SearchIndex


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
        found = current_look(image.uri)
        chosen = _chosen(found, image.bounding_box)
        if asked.params.reject_bad_face and chosen.quality != "clear":
            raise BadRequest(f"bad face: {chosen.quality}")
        (embedding,) = current_runner().run(_embedded, [chosen.face.chip])
    box, pose = corners(chosen.face.box), chosen.face.pose
    stored = KnownFace(face_id, image.tag, image.desc, box, round(chosen.face.score, 4))
    _library().store.add(group, stored, embedding)
    return {
        "id": face_id,
        "bounding_box": {"pts": box, "score": stored.score},
        "face_quality": {"quality": chosen.quality, "orientation": _orientation(pose.roll if pose else 0.0)},
        "face_number": len(found.faces),
    }


@blueprint.post("/<group>/search")
def search(group: str) -> dict[str, Any]:
    """Searches a group for every face of every picture."""
    with current_runner().place():
        asked = body(SearchRequest)
        _library().store.version(group)  # rejects an unknown group before using an engine
        pictures = [[seen.face for seen in current_look(uri).faces] for uri in asked.images]
        chips = [face.chip for faces in pictures for face in faces]
        vectors = iter(current_runner().run(_embedded, chips) if chips else [])
    find = _library().index.matches
    return {
        "search_results": [
            {"faces": [_found(face, find(group, next(vectors), asked.threshold, asked.limit)) for face in faces]}
            for faces in pictures
        ]
    }


def _library() -> Library:
    library: Library = current_app.extensions[EXTENSION]
    return library


def _chosen(found: Picture, wanted: Corners | None) -> SeenFace:
    """The largest face, or the one whose box is most like the wanted one."""
    if wanted is None:
        chosen = max(found.faces, key=lambda seen: seen.face.box.area, default=None)
    else:
        chosen = found.face_at(wanted.within(found.width, found.height))
    if chosen is None:
        raise NoFace
    return chosen


def _orientation(roll: float) -> str:
    """The nearest of eight directions of the top of the head; an unknown roll counts as upright."""
    return ORIENTATIONS[round(roll / 45) % 8]


def _embedded(engine: Engine, chips: list[Chip]) -> list[Embedding]:
    return [engine.embed(chip) for chip in chips]


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
