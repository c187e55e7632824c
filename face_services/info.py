"""The face info service: `/v1/eval/facex-detect` and `/v1/eval/facex-pose`.

A failure is `{"code": <HTTP status>, "message": "..."}` under that HTTP status; code 0 is success.
"""

from typing import Any

from flask import Blueprint

from face_services.engine import Pose
from face_services.runner import current_runner
from face_services.seen import SeenFace, current_look
from face_services.wire import DetectRequest, PoseRequest, body, corners

blueprint = Blueprint("info", __name__, url_prefix="/v1/eval")


@blueprint.post("/facex-detect")
def detect() -> dict[str, Any]:
    """Finds the faces of a picture; `detections` is empty when there is none."""
    with current_runner().place():
        found = current_look(body(DetectRequest).data.uri)
    return _success({"detections": [_detection(n, seen) for n, seen in enumerate(found.faces, 1)]})


@blueprint.post("/facex-pose")
def pose() -> dict[str, Any]:
    """Tells the pose of the faces in the given boxes, one entry per box, in order."""
    with current_runner().place():
        data = body(PoseRequest).data
        found = current_look(data.uri)
    seen = [found.face_at(box.within(found.width, found.height)) for box in data.attribute.detections]
    return _success({"landmarks": [_landmark(one and one.face.pose) for one in seen]})


def _success(result: dict[str, Any]) -> dict[str, Any]:
    return {"code": 0, "message": "", "result": result}


def _detection(index: int, seen: SeenFace) -> dict[str, Any]:
    return {
        "index": index,
        "class": "face",
        "score": round(seen.face.score, 4),
        "pts": corners(seen.face.box),
        "quality": seen.quality,
    }


def _landmark(pose: Pose | None) -> dict[str, Any]:
    """Angles in the order pitch, yaw, roll; both lists are empty when the pose is unknown."""
    if pose is None:
        return {"landmark": [], "pos": []}
    angles = (pose.pitch, pose.yaw, pose.roll)
    return {"landmark": pose.landmarks.round(2).tolist(), "pos": [round(angle, 2) for angle in angles]}
