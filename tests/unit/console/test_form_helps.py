"""What helps to fill in the form for a new import: templates of a file, and limits to start from."""

import html
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest
from flask.testing import FlaskClient

import face_console
from face_console.presets import PRESETS
from face_import.domain.models import LIMITS, Limits
from scripts.templates import TABLES, files
from tests.unit.console.conftest import Get
from tests.unit.console.test_create import preview, send

STATIC = Path(face_console.__file__).parent / "static"
LINK = re.compile(r'href="(/console/static/template[^"]+)" download="([^"]+)"')
PRESET = re.compile(r'data-limits="([^"]+)" data-said="([^"]+)"( aria-current="true")?')


def parts(content: bytes) -> dict[str, bytes]:
    """A workbook's files, whose compression may differ from one zlib to the next."""
    with ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("name", files())
def test_templates_are_what_the_script_writes(name: str) -> None:
    """Else `scripts/templates.py` has to be run again."""
    there, written = (STATIC / name).read_bytes(), files()[name]
    assert (parts(there) == parts(written)) if name.endswith("xlsx") else there == written


def comes_back(client: FlaskClient, get: Get, language: str, ending: str) -> bytes:
    """Download a template and preview it: every column is recognised, and its examples are refused in words."""
    (address, name) = next(link for link in LINK.findall(get("/new", language=language)) if link[1].endswith(ending))
    content = client.get(html.unescape(address)).data
    assert name == {"en": "import-template.", "zh": "人脸导入模板."}[language] + ending
    shown = html.unescape(preview(client, content))
    photo, tag, face_id, remarks = TABLES[language][0]
    for column, use in ((photo, "image URI"), (tag, "tag (name)"), (face_id, "id"), (remarks, "description")):
        assert f"{use}: {column}" in shown
    assert "No row of this file can be imported." in shown
    assert "2 rows</b>: an example's address (example.invalid): write an image's URL, or remove the row" in shown
    return content


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_template_that_comes_back_is_understood(client: FlaskClient, get: Get, language: str) -> None:
    """Examples that are left in a file do not keep its other rows from being imported."""
    content = comes_back(client, get, language, "csv")
    assert "2 rows cannot be imported." in preview(client, content + b"https://x/1.jpg,Ann,e-1,\r\n")


def test_a_preset_fills_in_the_limits_without_a_script_too(get: Get) -> None:
    """Its link has them in the form, folded; the form's own are no limits."""
    for word, preset in PRESETS.items():
        page = get(f"/new?limits={word}")
        for name in LIMITS:
            assert re.search(rf'name="{name}" [^>]*value="{getattr(preset.limits, name)}"', page), (word, name)
        assert [bool(current) for *_, current in PRESET.findall(page)] == [other == word for other in PRESETS]
        assert [Limits(**json.loads(html.unescape(limits))) for limits, *_ in PRESET.findall(page)] == [
            preset.limits for preset in PRESETS.values()
        ]
    for other in ("", "?limits=other"):
        assert '<a href="/new?limits=none" data-limits' in (page := get(f"/new{other}"))
        assert [bool(current) for *_, current in PRESET.findall(page)] == [True, False, False, False]


def test_limits_that_somebody_has_set_are_not_folded(client: FlaskClient) -> None:
    """In a form that comes back with what is wrong, unless they are a preset's."""
    typed = {name: str(getattr(PRESETS["access"].limits, name)) for name in LIMITS}
    assert "<details open>" not in send(client, group_name="No Group", **typed).text
    page = send(client, group_name="No Group", **(typed | {"pos_yaw": "200"})).text
    assert "<details open>" in page
    assert "aria-current" not in page


def test_each_preset_asks_for_no_less_than_the_one_before() -> None:
    """They are in order, each with its limits within their ranges."""
    limits = [preset.limits for preset in PRESETS.values()]
    for less, more in pairwise(limits[1:]):
        for name in LIMITS:
            was, now = getattr(less, name), getattr(more, name)
            assert (now >= was) if name in {"width", "height"} else (now and (now <= was or not was)), name
    assert all(0 <= getattr(one, name) <= limit.most for one in limits for name, limit in LIMITS.items())
