"""The face info service: `/v1/eval/facex-detect` and `/v1/eval/facex-pose`.

A failure is `{"code": <HTTP status>, "message": "..."}` under that HTTP status; code 0 is success.
"""

from typing import Any

from flask import Blueprint

from face_services.decode import picture
from face_services.engine import Engine, Face, Image, Pose
from face_services.quality import quality
from face_services.runner import current_runner
from face_services.settings import current_settings
from face_services.wire import Corners, DetectRequest, PoseRequest, body, corners

blueprint = Blueprint("info", __name__, url_prefix="/v1/eval")


@blueprint.post("/facex-detect")
def detect() -> dict[str, Any]:
    """Finds the faces of a picture; `detections` is empty when there is none."""
    with current_runner().place():
        asked = body(DetectRequest)
        found = current_runner().run(_detections, asked.data.uri, current_settings().max_pixels)
    return _success({"detections": found})


@blueprint.post("/facex-pose")
def pose() -> dict[str, Any]:
    """Measures the pose of the faces in the given boxes, one entry per box, in order."""
    with current_runner().place():
        data = body(PoseRequest).data
        found = current_runner().run(_landmarks, data.uri, data.attribute.detections, current_settings().max_pixels)
    return _success({"landmarks": found})


def _success(result: dict[str, Any]) -> dict[str, Any]:
    return {"code": 0, "message": "", "result": result}


def _detections(engine: Engine, uri: str, max_pixels: int) -> list[dict[str, Any]]:
    image = picture(uri, max_pixels)
    return [_detection(n, face, image) for n, face in enumerate(engine.detect(image), 1)]


def _landmarks(engine: Engine, uri: str, detections: list[Corners], max_pixels: int) -> list[dict[str, Any]]:
    image = picture(uri, max_pixels)
    height, width = image.shape[:2]
    return [_landmark(found) for found in engine.pose(image, [box.within(width, height) for box in detections])]


def _detection(index: int, face: Face, image: Image) -> dict[str, Any]:
    return {
        "index": index,
        "class": "face",
        "score": round(face.score, 4),
        "pts": corners(face.box),
        "quality": quality(image, face.box),
    }


def _landmark(pose: Pose | None) -> dict[str, Any]:
    """Angles in the order pitch, yaw, roll; both lists are empty when the pose is unknown."""
    if pose is None:
        return {"landmark": [], "pos": []}
    angles = (pose.pitch, pose.yaw, pose.roll)
    return {"landmark": pose.landmarks.round(2).tolist(), "pos": [round(angle, 2) for angle in angles]}
