"""The menus of a preview: what each column is used for, and how a choice changes the reading."""

import html
import json
import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from markupsafe import escape

from api_shim.access import load_task
from api_shim.forms import CreateForm
from face_console.texts import ENCODINGS, SEPARATORS
from face_import.domain.reading import SEPARATORS as READ
from face_import.domain.reading import Reading
from face_import.settings import Settings
from tests.unit.api.test_create import stored
from tests.unit.console.conftest import Get
from tests.unit.console.test_create import preview, send

STAFF = "部门;照片;姓名;手机\n" + "研发;http://x/{}.jpg;张三;139\n" * 2
TWO_PHOTOS = b"name,photo,avatar\nanna,http://x/1.jpg,http://x/2.jpg\n"
TWO_SEPARATORS = b"http://h/w_1,h_1/a.jpg;Werk 1, Halle 2\n"
UNKNOWN = b"Bildadresse,Wer\nhttp://x/1.jpg,anna\nhttp://x/2.jpg,bert\n"
MENU = re.compile(r'<select id="column-(\d+)" data-number="\d+" data-name="(.*?)">(.*?)</select>', re.DOTALL)
CHOSEN = re.compile(r'<option value="([^"]*)" selected>')


def menus(page: str) -> list[tuple[str, str]]:
    """Title in `columns` and use of each column, in order; also that no column is missing."""
    found = MENU.findall(page)
    return [(html.unescape(name), *CHOSEN.findall(options)) for _, name, options in found]  # type: ignore[misc]


def is_refused(page: str) -> bool:
    """Whether the import cannot be created."""
    return "data-refused" in page


def test_every_column_of_the_file_has_a_menu(client: FlaskClient, settings: Settings) -> None:
    """In the file's order, also those that are not used, with their cells."""
    page = preview(client, STAFF.encode())
    assert menus(page) == [("部门", ""), ("照片", "uri"), ("姓名", "tag"), ("手机", "")]
    assert page.count('<td class="ignored">研发</td>') == 2
    for text in ("semicolon", "image URI: 照片", "tag (name): 姓名", "<dd>部门, 手机</dd>"):
        assert text in page, text
    assert stored(settings) == []


@pytest.mark.parametrize(
    ("separator", "word"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")]
)
def test_the_separator_is_named(client: FlaskClient, separator: str, word: str) -> None:
    """A tab cannot be seen. What was recognised is the first choice, until somebody makes another."""
    file = f"uri{separator}tag\nhttp://x{separator}a\n".encode()
    assert f'<option value="">recognised: {word}</option>' in preview(client, file)
    page = preview(client, file, separator=separator)
    assert f'<option value="{separator}" selected>{word}</option>' in page
    assert page.count('<option value="">automatic</option>') == 1
    assert not is_refused(page)


def test_another_choice_is_another_reading(client: FlaskClient) -> None:
    """The preview follows the menus, and passes the choice on to the form."""
    columns = json.dumps({"uri": "照片", "tag": None, "description": "部门", "id": "手机"})
    page = preview(client, STAFF.encode(), columns=columns)
    assert menus(page) == [("部门", "description"), ("照片", "uri"), ("姓名", ""), ("手机", "id")]
    assert f'name="columns" value="{escape(columns)}"' in page
    assert not is_refused(page)


def test_columns_without_a_header_go_by_number(client: FlaskClient) -> None:
    """They have no titles to go by."""
    page = preview(client, b"anna,http://x/1.jpg,5\n", columns='{"uri": 2, "tag": 1, "description": null, "id": 3}')
    assert menus(page) == [("", "tag"), ("", "uri"), ("", "id")]
    assert "column 2" in page


@pytest.mark.parametrize(
    ("file", "known"),
    [
        (TWO_PHOTOS, [("name", "tag"), ("photo", ""), ("avatar", "")]),
        (UNKNOWN, [("Bildadresse", "uri"), ("Wer", "tag")]),
        (b"name,where\nanna,http://x/1.jpg\n", [("name", "tag"), ("where", "uri")]),
        (b"anna,http://x/1.jpg\nbert,http://x/2.jpg\n", [("", ""), ("", "uri")]),
        (
            b"http://x/1.jpg,a,b,c,d\nhttp://x/2.jpg,a,b,c,d\n",
            [("", "uri"), ("", "tag"), ("", "description"), ("", ""), ("", "")],
        ),
    ],
    ids=["two URIs", "header or row", "unknown title", "no header", "too many"],
)
def test_a_file_that_is_not_clear_shows_its_columns(
    client: FlaskClient, settings: Settings, file: bytes, known: list[tuple[str, str]]
) -> None:
    """What is wrong in words, and the menus that settle it, set as far as it is known."""
    page = preview(client, file)
    assert is_refused(page)
    assert "Choose what the columns are" in page
    assert "columns={" not in page  # for programs
    assert menus(page)[: len(known)] == known
    assert 'id="use-columns"' in page
    assert stored(settings) == []


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        (TWO_PHOTOS, {"uri": "avatar", "tag": "name", "description": None, "id": None}),
        (UNKNOWN, {"uri": "Bildadresse", "tag": "Wer", "description": None, "id": None}),
        (b"anna,http://x/1.jpg\nbert,http://x/2.jpg\n", {"uri": 2, "tag": 1, "description": None, "id": None}),
    ],
    ids=["two URIs", "header", "no header"],
)
def test_a_choice_settles_it(client: FlaskClient, file: bytes, columns: dict[str, str | int | None]) -> None:
    """The file is then read, and every row of it can be imported."""
    page = preview(client, file, columns=json.dumps(columns))
    assert not is_refused(page)
    assert "All lines were parsed." in page


def test_the_first_line_is_a_header_or_a_row(client: FlaskClient) -> None:
    """Where the file does not say, a menu does: titles make it a header, numbers make it a row."""
    as_titles = preview(client, UNKNOWN, columns='{"uri": "Bildadresse", "tag": "Wer"}')
    assert '<option value="titles" selected>' in as_titles
    assert "<dd>2</dd>" in as_titles
    as_row = preview(client, UNKNOWN, columns='{"uri": 1, "tag": 2}')
    assert '<option value="data" selected>' in as_row
    assert "<dd>3</dd>" in as_row
    assert menus(as_row) == [("Bildadresse", "uri"), ("Wer", "tag")]
    assert 'id="header"' not in preview(client, STAFF.encode())


def test_a_choice_that_does_not_fit_is_explained(client: FlaskClient) -> None:
    """The menus keep it, so that one change puts it right."""
    page = preview(client, STAFF.encode(), columns='{"uri": "部门", "tag": "姓名"}')
    assert is_refused(page)
    assert "has no URI" in page
    assert menus(page) == [("部门", "uri"), ("照片", ""), ("姓名", "tag"), ("手机", "")]
    page = preview(client, STAFF.encode(), columns='{"uri": null, "tag": null, "description": null, "id": null}')
    assert is_refused(page)
    assert [use for _, use in menus(page)] == [""] * 4


@pytest.mark.parametrize("columns", ["[", "[1]", '{"uri": true}', '{"uri": 1.5}', '{"uri": {}}', '{"photo": 1}'])
def test_columns_that_no_menu_sends_are_refused(client: FlaskClient, columns: str) -> None:
    """In words, as anything else."""
    page = preview(client, STAFF.encode(), columns=columns)
    assert is_refused(page)
    assert "columns: " in page


def test_a_number_beyond_all_columns_is_refused(client: FlaskClient) -> None:
    """However long it is."""
    for choice in ("5", "9" * 1_000):
        page = preview(client, STAFF.encode(), columns=json.dumps({"uri": choice}))
        assert is_refused(page)
        assert "there is no column" in page


def test_without_a_header_a_column_can_be_left_out(client: FlaskClient) -> None:
    """The others keep their places; all of them cannot be."""
    page = preview(client, b"http://x/1.jpg,anna,b\n", columns='{"tag": null}')
    assert [use for _, use in menus(page)] == ["uri", "", "description"]
    page = preview(client, b"http://x/1.jpg,anna\n", columns='{"uri": null, "tag": null, "description": null}')
    assert is_refused(page)


def test_titles_that_are_not_unique_go_by_number(client: FlaskClient) -> None:
    """As do long ones and numbers."""
    page = preview(client, f"uri,note,note,7,{'x' * 300}\nhttp://x/1.jpg\n".encode(), columns='{"uri": 1}')
    assert [name for name, _ in menus(page)] == ["uri", "", "", "", ""]


def test_the_encoding_is_kept_and_can_be_changed(client: FlaskClient) -> None:
    """What was recognised is the first choice, until somebody makes another."""
    page = preview(client, b"http://x/1.jpg,anna\n")
    assert '<option value="">recognised: UTF-8</option>' in page
    page = preview(client, b"http://x/1.jpg,anna\n", encoding="cp1252")
    assert '<option value="cp1252" selected>Windows-1252</option>' in page
    assert '<option value="">automatic</option>' in page


def test_every_separator_has_its_place_in_the_menu() -> None:
    """And nobody is offered one that is then refused."""
    assert SEPARATORS.keys() == READ.keys()


def test_a_file_that_two_separators_fit_has_their_menu(client: FlaskClient) -> None:
    """The refusal says to choose one; a wrong choice can be corrected."""
    page = preview(client, TWO_SEPARATORS)
    assert is_refused(page)
    assert "name it in the field" in page
    assert 'id="separator"' in page
    chosen = preview(client, TWO_SEPARATORS, separator=";")
    assert not is_refused(chosen)
    assert chosen.count("<td>Werk 1, Halle 2</td>") == 1
    wrong = preview(client, STAFF.encode(), separator=",")
    assert is_refused(wrong)
    assert '<option value="," selected>comma</option>' in wrong


def test_every_encoding_of_the_menu_is_accepted(client: FlaskClient) -> None:
    """Nobody is offered one that is then refused."""
    for codec in ENCODINGS:
        assert not is_refused(preview(client, "http://x/1.jpg,anna\n".encode(codec), encoding=codec)), codec


def test_text_that_cannot_be_decoded_has_the_encodings(client: FlaskClient) -> None:
    """Another one may read it; a picture has none."""
    for menu in ('id="encoding"', 'id="separator"'):
        assert menu in preview(client, b"http://x/1.jpg,\xff\xff\xff\n")
        assert menu not in preview(client, b"\x89PNG\r\n\x1a\n\x00\x00")
        assert menu not in preview(client, b"")


@pytest.mark.parametrize("file", ["name,photo,{}\n{},http://x/1.jpg,{}\n", "photo,{},avatar\nhttp://x/1.jpg,{},{}\n"])
def test_hostile_cells_are_text(client: FlaskClient, file: str) -> None:
    """In titles, cells, attributes and refusals."""
    hostile = '<script>alert(1)</script>""\' onclick=x'
    page = preview(client, file.format(*[f'"{hostile}"'] * 3).encode())
    assert "<script" not in page
    assert 'data-name="&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onclick=x"' in page
    assert "&lt;script&gt;alert(1)" in page


def test_thousands_of_columns_make_no_endless_page(client: FlaskClient) -> None:
    """The first ones are shown, and those in use."""
    header = ",".join([*(f"c{number}" for number in range(9_999)), "photo"])
    page = preview(client, f"{header}\n{',' * 9_999}http://x/1.jpg\n".encode())
    assert len(page) < 200_000
    assert menus(page)[-1] == ("photo", "uri")
    assert len(menus(page)) == 201
    assert "9,799 more columns are not shown." in page
    assert "c9, …</dd>" in page
    page = preview(client, header.replace("photo", "wherever").encode() + b"\n" + b"," * 9_999 + b"http://x/1.jpg\n")
    assert is_refused(page)
    assert len(page) < 200_000


def test_long_cells_are_shortened(client: FlaskClient) -> None:
    """A cell has a few lines at most; of images and signed URLs, only what may be seen."""
    image = f"data:image/png;base64,{'A' * 5_000}"
    rows = f'"{image}","{"长" * 3_000}","https://x/y?signature=secret"\n'
    page = preview(client, f"photo,备注,old\n{rows}".encode())
    assert "A" * 300 not in page
    assert "长" * 200 + "…" in page
    assert "长" * 201 not in page
    assert "secret" not in page
    assert len(page) < 20_000


def test_menus_that_nobody_touched_send_nothing(client: FlaskClient) -> None:
    """The file is then read as the preview has shown it."""
    assert send(client, STAFF.encode(), columns="", encoding="", separator="").status_code == 204


@pytest.mark.skipif("columns" not in CreateForm.model_fields, reason="the API has no such field")
def test_what_the_menus_say_goes_with_the_form(client: FlaskClient) -> None:
    """The import reads the file as the preview did."""
    assert send(client, TWO_PHOTOS).status_code == 400
    answer = send(client, TWO_PHOTOS, columns='{"uri": "avatar", "tag": null}', encoding="cp1252")
    task_id = answer.headers["HX-Redirect"].removeprefix("/tasks/")
    source = client.get(f"/v1/tasks/{task_id}/detail").json["source"]
    assert source["columns"] == {"uri": "avatar"}
    assert source["ignored"] == ["name", "photo"]
    answer = send(client, TWO_SEPARATORS, separator=";")
    task_id = answer.headers["HX-Redirect"].removeprefix("/tasks/")
    assert client.get(f"/v1/tasks/{task_id}/detail").json["source"]["separator"] == ";"


def test_an_import_says_how_its_file_is_read(client: FlaskClient, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its page, if that is recorded."""
    reading = Reading(";", {"uri": 1, "tag": 3}, 4, ("部门", "照片", "", "姓名<b>"), encoding="cp1252")
    address = send(client).headers["HX-Redirect"]
    recorded: list[object] = [reading.described(), None]
    monkeypatch.setattr("face_console.task.load_task", lambda id_: replace(load_task(id_), reading=recorded.pop(0)))
    page = get(address)
    for text in ("Windows-1252", "semicolon", "image URI: 照片<br>tag (name): 姓名&lt;b&gt;", "部门, column 3"):
        assert text in page, text
    assert "Separator" not in get(address)


def test_the_words_are_chinese_too(client: FlaskClient) -> None:
    """Menus and facts."""
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "zh-CN"
    page = preview(client, STAFF.encode())
    for text in (
        "分隔符",
        "分号",
        "编码",
        "自动识别：UTF-8",
        "列名（表头）",
        "不导入",
        "图片 URI：照片",
        "标签（姓名）",
    ):
        assert text in page, text
