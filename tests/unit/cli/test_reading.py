"""How a file is read: the options that say it, the sentence that shows it, and a server's advice as options."""

import json
from collections.abc import Sequence

import pytest
import typer

from face_import.cli.answers import Source
from face_import.cli.reading import as_options, columns_field, sentence

READ = {
    "encoding": "windows-1252",
    "separator": ";",
    "header": True,
    "columns": {"uri": "照片", "tag": "姓名", "id": "工号"},
    "ignored": ["部门"],
    "sheet": None,
}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ((), ""),
        (("uri=照片", "id=工号"), '{"uri": "照片", "id": "工号"}'),
        (("uri=3", "id="), '{"uri": "3", "id": null}'),
        (("uri=a=b", "tag= x "), '{"uri": "a=b", "tag": " x "}'),
    ],
)
def test_options_become_the_field(options: Sequence[str], field: str) -> None:
    """A title may contain an equals sign; nothing after it means no column."""
    assert (json.loads(columns_field(options)) if options else columns_field(options)) == (field and json.loads(field))


@pytest.mark.parametrize(("options", "said"), [(("照片",), "'照片' is not of"), (("id=1", "id="), "id comes twice")])
def test_a_wrong_option_is_a_usage_error(options: Sequence[str], said: str) -> None:
    """Before anything is sent."""
    with pytest.raises(typer.BadParameter, match=said):
        columns_field(options)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "windows-1252, separated by semicolons, with a header: uri=照片, tag=姓名, id=工号; ignored: 部门"),
        (
            {"encoding": "utf-8", "separator": "\t", "header": False, "columns": {"uri": 1, "tag": 2}, "ignored": []},
            "utf-8, separated by tabs, without a header: uri=1, tag=2",
        ),
        (
            {"sheet": "员工", "columns": {"uri": "照片"}, "ignored": [3], "skipped": 0},
            "a workbook, sheet '员工', with a header: uri=照片; ignored: 3",
        ),
        ({"encoding": "koi8-r", "separator": "^", "ignored": []}, "koi8-r, separated by '^', with a header: "),
    ],
    ids=["header", "plain", "workbook", "later server"],
)
def test_a_reading_is_a_sentence(changes: dict[str, object], said: str) -> None:
    """Encoding, separator, header, columns; what is not imported only if there is any."""
    assert sentence(Source.model_validate(READ | changes)).startswith(said)


def test_titles_cannot_break_the_line() -> None:
    """They come from the file: line ends and escape sequences are shown, not written."""
    shown = sentence(Source.model_validate(READ | {"columns": {"uri": "a\nb"}, "ignored": ["\x1b[2J", "\u2028"]}))
    assert shown.endswith(r"uri=a\nb; ignored: \x1b[2J, \u2028")


@pytest.mark.parametrize(
    ("advice", "options"),
    [
        ('no column is known: say which with columns={"uri": "Bild 1"}', "--column 'uri=Bild 1'"),
        ('say which with columns={"uri": "照片"} or columns={"uri": 2}', "--column uri=照片 or --column uri=2"),
        ('by number: columns={"uri": 1, "tag": 2}', "--column uri=1 --column tag=2"),
        ('columns={"id": null}, or columns={broken', "--column id="),
        ('columns={"uri": "it\'s {odd}"}', """--column 'uri=it'"'"'s {odd}'"""),
        ("columns: uri: send a title", ""),
    ],
)
def test_advice_is_given_as_options(advice: str, options: str) -> None:
    """Quoted for a shell, one for each candidate."""
    assert as_options(advice) == options
