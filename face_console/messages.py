"""What an import says about its rows, its file and its end, in the request's language.

Such messages are stored, answered by the API and written to CSV files in English. `locale/zh-messages.po` has each kind
of message once, with places for what varies, so a message is told by its text. What is not in it, such as a service's
own words, stays as it is; the row's code says in Chinese what it is about.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from face_console.language import chinese, language

CATALOGUE = "zh-messages"
_PLACE = re.compile(r"%\((\w+)\)s")
_NUMBER = r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?"
_LOOKED_UP = frozenset(("message", "what", "who", "why"))
"""Names of places whose text is looked up itself. A single letter is the place of a number, others are left alone."""
_LONGEST = 1000
_DEEPEST = 5
"""Characters of a message, and messages in one another, beyond which none is looked up, so that no text takes long."""


def translated(message: str) -> str:
    """A message in the request's language; what is not known stays in English."""
    return _in_chinese(message) if language() == "zh" else message


@lru_cache(4096)
def _in_chinese(message: str, depth: int = 0) -> str:
    if text := chinese(CATALOGUE).get(message) or chinese().get(message):
        return text
    if len(message) > _LONGEST or depth > _DEEPEST:
        return message
    known = [
        _filled(text, found.groupdict(), depth + 1) for form, text in _forms() if (found := form.fullmatch(message))
    ]
    return min(known, key=_letters, default=message)


def _filled(text: str, places: Mapping[str, str], depth: int) -> str:
    return text % {name: _in_chinese(part, depth) if name in _LOOKED_UP else part for name, part in places.items()}


def _letters(text: str) -> int:
    """How much of a text is left in English: a message may be of two kinds, one of which takes more of it as it is."""
    return sum(char.isascii() and char.isalpha() for char in text)


@cache
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of the messages in which something varies, with their Chinese."""
    return [(_pattern(english), text) for english, text in chinese(CATALOGUE).items() if _PLACE.search(english)]


def _pattern(english: str) -> re.Pattern[str]:
    fixed, names = _PLACE.split(english)[::2], _PLACE.split(english)[1::2]
    places = [f"(?P<{name}>{_NUMBER if len(name) == 1 else '.+?'})" for name in names]
    texts = [re.escape(text.replace("%%", "%")) for text in fixed]
    return re.compile("".join(part for pair in zip(texts, [*places, ""], strict=True) for part in pair), re.DOTALL)
