"""How a file is read, on the command line: the options that say it, and the sentence that shows it."""

import json
import re
import shlex
from collections.abc import Sequence

import typer

from face_import.cli.answers import Source
from face_import.cli.terminal import plain

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SAFE = re.compile(r"[\w=.,:/-]+")
_ADVICE = re.compile(r"columns=(?=\{)")


def columns_field(options: Sequence[str]) -> str:
    """The form's field `columns`, from options like `uri=照片`, `id=3`, and `id=` for none; empty without options.

    Raises:
        typer.BadParameter: an option is not of this form, or one of our columns comes twice.
    """
    columns: dict[str, str | None] = {}
    for option in options:
        name, equals, choice = option.partition("=")
        if not equals:
            raise typer.BadParameter(f"{option!r} is not of the form uri=TITLE or uri=NUMBER")
        if name in columns:
            raise typer.BadParameter(f"{name} comes twice")
        columns[name] = choice or None
    return json.dumps(columns) if columns else ""


def as_options(advice: str) -> str:
    """The `columns={...}` that a server's text advises, as options of this command; empty if it advises none."""
    found = []
    for place in _ADVICE.finditer(advice):
        try:
            columns, _ = json.JSONDecoder().raw_decode(advice, place.end())
        except ValueError:
            continue
        pairs = (f"{name}={'' if choice is None else choice}" for name, choice in columns.items())
        found.append(" ".join(f"--column {_quoted(pair)}" for pair in pairs))
    return plain(" or ".join(found))


def _quoted(word: str) -> str:
    """A word for a shell; `shlex.quote` alone would also quote words in other scripts than Latin."""
    return word if _SAFE.fullmatch(word) else shlex.quote(word)


def sentence(source: Source) -> str:
    """How a file is read, in one line."""
    separator = SEPARATORS.get(source.separator, repr(source.separator))
    place = f"a workbook, sheet {source.sheet!r}" if source.sheet else f"{source.encoding}, separated by {separator}"
    header = "with a header" if source.header else "without a header"
    columns = ", ".join(f"{name}={choice}" for name, choice in source.columns.items())
    ignored = f"; ignored: {', '.join(map(str, source.ignored))}" if source.ignored else ""
    skipped = f"; skipped above it: {source.skipped}" if source.skipped else ""
    others = [sheet for sheet in source.sheets if sheet != source.sheet]
    sheets = f"; other sheets, for --sheet: {', '.join(others)}" if others else ""
    return plain(f"{place}, {header}: {columns}{ignored}{skipped}{sheets}")
