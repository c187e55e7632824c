"""The two languages: every text has its Chinese, and numbers and durations are written as people write them."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from flask.testing import FlaskClient

import face_console
from face_console.language import chinese, duration, number
from face_import.contract import MEANINGS, PASSED, REMOVED, Notice
from face_import.domain.guard import GUARD
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE
from face_import.domain.uri_form import UriFlaw

PLACES = re.compile(r"%\(\w+\)s")
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
KEYWORDS = {"_": None, "gettext": None, "lazy": None, "ngettext": (1, 2)}


def texts() -> set[str]:
    """Every text of the console that is to be translated, with those that the command line shows as well."""
    found = {option.title for option in (LIMITS | FAILURE_POLICY | SCOPE).values()}
    found |= {*GUARD.values(), *MEANINGS.values(), PASSED, REMOVED, *UriFlaw, *Notice}
    folder = Path(face_console.__file__).parent
    for _file, _line, message, _comments, _context in extract_from_dir(folder, METHODS, keywords=KEYWORDS):
        found.update([message] if isinstance(message, str) else message)
    return found


def test_every_text_has_its_chinese() -> None:
    """No text is missing, none is left over, and each has the same places to fill in."""
    translated = chinese()
    assert texts() ^ set(translated) == set()
    for english, text in translated.items():
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(text)), english
        assert text, english


@pytest.mark.parametrize(
    ("accepted", "cookie", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN"),
        ("zh-TW", "", "zh-CN"),
        ("de-DE,de;q=0.9", "", "en"),
        ("en-GB,en;q=0.9,zh;q=0.8", "", "en"),
        ("zh-CN", "en", "en"),
        ("en", "zh", "zh-CN"),
        ("en", "tlh", "en"),
        ("", "", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(
    client: FlaskClient, accepted: str, cookie: str, language: str
) -> None:
    """A choice counts more than the browser's languages, and English is for all others."""
    if cookie:
        client.set_cookie("face_import_language", cookie)
    page = client.get("/", headers={"Accept-Language": accepted}).get_data(as_text=True)
    assert f'<html lang="{language}">' in page


def test_the_switch_is_kept_and_leads_back(client: FlaskClient) -> None:
    """Choosing a language sets the cookie and returns to the page, and to no other site."""
    answer = client.post("/language", data={"language": "zh", "next": "/new?embed=1"})
    assert (answer.status_code, answer.location) == (303, "/new?embed=1")
    assert "新建导入" in client.get("/").get_data(as_text=True)
    for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example", "new"):
        assert client.post("/language", data={"language": "en", "next": elsewhere}).location == "/"


def test_durations_have_their_largest_units() -> None:
    """Seconds are left out where minutes matter, and rests of zero too."""
    shown = [duration(seconds) for seconds in (0.2, 59, 60, 119, 3600, 3661, 90000, 172800)]
    assert shown == [
        "1 second",
        "59 seconds",
        "1 minute",
        "1 minute",
        "1 hour",
        "1 hour 1 minute",
        "1 day 1 hour",
        "2 days",
    ]


def test_durations_are_chinese_too(client: FlaskClient) -> None:
    """No unit is left in English."""
    with client.application.test_request_context(headers={"Accept-Language": "zh"}):
        assert [duration(seconds) for seconds in (5, 180, 4800, 200000)] == [
            "5秒钟",
            "3分钟",
            "1小时 20分钟",
            "2天 7小时",
        ]


def test_numbers_are_rounded_as_far_as_they_matter() -> None:
    """A decimal is for small numbers only."""
    assert [number(1234567), number(9.87, 1), number(0, 1), number(123.4, 1)] == ["1,234,567", "9.9", "0", "123"]
    assert [number(-0.04, 1), number(-0.06, 1)] == ["0", "-0.1"]
