"""How a file is read: said on create, refused by its field, and shown by `detail`."""

import json

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue
from face_import.control import run_conf
from face_import.settings import Settings
from tests.unit.api.conftest import Create
from tests.unit.api.test_create import stored

TABLE = "照片;姓名;工号;部门\r\nhttp://h/1.jpg;李娜;E1;财务\r\nhttp://h/2.jpg;王伟;E2;前台\r\n"
NO_HEADER = b"a,http://h/1.jpg\nb,http://h/2.jpg\n"


def test_the_reading_of_an_upload_is_shown(client: FlaskClient, create: Create) -> None:
    """From the moment that the task exists."""
    task_id = create(TABLE.encode("gb18030")).json["id"]
    assert client.get(f"/v1/tasks/{task_id}/detail").json["source"] == {
        "encoding": "GB18030",
        "separator": ";",
        "header": True,
        "skipped": 0,
        "columns": {"uri": "照片", "tag": "姓名", "id": "工号"},
        "ignored": ["部门"],
        "sheet": None,
        "sheets": [],
    }


@pytest.mark.parametrize(
    ("file", "columns", "read"),
    [
        (TABLE.encode(), {"tag": "部门", "id": None}, {"uri": "照片", "tag": "部门"}),
        (TABLE.encode(), {"description": 4}, {"uri": "照片", "tag": "姓名", "description": "部门", "id": "工号"}),
        (NO_HEADER, {"uri": 2, "tag": 1}, {"uri": 2, "tag": 1}),
    ],
    ids=["by title", "by number", "without a header"],
)
def test_columns_are_what_the_client_says(
    client: FlaskClient, create: Create, file: bytes, columns: dict[str, object], read: dict[str, object]
) -> None:
    """The others are decided as always."""
    answer = create(file, columns=json.dumps(columns))
    assert answer.status_code == 200, answer.text
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["source"]["columns"] == read


def test_empty_fields_say_nothing(client: FlaskClient, create: Create) -> None:
    """As an HTML form sends them."""
    answer = create(encoding="", separator="", sheet="", columns="")
    assert client.get(f"/v1/tasks/{answer.json['id']}/detail").json["source"]["columns"]["uri"] == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"columns": "照片"}, "columns"),
        ({"columns": '{"photo": 1}'}, "columns"),
        ({"columns": '{"uri": 0}'}, "columns"),
        ({"columns": '{"uri": "' + "x" * 1025 + '"}'}, "columns"),
        ({"columns": "x" * 16_385}, "columns"),
        ({"encoding": "../utf-8"}, "encoding"),
        ({"encoding": "x" * 41}, "encoding"),
        ({"separator": " "}, "separator"),
        ({"separator": "x" * 10_000}, "separator"),
        ({"sheet": "x" * 256}, "sheet"),
        ({"sheet": "a\0b"}, "sheet"),
    ],
)
def test_a_malformed_field_is_named(create: Create, settings: Settings, fields: dict[str, str], named: str) -> None:
    """A request's mistake, not the file's; nothing is stored."""
    answer = create(**fields)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["error"].startswith(f"{named}: ")
    assert stored(settings) == []


@pytest.mark.parametrize("said", [";", "tab", r"\t", "\t"])
def test_the_separator_is_what_the_client_says(client: FlaskClient, create: Create, said: str) -> None:
    """Where two fit, the refusal names the field."""
    separator = "\t" if said != ";" else said
    file = f"http://h/w_1,h_1/a.jpg{separator}Werk 1, Halle 2\n".encode()
    refused = create(file)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_source")
    assert 'name it in the field "separator"' in refused.json["error"]
    task_id = create(file, separator=said).json["id"]
    assert client.get(f"/v1/tasks/{task_id}/detail").json["source"]["separator"] == separator


@pytest.mark.parametrize(
    ("file", "columns", "said"),
    [
        (TABLE.encode(), '{"uri": "头像"}', "'头像'"),
        (NO_HEADER, "", 'columns={"uri": 2}'),
        ("图,人\nhttp://h/1.jpg,a\n".encode(), "", 'columns={"uri": "图"}'),
    ],
    ids=["no such column", "URIs elsewhere", "unknown header"],
)
def test_a_file_that_can_be_settled_says_how(
    create: Create, settings: Settings, file: bytes, columns: str, said: str
) -> None:
    """The refusal is the file's, and has what to send."""
    answer = create(file, columns=columns)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_source")
    assert said in answer.json["error"]
    assert stored(settings) == []


def test_what_is_said_about_a_url_waits_with_it(client: FlaskClient, catalogue: Catalogue) -> None:
    """`plan` gets it as parameters of the run; until then nothing is known about the file."""
    form = {"group_name": "staff", "source": "https://h/f.csv", "encoding": "gbk", "separator": "tab"}
    form["sheet"], form["columns"] = "员工", '{"uri": "照片", "id": null}'
    task_id = client.post("/v1/tasks/create", data=form, content_type="multipart/form-data").json["id"]
    assert client.get(f"/v1/tasks/{task_id}/detail").json["source"] is None
    conf = run_conf(catalogue.tasks.get(task_id))
    assert (conf["encoding"], conf["separator"], conf["sheet"]) == ("gbk", "\t", "员工")
    assert conf["columns"] == {"uri": "照片", "id": None}
