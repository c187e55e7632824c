"""The licence check of `make check`."""

import pytest

from scripts.licences import is_allowed


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT", True),
        ("GPL-3.0-only OR Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("none is named", False),
        ("", False),
    ],
)
def test_a_licence_is_allowed_if_one_alternative_is(expression: str, *, allowed: bool) -> None:
    """All parts of an alternative have to be on the list; what nobody has read is not."""
    assert is_allowed(expression) is allowed
