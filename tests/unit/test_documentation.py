"""Pages that repeat what the code has: they agree with it."""

import re
from pathlib import Path

import pytest

from face_import.sources.headers import TITLES, field_of

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", ["files.md", "files.zh.md"])
def test_the_page_has_the_titles_that_are_known(page: str) -> None:
    """All of them, in both languages, and no others."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (PAGES / page).read_text(), re.MULTILINE)
    assert {field: tuple(titles.split(", ")) for field, titles in rows} == TITLES


@pytest.mark.parametrize(
    ("title", "field"), [("Photo_URL", "uri"), ("照片*", "uri"), ("工号（必填）", "id"), ("部门", ""), ("", "")]
)
def test_the_pages_examples_are_known(title: str, field: str) -> None:
    """Case, punctuation and remarks do not matter."""
    assert field_of(title) == field
