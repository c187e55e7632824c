"""What the name of a photo says: tag, id and description, by a pattern such as `{id}_{tag}`."""

import re
import unicodedata
from collections.abc import Mapping

import typer

FIELDS = ("tag", "id", "description")
_PARTS = re.compile(r"(\{[^{}]*\}|\*)")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")


def normalized(name: str) -> str:
    """A name with composed characters: macOS stores é as e and an accent."""
    return unicodedata.normalize("NFC", name)


class Pattern:
    """How names are read: `{tag}`, `{id}` and `{description}` stand for texts, `*` for any; none of them has a slash.

    A pattern is compared with the end of a path, without the file's suffix: as many folders count as it has slashes. If
    a name can be read in several ways, earlier texts are the shorter ones.

    Raises:
        typer.BadParameter: nothing in it is read, something else is in braces, or comes twice.
    """

    def __init__(self, text: str) -> None:
        fields = [part[1:-1] for part in _PARTS.split(text) if part.startswith("{")]
        for field in fields:
            if field not in FIELDS:
                raise typer.BadParameter(f"{{{field}}} is none of {{tag}}, {{id}} and {{description}}")
            if fields.count(field) > 1:
                raise typer.BadParameter(f"{{{field}}} comes twice")
        if not fields:
            raise typer.BadParameter(f"{text!r} has none of {{tag}}, {{id}} and {{description}}")
        self.text = text
        self._expression = re.compile("(?:.*/)?" + "".join(map(_expression, _PARTS.split(normalized(text)))), re.DOTALL)

    def read(self, path: str) -> Mapping[str, str] | None:
        """The texts of a path by field; None if it is not of this form, or one of them is blank."""
        match = self._expression.fullmatch(_SUFFIX.sub("", path))
        found = {field: text.strip() for field, text in match.groupdict().items()} if match else {}
        return found if all(found.values()) and found else None


def _expression(part: str) -> str:
    if part == "*":
        return "[^/]*"
    return f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else re.escape(part)
