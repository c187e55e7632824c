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
        "faces": 0,
        "mode": 0,
        "thread_num": 10,
        "host_threads": 0,
        "max_failed": 0,
        "max_failed_percent": 0,
        "fail_on_errors": 0,
        "measure": 0,
        "dry_run": 0,
        "same_picture": 0,
        "alike": 0.0,
        "alike_tag": 0.0,
        "on_alike": "refuse",
        "sample": 0,
    }
    assert (detail["state"], detail["total_num"], detail["handled_num"]) == (1, 2, 0)
    assert len(answer.json["id"]) == 12


@pytest.mark.parametrize("unset", ["0", "", "00"])
def test_no_threads_are_the_default(client: FlaskClient, create: Create, unset: str) -> None:
    """Many clients send an integer that nobody has set as 0."""
    answer = create(thread_num=unset)
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["config"]["thread_num"] == 10


@pytest.mark.parametrize(("typed", "kept"), [("3", 3), ("200", 200), ("0", 0), ("", 0)])
def test_fetches_from_one_host_can_be_bounded(client: FlaskClient, create: Create, typed: str, kept: int) -> None:
    """`host_threads` is part of the configuration; 0 and an empty field leave it off."""
    answer = create(host_threads=typed)
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["config"]["host_threads"] == kept


def test_what_failures_do_is_configured(client: FlaskClient, create: Create) -> None:
    """Each of the three; an empty one is off."""
    made = (
        create(max_failed="2147483647", max_failed_percent="100", fail_on_errors="1"),
        create(max_failed="", max_failed_percent="", fail_on_errors=""),
    )
    configs = [client.get(f"/v1/tasks/{answer.json['id']}/detail").json["config"] for answer in made]
    names = ("max_failed", "max_failed_percent", "fail_on_errors")
    assert [[config[name] for name in names] for config in configs] == [[2147483647, 100, 1], [0, 0, 0]]


def test_how_much_is_done_is_configured(client: FlaskClient, create: Create) -> None:
    """Each of the three; a sample is no more than the file has."""
    file = b"http://x/1.jpg\nhttp://x/2.jpg\n"
    details = [
        client.get(f"/v1/tasks/{create(file, **fields).json['id']}/detail").json
        for fields in (
            {"measure": "1", "dry_run": "1", "sample": "1"},
            {"measure": "", "dry_run": "", "sample": "2147483647"},
        )
    ]
    names = ("measure", "dry_run", "sample")
    assert [[detail["config"][name] for name in names] for detail in details] == [[1, 1, 1], [0, 0, 2147483647]]
    assert [detail["total_num"] for detail in details] == [1, 2]


def test_comparisons_with_the_group_are_configured(client: FlaskClient, create: Create) -> None:
    """Scores are fractions; what is left empty is off."""
    made = (create(alike="0.62", alike_tag="1", on_alike="note"), create(alike="", alike_tag="", on_alike=""))
    configs = [client.get(f"/v1/tasks/{answer.json['id']}/detail").json["config"] for answer in made]
    values = [[config[name] for name in ("alike", "alike_tag", "on_alike")] for config in configs]
    assert values == [[0.62, 1.0, "note"], [0.0, 0.0, "refuse"]]


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
        ({"faces": "101"}, "faces"),
        ({"same_picture": "2"}, "same_picture"),
        ({"alike": "1.01"}, "alike"),
        ({"alike": "nan"}, "alike"),
        ({"alike_tag": "-0.1"}, "alike_tag"),
        ({"on_alike": "ask"}, "on_alike"),
        ({"thread_num": "-1"}, "thread_num"),
        ({"thread_num": "201"}, "thread_num"),
        ({"thread_num": "10", "threads": "4"}, "threads"),
        ({"host_threads": "-1"}, "host_threads"),
        ({"host_threads": "201"}, "host_threads"),
        ({"host_threads": "2.5"}, "host_threads"),
        ({"max_failed": "-1"}, "max_failed"),
        ({"max_failed_percent": "101"}, "max_failed_percent"),
        ({"fail_on_errors": "2"}, "fail_on_errors"),
        ({"measure": "2"}, "measure"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"sample": "-1"}, "sample"),
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
    assert (answer.status_code, answer.json["error"]) == (400, "mode: sent 2 times; send it once")
    form["mode"], form["file"] = "0", [(io.BytesIO(b"http://x/1.jpg"), name) for name in ("a.csv", "b.csv")]
    answer = client.post("/v1/tasks/create", data=form)
    assert (answer.status_code, answer.json["error"]) == (400, "file: sent 2 times; send it once")


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
