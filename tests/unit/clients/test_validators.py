"""Validators: which marks of a host can stand for a picture, and which header asks with them."""

import pytest

from face_import.clients.validators import condition, validator_of

NIGHT, SECOND_LATER, SAME_SECOND = (f"Tue, 01 Jan 2030 00:00:{s} GMT" for s in ("00", "01", "00"))


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"abc"'}, '"abc"'),
        ({"ETag": '"abc"', "Last-Modified": NIGHT, "Date": SECOND_LATER}, '"abc"'),
        ({"ETag": 'W/"abc"', "Last-Modified": NIGHT, "Date": SECOND_LATER}, NIGHT),
        ({"ETag": 'W/"abc"'}, ""),
        ({"ETag": "abc"}, ""),
        ({"ETag": '"a\u00e9"'}, ""),
        ({"ETag": f'"{"a" * 5000}"'}, ""),
        ({"Last-Modified": NIGHT, "Date": SAME_SECOND}, ""),
        ({"Last-Modified": NIGHT}, ""),
        ({"Last-Modified": "Tue, 01 Jan 2030 02:00:00 +0200", "Date": SECOND_LATER}, NIGHT),
        ({"Last-Modified": "yesterday", "Date": SECOND_LATER}, ""),
        ({"Last-Modified": "Fri, 31 Dec 9999 23:59:59 -2359", "Date": SECOND_LATER}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_only_a_strong_validator_counts(headers: dict[str, str], validator: str) -> None:
    """A weak one may stay the same while bytes change, and so may the date of a picture of this very second."""
    assert validator_of(headers) == validator


def test_each_kind_has_its_header() -> None:
    """Tags are compared, dates are compared; the host knows by the header which."""
    assert condition('"abc"') == {"If-None-Match": '"abc"'}
    assert condition(NIGHT) == {"If-Modified-Since": NIGHT}
