"""The info service's wire format, with a fake engine."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from face_services.engine import Image
from tests.face_services.fakes import Engines
from tests.face_services.pictures import BLACK, BLUE, GREEN, coloured, uri_of

DETECT, POSE = "/v1/eval/facex-detect", "/v1/eval/facex-pose"
LEFT = [[5, 10], [45, 10], [45, 50], [5, 50]]
RIGHT = [[60, 15], [90, 15], [90, 45], [60, 45]]


def pose_body(picture: Image, *boxes: list[list[int]]) -> dict[str, Any]:
    """The body of a pose request."""
    return {"data": {"uri": uri_of(picture), "attribute": {"detections": [{"pts": box} for box in boxes]}}}


def test_detect_answers_as_the_protocol_says(client: FlaskClient) -> None:
    """Every face has an index from 1, its class, score, corners from the top left on, and quality."""
    answer = client.post(DETECT, json={"data": {"uri": uri_of(coloured(GREEN, BLUE))}})
    assert answer.status_code == 200
    faces = [
        {"index": 1, "class": "face", "score": 0.9, "pts": RIGHT, "quality": "small"},
        {"index": 2, "class": "face", "score": 0.9, "pts": LEFT, "quality": "blur"},
    ]
    assert answer.json == {"code": 0, "message": "", "result": {"detections": faces}}


def test_no_face_is_an_empty_list(client: FlaskClient) -> None:
    """A picture without faces is a success without detections."""
    answer = client.post(DETECT, json={"data": {"uri": uri_of(coloured(BLACK))}})
    assert answer.json == {"code": 0, "message": "", "result": {"detections": []}}


def test_pose_has_one_entry_per_face_in_order(client: FlaskClient) -> None:
    """Angles come as pitch, yaw, roll with 68 points; an unknown pose is two empty lists."""
    answer = client.post(POSE, json=pose_body(coloured(GREEN), RIGHT, LEFT))
    unknown, known = answer.json["result"]["landmarks"]
    assert unknown == {"landmark": [], "pos": []}
    assert known["pos"] == [1.25, -2.5, 90.0]
    assert len(known["landmark"]) == 68
    assert known["landmark"][1] == [0.0, 0.0]


def test_no_boxes_no_poses(client: FlaskClient) -> None:
    """Nothing asked, nothing answered."""
    assert client.post(POSE, json=pose_body(coloured(GREEN))).json["result"] == {"landmarks": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"[]", "object"),
        (b"{}", "data: Field required"),
        (b'{"data": {"uri": 5}}', "data.uri: Input should be a valid string"),
        (b'{"data": {"uri": "http://example.com/a.jpg"}}', "uri must be a data URI"),
        (b'{"data": {"uri": "data:;base64,AAAA"}}', "not a picture"),
    ],
    ids=["empty", "half", "deep", "list", "no data", "number", "http", "no picture"],
)
def test_a_bad_request_says_what_is_wrong(client: FlaskClient, body: bytes, message: str) -> None:
    """Mistakes of the client's are answered 400 with the protocol's code and message."""
    answer = client.post(DETECT, data=body)
    assert (answer.status_code, answer.json["code"]) == (400, 400)
    assert message in answer.json["message"]
    assert set(answer.json) == {"code", "message"}


@pytest.mark.parametrize(
    "pts",
    [[[0, 0]], [[0, 0]] * 5, [[0, "x"]] * 4, [[0, None]] * 4, [[500, 500], [600, 500], [600, 600], [500, 600]]],
    ids=["one", "five", "text", "null", "outside"],
)
def test_a_bad_box_is_a_bad_request(client: FlaskClient, pts: Any) -> None:
    """A box must have four corners and some part inside the picture."""
    answer = client.post(POSE, json=pose_body(coloured(GREEN), pts))
    assert answer.status_code == 400
    assert "pts" in answer.json["message"]


def test_an_error_text_never_holds_the_picture(client: FlaskClient) -> None:
    """Whatever is wrong with a body, its data URI is not repeated."""
    uri = uri_of(coloured(GREEN))
    for body in ({"data": {"uri": [uri]}}, {"data": {"uri": uri[:-1]}}, {"date": {"uri": uri}}):
        assert "iVBOR" not in client.post(DETECT, json=body).text


def test_bodies_and_pictures_are_bounded(make_client: Callable[..., FlaskClient]) -> None:
    """A body above its limit is 413, a picture above its limit 400, both in the protocol's form."""
    client = make_client(max_body=2**20, max_pixels=5999)
    large = client.post(DETECT, data=b" " * (2**20 + 1))
    assert (large.status_code, large.json) == (413, {"code": 413, "message": "body is larger than 1048576 bytes"})
    wide = client.post(DETECT, json={"data": {"uri": uri_of(coloured(GREEN))}})
    assert wide.status_code == 400
    assert "100x60 pixels, more than 5999; the limit is FACE_SERVICES_MAX_PIXELS" in wide.json["message"]


def test_an_engine_that_breaks_is_an_internal_error_once(
    client: FlaskClient, engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns nothing of the inside, the log does, and the next request succeeds."""
    engines.broken.append(RuntimeError("the engine broke"))
    answer = client.post(DETECT, json={"data": {"uri": uri_of(coloured(GREEN))}})
    assert (answer.status_code, answer.json) == (500, {"code": 500, "message": "internal error"})
    assert "the engine broke" in caplog.text
    assert "base64" not in caplog.text
    assert client.post(DETECT, json={"data": {"uri": uri_of(coloured(GREEN))}}).status_code == 200


def test_other_paths_and_methods_answer_json(client: FlaskClient) -> None:
    """404 and 405 have the form of both services, for nobody knows which one was meant."""
    assert client.get("/v1/eval/other").json.keys() == {"code", "message", "error"}
    assert client.get(DETECT).status_code == 405
    assert client.get(DETECT).json["code"] == 405
