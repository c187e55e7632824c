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
from face_services.wire import DetectRequest, PoseRequest, body, corners

blueprint = Blueprint("info", __name__, url_prefix="/v1/eval")


@blueprint.post("/facex-detect")
def detect() -> dict[str, Any]:
    """Finds the faces of a picture; `detections` is empty when there is none."""
    max_pixels = current_settings().max_pixels

    def job(engine: Engine) -> list[dict[str, Any]]:
        image = picture(asked.data.uri, max_pixels)
        return [_detection(n, face, image) for n, face in enumerate(engine.detect(image), 1)]

    with current_runner().place():
        asked = body(DetectRequest)
        return _success({"detections": current_runner().run(job)})


@blueprint.post("/facex-pose")
def pose() -> dict[str, Any]:
    """Measures the pose of the faces in the given boxes, one entry per box, in order."""
    max_pixels = current_settings().max_pixels

    def job(engine: Engine) -> list[Pose | None]:
        image = picture(asked.data.uri, max_pixels)
        height, width = image.shape[:2]
        boxes = [detection.within(width, height) for detection in asked.data.attribute.detections]
        return engine.pose(image, boxes)

    with current_runner().place():
        asked = body(PoseRequest)
        return _success({"landmarks": [_landmark(found) for found in current_runner().run(job)]})


def _success(result: dict[str, Any]) -> dict[str, Any]:
    return {"code": 0, "message": "", "result": result}


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
