"""English and Chinese: the language of a request, translations, and number and duration formats."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from babel.dates import format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from flask import g, has_request_context, request

LANGUAGES = {"en": "English", "zh": "中文"}
COOKIE = "face_import_language"
_LOCALES = {"en": "en", "zh": "zh_Hans_CN"}
Unit = Literal["day", "hour", "minute", "second"]
_UNITS: tuple[tuple[int, Unit, Unit | None], ...] = (
    (86400, "day", "hour"),
    (3600, "hour", "minute"),
    (60, "minute", None),
    (1, "second", None),
)
_NEVER = 10**9
"""Keeps Babel from switching to another unit than the one requested."""
_FOLDER = Path(__file__).with_name("locale")


@cache
def chinese(catalogue: str = "zh") -> dict[str, str]:
    """Chinese translations by English text, read from the .po file itself: there is no compiled file to forget."""
    with (_FOLDER / f"{catalogue}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, locale="zh") if message.id}


def language() -> str:
    """The language of this request: the user's choice, else the browser's, else English."""
    if not has_request_context():
        return "en"
    if "language" not in g:
        chosen = request.cookies.get(COOKIE, "")
        g.language = chosen if chosen in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "en")
    return str(g.language)


def gettext(message: str, **values: object) -> str:
    """Translate a text into the request's language and fill in its `%(name)s` placeholders."""
    text = (chinese().get(message) or message) if language() == "zh" else message
    return text % values if values else text


def lazy(message: str) -> str:
    """Mark a text for translation when it is rendered."""
    return message


def number(value: float, digits: int = 0) -> str:
    """A number with separators: 12,345 or, below 10 and with `digits`, 3.4; never -0."""
    shown = round(value, digits if abs(value) < 10 else 0) + 0
    return format_decimal(shown, locale=_LOCALES[language()])


def percent(part: float, whole: float) -> str:
    """A percentage, rounded down, so that 100 % means all."""
    return format_percent(int(100 * part / whole) / 100 if whole else 0, locale=_LOCALES[language()])


def duration(seconds: float) -> str:
    """A duration in its largest unit, and the next one where that matters: 40 seconds, 1 hour 20 minutes."""
    left = max(1, round(seconds))
    size, name, below = next(unit for unit in _UNITS if left >= unit[0])
    parts = [(left // size * size, name)]
    if below:
        size_below, name_below, _ = next(unit for unit in _UNITS if unit[1] == below)
        parts.append((left % size // size_below * size_below, name_below))
    # format_unit would be simpler, but Babel 2.18 has no Chinese duration patterns for it
    return " ".join(_timedelta(part, unit) for part, unit in parts if part)


def _timedelta(seconds: int, unit: Unit) -> str:
    """Format seconds in exactly this unit."""
    length = timedelta(seconds=seconds)
    return format_timedelta(length, granularity=unit, threshold=_NEVER, locale=_LOCALES[language()])
