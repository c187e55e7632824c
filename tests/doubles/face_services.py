"""A counting, strict and breakable double of both outer services; the picture says what to answer.

    python -m tests.doubles.face_services --port 9100

What to answer: `tests.doubles.images`. Requests that are not the protocol's (`tests.doubles.protocol`) are
answered 400 and recorded under `violations`.

POST /__control sets everything at once; what is left out goes back to its default::

    {"delay_s": 0.05 | {"detect": 0.05, "pose": 0.05, "add": 0.02},
     "faults": [{"kind": "detect" | "pose" | "add" | "search" | "delete" | "create" | "size" | "*", "task": "a",
                 "action": "status" | "reset" | "hang", "status": 503, "retry_after": 1, "text": "busy", "code": 0,
                 "body": "[]",           instead of an object with text and code
                 "times": 3,             how often; without it until the next control
                 "carry_out": true}],    do what was asked first, then fail
     "unique_features": true,            the same picture twice in a group: "feature is already exist"
     "features_first": true,             and that before "id already exists"
     "reset": true}                      forget calls, groups and faces

With FACE_DOUBLE_JOURNAL=<file> groups and faces survive a kill -9, as a real library's do.

GET  /__record [?since=&until=&group=&task=]   a summary; times are Unix seconds
     /__record?all=1                           every call as well
"""

import asyncio
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.doubles import protocol, serving
from tests.doubles.images import Spec, read_spec
from tests.doubles.ledger import STATE, Call, Group, State

DEFAULT_BOX = (10, 10, 210, 210)
routes = web.RouteTableDef()


class Refused(Exception):
    """An error answer of the library's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@routes.post("/v1/eval/facex-detect")
async def detect(request: web.Request) -> web.StreamResponse:
    """Find the faces the picture's spec names."""

    def carry_out(spec: Spec) -> Any:
        if "detect_answer" in spec:
            return spec["detect_answer"]
        if spec.get("detect_code"):
            return {"code": spec["detect_code"], "message": spec.get("detect_message", "inference failed")}
        faces = spec.get("faces", [{"box": DEFAULT_BOX}])
        return {
            "code": 0,
            "message": "",
            "result": {"detections": [_detection(*f) for f in enumerate(faces, 1)]},
        }

    return await _handle(request, "detect", protocol.detect, lambda spec, _body, _sha: carry_out(spec))


@routes.post("/v1/eval/facex-pose")
async def pose(request: web.Request) -> web.StreamResponse:
    """Tell the pose the picture's spec names."""

    def carry_out(spec: Spec) -> Any:
        if "pose_answer" in spec:
            return spec["pose_answer"]
        angles = spec.get("pose", [0.0, 0.0, 0.0])
        landmarks = [{"landmark": [[float(n), float(n)] for n in range(68)], "pos": angles}]
        return {"code": 0, "message": "", "result": {"landmarks": landmarks if angles else []}}

    return await _handle(request, "pose", protocol.pose, lambda spec, _body, _sha: carry_out(spec))


@routes.post("/v1/face/groups/{group}")
async def create(request: web.Request) -> web.StreamResponse:
    """Create a group."""
    name, state = request.match_info["group"], request.app[STATE]

    def carry_out(_spec: Spec, body: Any, _sha: str) -> Any:
        capacity = protocol.create(body)
        if protocol.group_name(name) in state.groups:
            raise Refused(409, f"group {name} is already exist")
        state.groups[name] = Group(capacity)
        state.keep(name)
        return {}

    return await _handle(request, "create", None, carry_out)


@routes.post("/v1/face/groups/{group}/add")
async def add(request: web.Request) -> web.StreamResponse:
    """Add a face, unless its spec, its id or its group speaks against it."""
    name, state = request.match_info["group"], request.app[STATE]

    def carry_out(spec: Spec, body: Any, sha: str) -> Any:
        face_id = body["image"]["id"] or sha[:16]
        group = state.groups.get(name)
        if "add_answer" in spec:
            return spec["add_answer"]
        if "add" in spec:
            raise Refused(spec.get("add_status", 400), spec["add"])
        if group is None:
            raise Refused(404, f"group {name} is not exist")
        refusals = {"id already exists": face_id in group.faces}
        refusals["feature is already exist"] = state.unique_features and sha in group.faces.values()
        for text in sorted(refusals, reverse=not state.features_first):
            if refusals[text]:
                raise Refused(400, text)
        group.faces[face_id] = sha
        group.labels[face_id] = (body["image"]["tag"], body["image"]["desc"])
        group.persons[face_id] = str(spec.get("person", ""))
        group.adds[face_id] += 1
        state.keep(name, face_id, sha)
        box = {**body["image"]["bounding_box"], "score": 0.99}
        quality = {"quality": "clear", "orientation": "up"}
        return {"id": face_id, "bounding_box": box, "face_quality": quality, "face_number": 1}

    return await _handle(request, "add", lambda body: protocol.add(body)[1], carry_out)


@routes.post("/v1/face/groups/{group}/search")
async def search(request: web.Request) -> web.StreamResponse:
    """Find the very picture; another one of the same `person` (of its spec) has `alike`, by default 0.8."""
    name, state = request.match_info["group"], request.app[STATE]

    def carry_out(spec: Spec, body: Any, sha: str) -> Any:
        group = state.groups.get(name)
        if group is None:
            raise Refused(404, f"group {name} is not exist")
        person, same = spec.get("person"), float(spec.get("alike", 0.8))
        known = {i for i in group.faces if person and group.persons[i] == person}
        scores = {i: 1.0 if s == sha else same if i in known else 0.0 for i, s in group.faces.items()}
        best = sorted((i for i in scores if scores[i] >= body["threshold"]), key=lambda i: -scores[i])
        box = {"pts": [[0, 0], [1, 0], [1, 1], [0, 1]], "score": 0.99}
        faces = [
            {"score": scores[i], "id": i, "tag": group.labels[i][0], "desc": group.labels[i][1], "bounding_box": box}
            for i in best[: body["limit"]]
        ]
        return {"search_results": [{"faces": [{"bounding_box": box, "faces": faces}]}]}

    return await _handle(request, "search", protocol.search, carry_out)


@routes.post("/v1/face/groups/{group}/delete")
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete faces; ids that are not there do no harm."""
    name, state = request.match_info["group"], request.app[STATE]

    def carry_out(_spec: Spec, body: Any, _sha: str) -> Any:
        if name not in state.groups:
            raise Refused(404, f"group {name} is not exist")
        for face_id in protocol.delete(body):
            state.groups[name].faces.pop(face_id, None)
            state.keep(name, face_id)
        return {}

    return await _handle(request, "delete", None, carry_out)


@routes.get("/v1/face/groups")
async def groups(request: web.Request) -> web.Response:
    """List the groups."""
    return web.json_response({"groups": list(request.app[STATE].groups)})


@routes.get("/v1/face/groups/{group}")
async def group_detail(request: web.Request) -> web.StreamResponse:
    """Describe a group."""
    name, state = request.match_info["group"], request.app[STATE]

    def carry_out() -> Any:
        group = state.groups.get(name)
        if group is None:
            raise Refused(404, f"group {name} is not exist")
        tags = {group.labels[face_id][0] for face_id in group.faces}
        return {"config": {"capacity": group.capacity}, "tags": len(tags), "count": len(group.faces)}

    return await _answer(request, "size", "", carry_out)


@routes.post("/v1/face/groups/{group}/remove")
async def remove(request: web.Request) -> web.Response:
    """Remove a group: also what an operator does in the middle of an import."""
    request.app[STATE].groups.pop(request.match_info["group"], None)
    return web.json_response({})


@routes.post(serving.CONTROL)
async def control(request: web.Request) -> web.Response:
    """Set delays and faults."""
    request.app[STATE].set(await request.json())
    return web.json_response({})


@routes.get(serving.RECORD)
async def record(request: web.Request) -> web.Response:
    """Say what was asked of the services."""
    return web.json_response(request.app[STATE].report(request.query))


async def _handle(request: web.Request, kind: str, picture: Any, carry_out: Any) -> web.StreamResponse:
    """Take a call in, check it, be slow or broken as told, and answer."""
    state, start, spec, sha, body = request.app[STATE], time.time(), Spec(), "", None
    group = request.match_info.get("group", "")
    try:
        body = await _json(request)
        if picture is not None:
            data = picture(body)
            spec, sha = read_spec(data), hashlib.sha256(data).hexdigest()
        if group:
            protocol.group_name(group)
    except protocol.Violation as violation:
        state.violations.append(f"{kind}: {violation.text}")
        return web.json_response({"error": violation.text}, status=400)
    task = str(spec.get("task", ""))
    face_id = body["image"]["id"] if kind == "add" else ""
    state.enter(task)
    status = 0
    try:
        if delay := state.delay(kind):
            await asyncio.sleep(delay)
        response = await _answer(request, kind, task, lambda: carry_out(spec, body, sha))
        status = response.status
        return response
    finally:
        state.leave(task, Call(kind, group, task, face_id, sha, start, time.time(), status))


async def _answer(request: web.Request, kind: str, task: str, carry_out: Any) -> web.StreamResponse:
    fault = request.app[STATE].fault(kind, task)
    answer = None
    if fault is None or fault.get("carry_out"):
        try:
            answer = web.json_response(carry_out())
        except Refused as refused:
            answer = web.json_response({"error": str(refused)}, status=refused.status)
        except protocol.Violation as violation:
            request.app[STATE].violations.append(f"{kind}: {violation.text}")
            answer = web.json_response({"error": violation.text}, status=400)
    if fault is None:
        assert answer is not None
        return answer
    match fault.get("action", "status"):
        case "hang":
            await request.app[STATE].changed.wait()
        case "reset" if request.transport is not None:
            request.transport.abort()
    wait, words = fault.get("retry_after"), fault.get("text", "out of order")
    return web.Response(
        text=fault.get("body", json.dumps({"error": words, "message": words, "code": fault.get("code", 0)})),
        content_type="application/json",
        status=fault.get("status", 503),
        headers=None if wait is None else {"Retry-After": str(wait)},
    )


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise protocol.Violation(f"content type {request.content_type!r}")
    try:
        return await request.json()
    except ValueError as error:
        raise protocol.Violation(f"body is not JSON: {error}") from None


def _detection(index: int, face: dict[str, Any]) -> dict[str, Any]:
    left, top, right, bottom = face["box"]
    pts = [[left, top], [right, top], [right, bottom], [left, bottom]]
    score = face.get("score", 0.99)
    return {"index": index, "class": "face", "score": score, "pts": pts, "quality": "clear"}


def make_app() -> web.Application:
    """Return both services."""
    app = web.Application(client_max_size=64 << 20)
    app[STATE] = State(journal=Path(journal) if (journal := os.environ.get("FACE_DOUBLE_JOURNAL")) else None)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    serving.run(make_app(), __doc__)
