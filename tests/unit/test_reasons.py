"""Reasons of failed rows: what programs rely on is written down."""

import re
from pathlib import Path

from face_import.contract import Reason
from face_import.settings import CHECKOUT


def test_every_reason_is_documented() -> None:
    """The reference lists all of them, and nothing else; a column of the catalogue has room for each."""
    reference = Path(CHECKOUT / "docs" / "reference" / "api.md").read_text()
    table = reference.partition("### Reasons")[2].partition("## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(Reason)
    assert max(map(len, Reason)) <= 20
