"""The library service's wire format and rules, with a fake engine."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from face_services.library import _orientation
from tests.face_services.pictures import BLACK, BLUE, GREEN, coloured, uri_of

GROUPS = "/v1/face/groups"
LEFT = [[5, 10], [45, 10], [45, 50], [5, 50]]
RIGHT = [[60, 15], [90, 15], [90, 45], [60, 45]]


@pytest.fixture
def staff(client: FlaskClient) -> FlaskClient:
    """A client of a library with the empty group `staff`."""
    assert client.post(f"{GROUPS}/staff", json={"config": {"capacity": 0}}).json == {}
    return client


def add(client: FlaskClient, picture: Any, face_id: str = "", group: str = "staff", **image: Any) -> TestResponse:
    """Adds a face."""
    body = {"image": {"id": face_id, "uri": uri_of(picture), **image}, "params": {"reject_bad_face": False}}
    return client.post(f"{GROUPS}/{group}/add", json=body)


def search(client: FlaskClient, *images: Any, **options: Any) -> Any:
    """Looks pictures up in `staff`."""
    uris = [uri_of(image) for image in images]
    return client.post(f"{GROUPS}/staff/search", json={"images": uris, **options}).json["search_results"]


def test_a_group_lives_from_create_to_remove(client: FlaskClient) -> None:
    """A group is listed and described while it exists, and unknown before and after."""
    assert client.get(GROUPS).json == {"groups": []}
    client.post(f"{GROUPS}/staff", json={"config": {"capacity": 7}})
    assert client.get(GROUPS).json == {"groups": ["staff"]}
    assert client.get(f"{GROUPS}/staff").json == {"config": {"capacity": 7}, "tags": 0, "count": 0}
    assert client.post(f"{GROUPS}/staff/remove").json == {}
    answer = client.get(f"{GROUPS}/staff")
    assert (answer.status_code, answer.json) == (404, {"error": "group staff not exist"})


def test_a_group_exists_once(staff: FlaskClient) -> None:
    """A second creation says that the group already exists and changes nothing."""
    answer = staff.post(f"{GROUPS}/staff", json={"config": {"capacity": 9}})
    assert (answer.status_code, answer.json) == (409, {"error": "group staff already exists"})
    assert staff.get(f"{GROUPS}/staff").json["config"] == {"capacity": 0}


@pytest.mark.parametrize(
    "name", ["ab", "a" * 33, "9abc", "_abc", "Abc", "a.b.c", "abc%0A", "%E4%BA%BA%E8%84%B8%E7%BB%84"]
)
def test_refuses_impossible_group_names(client: FlaskClient, name: str) -> None:
    """Names are 3-32 characters of a-z, 0-9, _ and -, first a letter."""
    answer = client.post(f"{GROUPS}/{name}", json={"config": {}})
    assert answer.status_code == 400
    assert "group name" in answer.json["error"]


@pytest.mark.parametrize("name", ["abc", "a" * 32, "a_-", "a12"])
def test_takes_possible_group_names(client: FlaskClient, name: str) -> None:
    """The shortest, the longest and the strangest names are allowed."""
    assert client.post(f"{GROUPS}/{name}", json={"config": {}}).status_code == 200


def test_add_answers_as_the_protocol_says(staff: FlaskClient) -> None:
    """The answer has id, box, quality and the number of faces in the picture."""
    answer = add(staff, coloured(BLUE, GREEN), "no-1", tag="ann", bounding_box={"pts": RIGHT})
    assert answer.json == {
        "id": "no-1",
        "bounding_box": {"pts": RIGHT, "score": 0.9},
        "face_quality": {"quality": "small", "orientation": "right"},
        "face_number": 2,
    }
    assert staff.get(f"{GROUPS}/staff").json == {"config": {"capacity": 0}, "tags": 1, "count": 1}


def test_an_empty_id_gets_a_new_one(staff: FlaskClient) -> None:
    """Without an id, or with an empty one, every add makes another id, also for the same picture."""
    first, second = add(staff, coloured(GREEN)).json["id"], add(staff, coloured(GREEN)).json["id"]
    assert first
    assert first != second


def test_an_id_exists_once_in_a_group(staff: FlaskClient) -> None:
    """The same id again is refused in its group and free in another and after its deletion."""
    assert add(staff, coloured(GREEN), "a").status_code == 200
    again = add(staff, coloured(BLUE), "a")
    assert (again.status_code, again.json) == (409, {"error": "id already exists"})
    staff.post(f"{GROUPS}/guests", json={"config": {}})
    assert add(staff, coloured(GREEN), "a", group="guests").status_code == 200
    staff.post(f"{GROUPS}/staff/delete", json={"ids": ["a"]})
    assert add(staff, coloured(BLUE), "a").status_code == 200


def test_no_face_is_said_in_the_protocols_words(staff: FlaskClient) -> None:
    """A faceless picture, or a box beside every face, has no face, and nothing is stored."""
    for answer in (
        add(staff, coloured(BLACK)),
        add(staff, coloured(GREEN, BLACK), bounding_box={"pts": RIGHT}),
    ):
        assert (answer.status_code, answer.json) == (400, {"error": "No face found"})
    assert staff.get(f"{GROUPS}/staff").json["count"] == 0


def test_the_box_says_which_face(staff: FlaskClient) -> None:
    """With a box its face is stored, even when the box is another detector's."""
    wide = [[52, 8], [96, 8], [96, 52], [52, 52]]
    assert add(staff, coloured(BLUE, GREEN), bounding_box={"pts": wide}).json["bounding_box"]["pts"] == RIGHT


def test_a_missing_group_is_said_before_any_work(client: FlaskClient) -> None:
    """Every endpoint of an unknown group answers 404 with the protocol's text."""
    answers = [
        add(client, coloured(BLACK), group="none"),
        client.post(f"{GROUPS}/none/delete", json={"ids": []}),
        client.post(f"{GROUPS}/none/search", json={"images": [uri_of(coloured(BLACK))]}),
        client.post(f"{GROUPS}/none/remove"),
    ]
    assert [(a.status_code, a.json) for a in answers] == [(404, {"error": "group none not exist"})] * 4


def test_a_full_group_takes_no_more(client: FlaskClient) -> None:
    """Capacity is a promise; 0 is none."""
    client.post(f"{GROUPS}/pair", json={"config": {"capacity": 2}})
    codes = [add(client, coloured(GREEN), group="pair").status_code for _ in range(3)]
    assert codes == [200, 200, 409]


def test_bad_faces_are_refused_on_request(staff: FlaskClient) -> None:
    """Only with reject_bad_face is the quality held against a face."""
    body = {"image": {"uri": uri_of(coloured(GREEN))}, "params": {"reject_bad_face": True}}
    answer = staff.post(f"{GROUPS}/staff/add", json=body)
    assert (answer.status_code, answer.json) == (400, {"error": "bad face: blur"})


@pytest.mark.parametrize("desc", [None, "text", 5, [1, {"a": None}], {"name": "名"}, "", True])
def test_desc_is_any_json_and_comes_back(staff: FlaskClient, desc: Any) -> None:
    """What was stored with a face is what a search finds."""
    add(staff, coloured(GREEN), "a", tag="名牌", desc=desc)
    ((result,),) = [image["faces"] for image in search(staff, coloured(GREEN))]
    box = {"pts": LEFT, "score": 0.9}
    assert result == {
        "bounding_box": box,
        "faces": [{"score": 1.0, "id": "a", "tag": "名牌", "desc": desc, "bounding_box": box}],
    }


def test_desc_that_json_cannot_say_is_refused(staff: FlaskClient) -> None:
    """NaN is no JSON: it is refused instead of coming back as something no client can read."""
    body = b'{"image": {"uri": "data:;base64,", "desc": [NaN]}}'
    answer = staff.post(f"{GROUPS}/staff/add", data=body)
    assert answer.status_code == 400
    assert "image.desc" in answer.json["error"]


def test_search_ranks_by_likeness(staff: FlaskClient) -> None:
    """The more alike comes first; threshold and limit cut the list."""
    for name, colour in {"same": GREEN, "near": (0, 240, 20), "far": (250, 0, 250)}.items():
        add(staff, coloured(colour), name)
    ((face,),) = [image["faces"] for image in search(staff, coloured(GREEN))]
    assert [match["id"] for match in face["faces"]] == ["same", "near"]
    ((face,),) = [image["faces"] for image in search(staff, coloured(GREEN), limit=1)]
    assert [match["id"] for match in face["faces"]] == ["same"]
    ((face,),) = [image["faces"] for image in search(staff, coloured(GREEN), threshold=0)]
    assert [match["id"] for match in face["faces"]] == ["same", "near", "far"]


def test_search_answers_for_every_face_of_every_picture(staff: FlaskClient) -> None:
    """Several pictures with several faces, one without: each has its place in the answer."""
    add(staff, coloured(BLUE), "blue")
    two, none = search(staff, coloured(GREEN, BLUE), coloured(BLACK))
    assert [[match["id"] for match in face["faces"]] for face in two["faces"]] == [["blue"], []]
    assert none == {"faces": []}


def test_deleted_faces_are_found_no_more(staff: FlaskClient) -> None:
    """Search follows deletions and additions at once; unknown ids do no harm."""
    add(staff, coloured(GREEN), "a")
    search(staff, coloured(GREEN))
    add(staff, coloured(GREEN), "b")
    assert {match["id"] for match in search(staff, coloured(GREEN))[0]["faces"][0]["faces"]} == {"a", "b"}
    assert staff.post(f"{GROUPS}/staff/delete", json={"ids": ["a", "zz"]}).json == {}
    assert [match["id"] for match in search(staff, coloured(GREEN))[0]["faces"][0]["faces"]] == ["b"]
    assert staff.get(f"{GROUPS}/staff").json["count"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("staff/add", {}),
        ("staff/add", {"image": {"uri": 1}}),
        ("staff/add", {"image": {"uri": "http://x/"}}),
        ("staff/add", {"image": {"uri": "data:;base64,", "id": "x" * 513}}),
        ("staff/delete", {"ids": "a"}),
        ("staff/search", {"images": []}),
        ("staff/search", {"images": ["data:;base64,"] * 17}),
        ("staff/search", {"images": ["data:;base64,"], "threshold": 2}),
        ("staff/search", {"images": ["data:;base64,"], "limit": 0}),
        ("other", {"config": {"capacity": -1}}),
    ],
)
def test_bad_requests_are_400_with_a_text(staff: FlaskClient, path: str, body: Any) -> None:
    """A client's mistake is never a server error."""
    answer = staff.post(f"{GROUPS}/{path}", json=body)
    assert answer.status_code == 400
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    ("roll", "word"),
    [(0, "up"), (-20, "up"), (91, "right"), (-90, "left"), (179, "down"), (-179, "down"), (-44, "up_left")],
)
def test_orientation_names_where_the_head_points(roll: float, word: str) -> None:
    """Roll is clockwise, so a quarter turn of it points right."""
    assert _orientation(roll) == word
