"""Create: what is accepted, and that whatever is refused is named and leaves nothing behind."""

import io
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from face_import.settings import Settings
from tests.unit.api.conftest import Create


def stored(settings: Settings) -> list[Path]:
    """Files in the storage of sources."""
    return [path for path in (settings.home / "storage").rglob("*") if path.is_file()]


def test_defaults_are_the_documents(client: FlaskClient, create: Create) -> None:
    """Without options a task has 10 threads, mode 0 and no limits, and waits to be started."""
    answer = create(b"uri,tag\nhttp://x/1.jpg,a\nhttp://x/2.jpg,b\n")
    assert answer.status_code == 200
    detail = client.get(f"/v1/tasks/{answer.json['id']}/detail").json
    assert detail["config"] == {
        "pos_pitch": 0,
        "pos_yaw": 0,
        "pos_rol": 0,
        "width": 0,
        "height": 0,
        "blur_degree": 0,
        "mode": 0,
        "thread_num": 10,
    }
    assert (detail["state"], detail["total_num"], detail["handled_num"]) == (1, 2, 0)
    assert len(answer.json["id"]) == 12


@pytest.mark.parametrize("unset", ["0", "", "00"])
def test_no_threads_are_the_default(client: FlaskClient, create: Create, unset: str) -> None:
    """Many clients send an integer that nobody has set as 0."""
    answer = create(thread_num=unset)
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["config"]["thread_num"] == 10


def test_empty_options_are_absent_ones(client: FlaskClient, create: Create) -> None:
    """An HTML form sends every field: an empty one is the default."""
    answer = create(thread_num="", mode="", width="", pos_yaw="")
    detail = client.get(f"/v1/tasks/{answer.json['id']}/detail").json
    assert (detail["config"]["thread_num"], detail["config"]["mode"]) == (10, 0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"group_name": ""}, "group_name"),
        ({"group_name": "A b"}, "group_name"),
        ({"group_name": "x" * 33}, "group_name"),
        ({"mode": "2"}, "mode"),
        ({"mode": "x"}, "mode"),
        ({"pos_yaw": "-1"}, "pos_yaw"),
        ({"pos_pitch": "181"}, "pos_pitch"),
        ({"pos_rol": "1.5"}, "pos_rol"),
        ({"width": "wide"}, "width"),
        ({"height": "-5"}, "height"),
        ({"blur_degree": "101"}, "blur_degree"),
        ({"thread_num": "-1"}, "thread_num"),
        ({"thread_num": "201"}, "thread_num"),
        ({"thread_num": "10", "threads": "4"}, "threads"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(create: Create, settings: Settings, fields: dict[str, str], named: str) -> None:
    """A wrong value is a 400 that begins with the field's name, and nothing is stored."""
    answer = create(**fields)
    assert answer.status_code == 400
    assert answer.json["error"].startswith(f"{named}: ")
    assert answer.json["code"] == "invalid_request"
    assert stored(settings) == []


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "no rows"),
        (b"uri,tag,description\n", "no rows"),
        (b"\n\n  \n", "no rows"),
        (b'http://x/1.jpg,a,b\n"http://x/2.jpg,a,b\n', "line 2"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image"),
        (b"http://x/\x00.jpg,a,b\n", "zero byte"),
        (None, "the file as"),
    ],
    ids=["empty", "header only", "blank lines", "unclosed quote", "picture", "NUL", "no file"],
)
def test_an_unreadable_file_is_refused(create: Create, settings: Settings, file: bytes | None, words: str) -> None:
    """What cannot be read as a whole is a 400 saying why, and nothing is stored."""
    answer = create(file)
    assert answer.status_code == 400
    assert words.lower() in answer.json["error"].lower()
    assert stored(settings) == []


def test_too_large_a_file_is_413(create: Create, settings: Settings) -> None:
    """The bound on sources is a status of its own."""
    answer = create(b"http://x/1.jpg,a,b\n" * 6000)
    assert answer.status_code == 413
    assert answer.json["code"] == "too_large"
    assert stored(settings) == []


def test_bad_rows_do_not_refuse_a_file(client: FlaskClient, create: Create) -> None:
    """A row without uri or with too many columns is an outcome, not an error of the file."""
    answer = create(b",a,b\nhttp://x/1.jpg,a,b,c,d\nnonsense\n")
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["total_num"] == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_encodings_are_recognised(client: FlaskClient, create: Create, encoding: str) -> None:
    """A BOM, UTF-16 and GB18030 are read as they are meant."""
    answer = create("uri,tag,description\r\nhttp://x/1.jpg,标签,李娜的照片,\r\n".replace(",\r", "\r").encode(encoding))
    assert answer.status_code == 200
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["total_num"] == 1


def test_a_field_sent_twice_is_refused(client: FlaskClient) -> None:
    """Two values for one option are no value."""
    form = {"group_name": "staff", "mode": ["0", "1"], "file": (io.BytesIO(b"http://x/1.jpg"), "faces.csv")}
    answer = client.post("/v1/tasks/create", data=form)
    assert (answer.status_code, answer.json["error"][:5]) == (400, "mode:")


def test_a_text_is_no_file(client: FlaskClient) -> None:
    """What was meant as a file's name is told how to send a file."""
    form = {"group_name": "staff", "file": "faces.csv"}
    answer = client.post("/v1/tasks/create", data=form, content_type="multipart/form-data")
    assert answer.status_code == 400
    assert "file" in answer.json["error"]


def test_a_form_without_group_is_refused(client: FlaskClient) -> None:
    """The file alone is not enough, and says so."""
    answer = client.post("/v1/tasks/create", data={"file": (io.BytesIO(b"http://x/1.jpg"), "faces.csv")})
    assert (answer.status_code, answer.json["error"]) == (400, "group_name: Field required")


def test_another_content_type_is_refused(client: FlaskClient) -> None:
    """A JSON body at create is told what is wanted."""
    answer = client.post("/v1/tasks/create", json={"group_name": "staff"})
    assert answer.status_code == 400
    assert "multipart/form-data" in answer.json["error"]
