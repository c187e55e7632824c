"""The face services' clients against the strict double."""

from collections.abc import Callable
from typing import Any

import pytest

from face_import.clients.services import GroupSize, InfoService, LibraryService
from face_import.domain.models import Face, Pose
from face_import.domain.uri import DataUri, to_data_uri
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.settings import Settings
from tests.doubles.images import make_image
from tests.doubles.process import FaceServices

FACE = Face(pts=((10, 20), (110, 20), (110, 140.5), (10, 140.5)), score=0.9)
AWKWARD = 'quote " backslash \\ newline \n tab \t 标签 \u2028 </script> \x00'


def picture(**spec: Any) -> DataUri:
    """Return a picture that makes the double answer what `spec` says."""
    return to_data_uri(make_image(spec))


async def test_faces_come_with_box_and_score(info: InfoService, services: FaceServices) -> None:
    """All faces come back in the service's order, and the request is the protocol's."""
    faces = await info.detect(picture(faces=[{"box": [1, 2, 101, 82], "score": 0.5}, {"box": [0, 0, 10.5, 9]}]))
    assert [(face.width, face.height, face.score) for face in faces] == [(100, 80, 0.5), (10, 9, 0.99)]
    assert faces[0].pts == ((1, 2), (101, 2), (101, 82), (1, 82))
    assert services.record()["violations"] == []


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 0, "message": "", "result": None},
        {"code": 0, "result": {}},
        {"code": 0, "result": {"detections": None}},
        {"code": 0, "result": {"detections": []}},
        {"code": 0},
        {},
    ],
)
async def test_no_result_means_no_face(info: InfoService, answer: dict[str, Any]) -> None:
    """A result that is null or lacks detections says that there is no face."""
    assert await info.detect(picture(detect_answer=answer)) == ()


@pytest.mark.parametrize(
    ("order", "expected"),
    [(("pitch", "yaw", "roll"), Pose(1, -2, 3.5)), (("yaw", "roll", "pitch"), Pose(3.5, 1, -2))],
    ids=["default", "permuted"],
)
async def test_angles_follow_the_configured_order(
    services: FaceServices, configured: Callable[..., Settings], order: tuple[str, ...], expected: Pose
) -> None:
    """The published format does not say which angle is which; the setting does."""
    async with InfoService(configured(pose_order=order)) as info:
        assert await info.pose(picture(pose=[1, -2, 3.5]), FACE) == expected
    assert services.record()["violations"] == []


@pytest.mark.parametrize(
    "spec",
    [
        {"pose": None},
        {"pose_answer": {"code": 0, "result": None}},
        {"pose_answer": {"code": 0, "result": {"landmarks": [{"landmark": [], "pos": None}]}}},
        {"pose_answer": {"code": 0, "result": {"landmarks": [{"pos": []}]}}},
    ],
)
async def test_a_pose_may_be_unknown(info: InfoService, spec: dict[str, Any]) -> None:
    """Empty or null angles are an answer: the pose could not be measured."""
    assert await info.pose(picture(**spec), FACE) is None


MALFORMED: list[tuple[str, Any]] = [
    ("detect_answer", []),
    ("detect_answer", "text"),
    ("detect_answer", None),
    ("detect_answer", {"result": [1]}),
    ("detect_answer", {"result": {"detections": {"a": 1}}}),
    ("detect_answer", {"result": {"detections": [1]}}),
    ("detect_answer", {"result": {"detections": [{}]}}),
    ("detect_answer", {"result": {"detections": [{"pts": [[1, 2], [3, 4]]}]}}),
    ("detect_answer", {"result": {"detections": [{"pts": [[1, 2], [3, 4], [5, 6], [7]]}]}}),
    ("detect_answer", {"result": {"detections": [{"pts": [[1, 2], [3, 4], [5, 6], [7, "8"]]}]}}),
    ("detect_answer", {"result": {"detections": [{"pts": [[1, 2], [3, 4], [5, 6], [7, float("nan")]]}]}}),
    ("detect_answer", {"result": {"detections": [{"pts": [[1, 2], [3, 4], [5, 6], [7, 10**400]]}]}}),
    ("pose_answer", {"result": {"landmarks": 7}}),
    ("pose_answer", {"result": {"landmarks": [7]}}),
    ("pose_answer", {"result": {"landmarks": [{"pos": [1, 2]}]}}),
    ("pose_answer", {"result": {"landmarks": [{"pos": [1, 2, None]}]}}),
    ("pose_answer", {"result": {"landmarks": [{"pos": 5}]}}),
    ("pose_answer", {"result": {"landmarks": [{"pos": {"a": 1, "b": 2, "c": 3}}]}}),
    ("detect_answer", {"result": {"padding": "x" * 5_000_000}}),
]


@pytest.mark.parametrize(("field", "answer"), MALFORMED, ids=[str(n) for n in range(len(MALFORMED))])
async def test_malformed_answers_are_refusals(
    services: FaceServices, info: InfoService, field: str, answer: Any
) -> None:
    """An answer that is not the protocol's concerns one row; it is no outage and no crash."""
    if len(str(answer)) < 50_000:
        image = picture(**{field: answer})
    else:
        services.control(faults=[{"kind": "detect", "text": "x" * 5_000_000, "status": 400}])
        image = picture()
    call = info.detect(image) if field == "detect_answer" else info.pose(image, FACE)
    with pytest.raises(ServiceRefusal, match="malformed answer") as refused:
        await call
    assert len(str(refused.value)) <= 300


async def test_a_code_under_http_200_is_a_refusal(info: InfoService) -> None:
    """The info service says no with a code; its text is kept, within bounds."""
    with pytest.raises(ServiceRefusal) as refused:
        await info.detect(picture(detect_code=599, detect_message="bad tensor " * 100))
    assert str(refused.value).startswith("bad tensor")
    assert len(str(refused.value)) <= 300


async def test_a_face_is_added_as_it_was_described(library: LibraryService, services: FaceServices) -> None:
    """Id, tag and description arrive whatever characters they have, with the picture that was checked."""
    assert await library.add("team", AWKWARD, picture(n=1), AWKWARD, AWKWARD, FACE) == AWKWARD
    assert len(await library.add("team", "", picture(n=2), "", "", FACE)) == 16
    record = services.record(all=1)
    assert record["violations"] == []
    assert AWKWARD in record["faces"]["team"]


async def test_a_large_picture_is_sent_whole(library: LibraryService, services: FaceServices) -> None:
    """A body that no socket takes at once arrives unchanged."""
    data = make_image({"n": 1}) + bytes(5_000_000)
    await library.add("team", "large", to_data_uri(data), "", "", FACE)
    assert services.record()["violations"] == []


async def test_an_existing_group_is_fine(library: LibraryService, services: FaceServices) -> None:
    """A group that is there already is what was wanted."""
    await library.ensure_group("team", 100)
    assert services.record()["by_status"] == {"200": 1, "409": 1}


async def test_a_group_has_a_size(library: LibraryService) -> None:
    """Numbers of faces and of different tags, and how many it takes; a group that is not there is missing."""
    for n, tag in enumerate(("Ada", "Ada", "Grace")):
        await library.add("team", "", picture(n=n), tag, "", FACE)
    assert await library.size("team") == GroupSize(faces=3, tags=2, capacity=100)
    with pytest.raises(ServiceRefusal) as refused:
        await library.size("another")
    assert refused.value.kind is RefusalKind.GROUP_MISSING


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        ("{}", GroupSize(None, None, None)),
        ('{"count": 0, "tags": null, "config": {"capacity": 0}}', GroupSize(0, None, 0)),
        ('{"count": -1, "tags": "7", "config": [7]}', GroupSize(None, None, None)),
        ('{"count": true, "tags": 1e3, "config": {"capacity": 1e400}}', GroupSize(None, None, None)),
        (f'{{"count": {10**30}, "tags": 2}}', GroupSize(None, 2, None)),
    ],
)
async def test_a_size_that_is_none_is_not_known(
    library: LibraryService, services: FaceServices, answer: str, size: GroupSize
) -> None:
    """Libraries need not say everything about a group."""
    services.control(faults=[{"kind": "size", "status": 200, "body": answer}])
    assert await library.size("team") == size


async def test_a_group_of_a_library_that_is_away_has_no_size(library: LibraryService, services: FaceServices) -> None:
    """That is an outage, as for every other call."""
    services.control(faults=[{"kind": "size", "status": 503}])
    with pytest.raises(ServiceUnavailable, match="library service: 503"):
        await library.size("team")


async def test_faces_are_deleted_if_they_are_there(library: LibraryService, services: FaceServices) -> None:
    """Ids that are not there are no error, whatever characters they have."""
    await library.add("team", AWKWARD, picture(n=1), "", "", FACE)
    await library.add("team", "b", picture(n=2), "", "", FACE)
    for _ in range(2):
        await library.delete("team", [AWKWARD, "no such id"])
    record = services.record(all=1)
    assert (list(record["faces"]["team"]), record["violations"]) == (["b"], [])


@pytest.mark.parametrize(
    ("text", "absent"),
    [("face id not exist", True), ("No such id", True), ("id a not found", True), ("read only", False)],
)
async def test_a_library_may_refuse_to_delete_what_is_not_there(
    library: LibraryService, services: FaceServices, text: str, *, absent: bool
) -> None:
    """That is what was wanted; a group that is not there, or another refusal, is not."""
    services.control(faults=[{"kind": "delete", "status": 400, "text": text}])
    if absent:
        await library.delete("team", ["a"])
    else:
        with pytest.raises(ServiceRefusal, match=text):
            await library.delete("team", ["a"])
    services.control()
    with pytest.raises(ServiceRefusal) as refused:
        await library.delete("another", ["a"])
    assert refused.value.kind is RefusalKind.GROUP_MISSING


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        ("id already exists", 400, RefusalKind.ID_EXISTS),
        ("ID ALREADY EXIST", 500, RefusalKind.ID_EXISTS),
        ("feature is already exist", 400, RefusalKind.FEATURE_EXISTS),
        ("not face detected", 400, RefusalKind.NO_FACE),
        ("No face found", 599, RefusalKind.NO_FACE),
        ("group team is not exist", 404, RefusalKind.GROUP_MISSING),
        ("multiple face detected", 400, RefusalKind.SEVERAL_FACES),
        ("face size < 50", 500, RefusalKind.SIZE),
        ("blur", 500, RefusalKind.BLUR),
        ("bad face: blur", 400, RefusalKind.BLUR),
        ("face is covered", 400, RefusalKind.COVERED),
        ("covered", 400, RefusalKind.COVERED),
        ("pose", 400, RefusalKind.POSE),
        ("cannot decode image", 400, RefusalKind.PICTURE),
        ("image service: token expired", 401, RefusalKind.DENIED),
        ("404 page not found", 404, RefusalKind.DENIED),
        ("token expired", 401, RefusalKind.DENIED),
        ("method not allowed", 405, RefusalKind.DENIED),
        ("something new", 400, RefusalKind.OTHER),
    ],
)
async def test_known_texts_are_refusals_of_a_kind(
    library: LibraryService, text: str, status: int, kind: RefusalKind
) -> None:
    """A known text is a definite answer under any status, and its kind is told."""
    with pytest.raises(ServiceRefusal) as refused:
        await library.add("team", "a", picture(add=text, add_status=status), "", "", FACE)
    assert refused.value.kind is kind
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "expected", "retry_after", "sent"),
    [
        ({"status": 500, "text": "oops"}, "library service: 500 oops", None, True),
        ({"status": 503, "retry_after": 7}, "library service: 503 out of order", 7.0, True),
        ({"status": 429, "retry_after": 2}, "library service: 429 out of order", 2.0, False),
        ({"action": "reset"}, "library service: no answer", None, True),
        ({"action": "hang"}, "library service: no answer within 0.3 s", None, True),
    ],
    ids=["500", "503", "429", "reset", "hang"],
)
async def test_outages_are_told_from_refusals(
    services: FaceServices,
    configured: Callable[..., Settings],
    fault: dict[str, Any],
    expected: str,
    retry_after: float | None,
    *,
    sent: bool,
) -> None:
    """No usable answer is an outage; it says how long to wait and whether the add may have been done."""
    services.control(faults=[{"kind": "add", **fault}])
    async with LibraryService(configured(service_timeout_s=0.3)) as library:
        with pytest.raises(ServiceUnavailable) as away:
            await library.add("team", "a", picture(), "", "", FACE)
    assert str(away.value).startswith(expected)
    assert (away.value.retry_after, away.value.sent) == (retry_after, sent)


async def test_a_service_that_is_gone_was_sent_nothing(
    configured: Callable[..., Settings], unused_tcp_port: int
) -> None:
    """Without a connection nothing can have been done, and the text does not show the URL's password."""
    url = f"http://user:secret@127.0.0.1:{unused_tcp_port}"
    async with InfoService(configured(info_url=url)) as info:
        with pytest.raises(ServiceUnavailable, match="info service: no connection") as away:
            await info.detect(picture())
    assert not away.value.sent
    assert "secret" not in str(away.value)
