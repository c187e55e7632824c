"""What a client says about a file: what is accepted, and that whatever is not is refused by its field."""

import json
import re
from typing import Any

import pytest

from face_import.domain.reading import (
    AS_FOUND,
    MAX_COLUMNS,
    SEPARATOR_PATTERN,
    SEPARATORS,
    Reading,
    ReadingOptions,
    reading_fields,
    reading_options,
)
from face_import.errors import InvalidRequest

SAID = {"encoding": "gbk", "separator": ";", "sheet": "员工", "columns": {"uri": "照片", "tag": 2, "id": None}}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"encoding": None, "separator": None, "sheet": None, "columns": None},
        {"encoding": "", "separator": "", "sheet": "", "columns": ""},
        {"encoding": "  ", "columns": " \n"},
        {"columns": {}},
        {"columns": "{}"},
        {"columns": "null"},
    ],
    ids=str,
)
def test_what_is_empty_is_not_said(said: dict[str, Any]) -> None:
    """Forms send empty texts, Airflow's parameters are null."""
    assert reading_options(said) == AS_FOUND


def test_a_form_and_parameters_say_the_same() -> None:
    """`columns` is a mapping or its JSON; what is made of it can be said again."""
    expected = ReadingOptions("gbk", ";", "员工", {"uri": "照片", "tag": 2, "id": None})
    assert reading_options(SAID) == reading_options(SAID | {"columns": json.dumps(SAID["columns"])}) == expected
    assert reading_fields(expected) == SAID
    assert reading_fields(AS_FOUND) == dict.fromkeys(SAID)


@pytest.mark.parametrize(
    "columns",
    [
        '{"uri": "照片"',
        "照片",
        "[1]",
        "3",
        '"uri"',
        "[" * 10_000,
        '{"uri": ' + "1" * 5000 + "}",
        '{"uri": "' + "x" * MAX_COLUMNS + '"}',
        ["uri"],
        7,
        {"photo": 1},
        {1: "uri"},
        {"uri": ""},
        {"uri": " \t"},
        {"uri": "x" * 1025},
        {"uri": "a\0b"},
        {"uri": "\ud800"},
        {"uri": 0},
        {"uri": -1},
        {"uri": 2**31},
        {"uri": True},
        {"uri": 1.0},
        {"uri": ["照片"]},
        {"uri": {"title": "照片"}},
    ],
    ids=lambda value: str(value)[:20].encode(errors="replace").decode(),
)
def test_wrong_columns_are_refused(columns: object) -> None:
    """Whatever is not an object of titles, numbers from 1 and nulls, by our names."""
    with pytest.raises(InvalidRequest, match=r"\Acolumns: ") as refusal:
        reading_options({"columns": columns})
    assert refusal.value.field == "columns"
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("encoding", value) for value in (1, "e" * 41, "../utf-8", "utf-8\n8", "编码", "a\0")],
        *[("sheet", value) for value in (1, ["a"], "s" * 256, "a\0b", "\udc00")],
    ],
)
def test_wrong_names_are_refused(field: str, value: object) -> None:
    """They are bounded, and reach the command line of a process and databases."""
    with pytest.raises(InvalidRequest, match=rf"\A{field}: ") as refusal:
        reading_options({field: value})
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("said", "separator"),
    [*[(one, one) for one in SEPARATORS], ("tab", "\t"), (r"\t", "\t")],
)
def test_a_separator_is_itself_and_a_tab_has_names(said: str, separator: str) -> None:
    """Few forms and command lines take a tab; each of its names passes the schema of forms, too."""
    assert reading_options({"separator": said}) == ReadingOptions(separator=separator)
    assert re.fullmatch(SEPARATOR_PATTERN, said)


@pytest.mark.parametrize(
    "said",
    [" ", "\n", ":", ";;", "; ", "comma", "Tab", "\t\t", "\0", "，", "s" * 10_000, 1, [","], {",": 1}],
    ids=ascii,
)
def test_any_other_separator_is_refused(said: object) -> None:
    """White space, too: it is not the same as nothing. The text has all that can be sent."""
    with pytest.raises(InvalidRequest, match=r"\Aseparator: send one of the characters , ; \| or tab;") as refusal:
        reading_options({"separator": said})
    assert refusal.value.field == "separator"
    assert not isinstance(said, str) or not re.fullmatch(SEPARATOR_PATTERN, said)


def test_a_long_header_is_shown_in_part() -> None:
    """What is recorded with a task has a bounded size, whatever the file's header."""
    titles = ("uri", "t" * 1000, *(f"column {number}" for number in range(3, 1_000)))
    shown = Reading(separator=",", columns={"uri": 0}, width=1_000, titles=titles).described()
    assert shown["columns"] == {"uri": "uri"}
    assert shown["ignored"][:2] == ["t" * 200 + "…", "column 3"]
    assert shown["ignored"][100:] == ["… and 899 more"]
    assert shown["ignored"][99] == "column 101"
    assert (shown["encoding"], shown["separator"], shown["header"], shown["sheet"]) == ("UTF-8", ",", True, None)
